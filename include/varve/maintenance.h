// Maintenance: what logs need now and then, done for many of them as bounded steps that the host schedules: flushing,
// retention, the removal of deleted files, the forgetting of silent producers, compaction. BackgroundRunner: a thread
// that takes these steps, for hosts that want one.
//
//   std::shared_ptr<varve::Log> log = *varve::Log::Open("data/orders-0", {});
//   std::unique_ptr<varve::Maintenance> maintenance = *varve::Maintenance::Create({});
//   if (absl::Status added = maintenance->Add(log); !added.ok()) return added;
//   while (maintenance->RunStep().worked()) continue;  // at the host's leisure; or, on a thread of its own:
//   varve::BackgroundRunner runner(maintenance.get());
//   if (absl::Status started = runner.Start(); !started.ok()) return started;
//
// Order: the piece of work that has been due for longest goes first, and whatever goes on behind a step queues up again.
// So no log starves another, and no piece of work waits for more than one step of each that was due before it. Passes of
// compaction run one at a time, as the key map's memory is theirs together: first the log with the highest dirty ratio
// (Kafka LogCleanerManager.grabFilthiestCompactedLog), but none twice while another has been waiting since before.
//
// Failures: a piece of work that fails is told of and tried again after its interval, each time after twice as long, up
// to an hour; other logs and the log's other work go on. A log whose compaction meets damage (kDataLoss) is not
// compacted again until it is added anew (Kafka: an uncleanable partition). A log that its host closes or that is
// poisoned fails like that and does no harm.
//
// Thread rules: any thread; steps of several threads run beside one another, never two at one log. A child of fork() may
// use neither class: destroying what it inherited does nothing there.
#ifndef VARVE_MAINTENANCE_H_
#define VARVE_MAINTENANCE_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/clock.h"
#include "varve/compaction.h"
#include "varve/log.h"
#include "varve/retention.h"

namespace varve {

enum class MaintenanceKind {
  kFlush,       // Log::Flush, where something is not durable yet
  kRetention,   // Log::ApplyRetention
  kFiles,       // Log::RemoveDeletedFiles, when those that retention or compaction left are due
  kProducers,   // Log::RemoveExpiredProducers
  kCompaction,  // of logs whose cleanup_policy compacts
};

// What a finished piece of work did.
struct FlushedLog {
  int64_t durable_offset = 0;
};
struct ForgottenProducers {
  int64_t count = 0;
};
using MaintenanceResult =
    std::variant<FlushedLog, RetentionResult, FileRemovalResult, ForgottenProducers, CompactionResult>;

struct MaintenanceEvent {
  std::shared_ptr<Log> log;
  MaintenanceKind kind = MaintenanceKind::kFlush;
  absl::StatusOr<MaintenanceResult> result;
};

struct MaintenanceOptions {
  // How much a step does: after so long, or so many bytes that compaction read, it ends at the next whole batch or
  // file. What cannot be cut takes its time: a sync, the planning of a pass, the exchange of a compacted segment.
  StepBudget step = {.bytes = int64_t{8} << 20, .time = std::chrono::milliseconds(50)};
  // Segments that a step of retention deletes at most; at least 1.
  int64_t step_segments = 64;

  // From the end of a piece of work to the next; at least 1, absent: never. Retention and compaction are due when a log is
  // added, the others an interval later.
  std::optional<int64_t> flush_interval_ms = std::nullopt;
  std::optional<int64_t> retention_interval_ms = 300'000;  // Kafka log.retention.check.interval.ms
  std::optional<int64_t> producers_interval_ms = 600'000;  // Kafka producer.id.expiration.check.interval.ms
  std::optional<int64_t> compaction_interval_ms = 15'000;  // to look whether it is due; Kafka log.cleaner.backoff.ms

  int64_t key_map_bytes = int64_t{128} << 20;  // of the one pass of the moment; see CompactionOptions

  // Called after each finished piece of work, on the thread of the step, without a lock: it may use the log and this
  // object, but must not destroy it. A call may still come after Remove, of a step that had ended.
  std::function<void(const MaintenanceEvent&)> on_event = nullptr;

  Clock* clock = Clock::Default();  // for intervals; a step's time goes by the log's own. Must outlive the object
};

// What one step did.
struct MaintenanceStep {
  std::shared_ptr<Log> log = nullptr;  // null: nothing was due
  MaintenanceKind kind = MaintenanceKind::kFlush;
  bool finished = true;  // false: the same piece of work goes on in a later step
  absl::Status status = absl::OkStatus();
  int64_t read_bytes = 0;            // by compaction
  std::chrono::nanoseconds took{0};  // by the clock of the options
  // From now to the next piece of work; 0: it is due. Absent: nothing is planned.
  std::optional<std::chrono::nanoseconds> next_due = std::nullopt;

  [[nodiscard]] bool worked() const { return log != nullptr; }
};

// Counters; they only rise.
struct MaintenanceCounts {
  int64_t flushes = 0;
  int64_t retention_runs = 0;
  int64_t segments_deleted = 0;
  int64_t bytes_deleted = 0;  // of their .log files
  int64_t files_removed = 0;
  int64_t producers_forgotten = 0;
  int64_t compactions = 0;  // passes that came to their end
  int64_t compaction_read_bytes = 0;
  int64_t compaction_removed_bytes = 0;  // what exchanged segments shrank by
  int64_t records_removed = 0;           // by compaction
  int64_t failures = 0;

  friend bool operator==(const MaintenanceCounts&, const MaintenanceCounts&) = default;
};

struct MaintenanceFailure {
  MaintenanceKind kind = MaintenanceKind::kFlush;
  absl::Status status;  // of the last attempt
  int64_t in_a_row = 0;
};

// How one log stands.
struct LogMaintenance {
  std::shared_ptr<Log> log;
  MaintenanceCounts counts;
  std::optional<RetentionBlock> retention_block = std::nullopt;  // where retention by time stands still
  // Compaction, when it was last looked at.
  bool compaction_due = false;
  double dirty_ratio = 0;
  int64_t dirty_bytes = 0;   // that wait to be compacted
  bool uncleanable = false;  // damage: it is not compacted any more
  // Of the pass of the moment.
  std::optional<CompactionProgress> compaction = std::nullopt;
  std::vector<MaintenanceFailure> failing = {};  // what failed the last time
};

struct MaintenanceReport {
  MaintenanceCounts counts;               // of all logs, those removed as well
  std::vector<LogMaintenance> logs = {};  // in the order in which they were added
};

class Maintenance {
 public:
  // kInvalidArgument: an option out of range.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Maintenance>> Create(const MaintenanceOptions& options);

  // No step may run. Gives up a pass under way. Logs are let go of, which closes those that nobody else holds.
  ~Maintenance();
  Maintenance(const Maintenance&) = delete;
  Maintenance& operator=(const Maintenance&) = delete;

  // kInvalidArgument: null, or a log opened read-only; kAlreadyExists.
  [[nodiscard]] absl::Status Add(std::shared_ptr<Log> log);

  // Lets go of a log; false if it is not here. Waits for the step that is at it and gives up its pass: when it returns,
  // nothing here touches the log.
  bool Remove(const Log* log);

  // Does the piece of work that has been due for longest, for about as long as the budget says.
  MaintenanceStep RunStep();

  // Waits until something is due, or `stop` answers true. It is asked at first and after each Wake, with a lock held: it
  // must not use this object. Where the clock is not the system's, a wait may be too long, but for Wake.
  void WaitForWork(const std::function<bool()>& stop = nullptr);
  // Has whoever waits look again.
  void Wake();

  // Cost: a copy of what is known of each log.
  [[nodiscard]] MaintenanceReport report() const;

 private:
  class Impl;
  explicit Maintenance(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct BackgroundRunnerOptions {
  // Of the time, what steps may take, above 0 to 1: below 1 the thread rests after each, for as much longer.
  double max_share = 1;
  std::string thread_name = "varve";  // up to 15 bytes
};

// Takes the steps of one Maintenance on a thread of its own while it is started. The thread blocks all signals.
// Thread rules: one thread at a time; Stop also from an event's callback, which must not destroy it.
class BackgroundRunner {
 public:
  // `maintenance` must outlive it.
  explicit BackgroundRunner(Maintenance* maintenance, BackgroundRunnerOptions options = {});
  // As Stop.
  ~BackgroundRunner();
  BackgroundRunner(const BackgroundRunner&) = delete;
  BackgroundRunner& operator=(const BackgroundRunner&) = delete;

  // kFailedPrecondition: it is started; kInvalidArgument: max_share out of range; kResourceExhausted: the system gives no
  // thread.
  [[nodiscard]] absl::Status Start();

  // Ends the thread and waits for it, which is for the step of the moment. On the thread itself, in an event's callback,
  // it does not wait: call it once more elsewhere before Start.
  void Stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace varve

#endif  // VARVE_MAINTENANCE_H_
