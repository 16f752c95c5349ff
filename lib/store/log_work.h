// LogWork: carries out pieces of maintenance at one log, and holds its pass of compaction between two steps.
//
// Thread rules: one thread at a time.
#ifndef VARVE_LIB_STORE_LOG_WORK_H_
#define VARVE_LIB_STORE_LOG_WORK_H_

#include <cstdint>
#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "store/maintenance_plan.h"
#include "varve/compaction.h"
#include "varve/log.h"
#include "varve/maintenance.h"

namespace varve::internal {

// How a log's compaction stands.
struct CompactionStanding {
  bool due = false;
  double dirty_ratio = 0;
  int64_t dirty_bytes = 0;

  friend bool operator==(const CompactionStanding&, const CompactionStanding&) = default;
};

struct LogWorkDone {
  MaintenanceOutcome outcome = {};
  // Absent where nothing came to its end, or nothing was to be done.
  std::optional<absl::StatusOr<MaintenanceResult>> result = std::nullopt;
  int64_t read_bytes = 0;
  std::optional<CompactionStanding> standing = std::nullopt;  // absent: not looked at
  std::optional<CompactionProgress> progress = std::nullopt;  // of the pass that goes on
};

class LogWork {
 public:
  // `options` outlive it.
  LogWork(std::shared_ptr<Log> log, const MaintenanceOptions* options);
  // Gives up the pass.
  ~LogWork();

  [[nodiscard]] const std::shared_ptr<Log>& log() const { return log_; }

  [[nodiscard]] LogWorkDone Do(const MaintenanceWork& work);
  // Gives up the pass, if there is one.
  void GiveUp();

 private:
  [[nodiscard]] LogWorkDone Flush();
  [[nodiscard]] LogWorkDone Retain();
  [[nodiscard]] LogWorkDone RemoveFiles();
  [[nodiscard]] LogWorkDone ForgetProducers();
  [[nodiscard]] LogWorkDone LookAtCompaction();
  [[nodiscard]] LogWorkDone Compact();
  [[nodiscard]] LogWorkDone EndPass(absl::StatusOr<CompactionResult> result);

  const std::shared_ptr<Log> log_;
  const MaintenanceOptions& options_;
  std::unique_ptr<CompactionPass> pass_;  // before the log goes, this does
};

}  // namespace varve::internal

#endif  // VARVE_LIB_STORE_LOG_WORK_H_
