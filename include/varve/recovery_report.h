// RecoveryReport: what an opening found, cut, kept or saved aside, by which rule and on what evidence. Every Log::Open
// and every Repair yields one; the last that had anything to say stays in the directory as `varve.report` (JSON) until
// the next such opening, for `varve explain`.
//
//   for (const varve::RecoveryFinding& finding : log->recovery_report().findings)
//   std::puts(finding.ToString().c_str());
#ifndef VARVE_RECOVERY_REPORT_H_
#define VARVE_RECOVERY_REPORT_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "varve/damaged_range.h"

namespace varve {

// What was done with something an opening found.
enum class RecoveryAction {
  kCut,         // bytes removed: a torn tail, or the unpublished zeros of a preallocated tail
  kKept,        // damage left where it is; reads inside it answer kDataLoss
  kSavedAside,  // moved to a file varve.cut-OFFSET
  kMended,      // a header field outside the checksum restored from its neighbours
  kRebuilt,     // an index, snapshot or epoch file made anew from the .log
  kRemoved,     // a leftover file deleted: .deleted, .cleaned, an index without its .log, a stray snapshot
  kCompleted,   // an interrupted swap, truncation or prefix deletion carried through
  kRewritten,  // bytes written again and synced, by opening or by the first sync, as they may not have reached the disk
  kIgnored,    // a mark (checkpoint, clean mark, durable point) that does not match the files
};

[[nodiscard]] std::string_view RecoveryActionName(RecoveryAction action);

struct RecoveryFinding {
  RecoveryAction action = RecoveryAction::kKept;
  std::string rule;      // the rule's number in the durability notes ("4c", "5"), or the section of the format notes
  std::string file;      // name within the partition directory
  int64_t position = 0;  // first byte concerned
  int64_t bytes = 0;
  int64_t first_offset = -1;  // offsets concerned; -1 where none
  int64_t last_offset = -1;
  std::string evidence;  // "batch 812 absent, mount id changed, durable point 790"

  // One line for people.
  [[nodiscard]] std::string ToString() const;
  friend bool operator==(const RecoveryFinding&, const RecoveryFinding&) = default;
};

struct RecoveryReport {
  bool clean = false;           // the last stop was clean, and its marks match the files
  bool cache_survived = false;  // proven: same boot, mount and file as when the directory was last written
  int64_t durable_offset = 0;   // everything below was known to be on stable storage when the log was open
  int64_t log_start_offset = 0;
  int64_t log_end_offset = 0;
  int64_t segments = 0;
  int64_t segments_recovered = 0;  // scanned whole, indexes rebuilt
  int64_t bytes_scanned = 0;
  int64_t bytes_cut = 0;  // torn tails and what kTruncate cut; never published data otherwise
  int64_t bytes_saved_aside = 0;
  int64_t batches_saved_aside = 0;  // valid batches among them
  int64_t duration_us = 0;
  std::vector<DamagedRange> damage;
  std::vector<RecoveryFinding> findings;

  // True if there is anything a user would want to be told.
  [[nodiscard]] bool HasNews() const { return !damage.empty() || !findings.empty(); }

  // The JSON form of varve.report and of `--json`; member names as above.
  [[nodiscard]] std::string ToJson() const;
  // kDataLoss if the text is not such a report.
  [[nodiscard]] static absl::StatusOr<RecoveryReport> FromJson(std::string_view json);

  friend bool operator==(const RecoveryReport&, const RecoveryReport&) = default;
};

}  // namespace varve

#endif  // VARVE_RECOVERY_REPORT_H_
