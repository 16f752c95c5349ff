// Verify and Repair: a partition's files judged, and put right, without serving them.
//
//   absl::StatusOr<varve::VerifyReport> report = varve::Verify(varve::FileSystem::Default(), "data/orders-0", {});
//   if (report.ok() && !report->ok) Complain(report->damage);
//
// Thread rules: free functions; Verify changes nothing, takes no lock and may run beside a writer (it then stops at the
// end the writer has published). Repair takes the partition's lock.
#ifndef VARVE_VERIFY_H_
#define VARVE_VERIFY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "varve/log_options.h"
#include "varve/recovery_report.h"

namespace varve {

struct IndexFault {
  std::string file;    // name within the directory
  int64_t entry = -1;  // its number, from 0; -1 where the file as a whole is meant
  std::string reason;  // expected and found
};

struct VerifyReport {
  bool ok = true;  // no damage, no index fault, no torn tail
  int64_t batches = 0;
  int64_t records = 0;
  int64_t bytes = 0;  // of valid batches
  int64_t torn_tail_bytes = 0;
  std::vector<DamagedRange> damage;
  std::vector<IndexFault> index_faults;
  std::vector<std::string> notes;  // what is no fault: padding of an active segment, a tail being written
};

// Checks every batch's checksum and continuity, every record's form, and every index entry against the log (format
// notes §3.2: a batch boundary, order, floor; not equality with a rebuilt one). kNotFound, kPermissionDenied,
// kUnimplemented (magic 0 or 1), kInternal, kAborted (a writer took data away during each of several readings). Cost:
// one sequential read of the log, two of a damaged segment.
[[nodiscard]] absl::StatusOr<VerifyReport> Verify(FileSystem* file_system, const std::string& directory,
                                                  const OpenMarks& marks = {}, const ProgressCallback& progress = {});

struct RepairOptions {
  OnDamage on_damage = OnDamage::kKeep;
  bool all = false;    // recover every segment, not only those from the recovery point on
  bool force = false;  // recover also where the directory is clean and sound
  std::optional<int64_t> index_interval_bytes = std::nullopt;  // absent: varve.state's, else 4096
  OpenMarks marks = {};
  Clock* clock = Clock::Default();
  ProgressCallback progress = nullptr;
};

// Recovers as opening would after an unclean stop, and closes cleanly. Without `force` a clean and sound directory
// stays as it is, byte for byte. On an OverlayFileSystem it is a dry run. Errors as Log::Open.
[[nodiscard]] absl::StatusOr<RecoveryReport> Repair(FileSystem* file_system, const std::string& directory,
                                                    const RepairOptions& options);

// The report of the last opening that had anything to say. kNotFound where there was none.
[[nodiscard]] absl::StatusOr<RecoveryReport> LastReport(FileSystem* file_system, const std::string& directory);

}  // namespace varve

#endif  // VARVE_VERIFY_H_
