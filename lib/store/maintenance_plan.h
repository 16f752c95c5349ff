// MaintenancePlan: whose turn it is. Pure: it is told the time and how work ended, and says what to do next.
//
// Everything that is to be done has a turn: a moment at which it is due, and a number drawn when that was set. The
// earliest moment goes first, then the lowest number, so that what is due at the same moment queues. Work that goes on
// gets a turn of now: behind all that has been due by then, before all that is due later.
//
// Compaction has one turn for each log, to look whether a pass is due, and one more for the pass: for its next step, or,
// while there is none, to begin one for the candidate with the highest dirty ratio. A candidate that has had a pass
// since another began to wait comes after that one.
//
// Thread rules: one thread at a time.
#ifndef VARVE_LIB_STORE_MAINTENANCE_PLAN_H_
#define VARVE_LIB_STORE_MAINTENANCE_PLAN_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>

#include "varve/maintenance.h"

namespace varve::internal {

inline constexpr size_t kMaintenanceKinds = 5;

// From the end of a piece of work to the next, by kind; absent: not of itself.
using MaintenanceIntervals = std::array<std::optional<int64_t>, kMaintenanceKinds>;

// After so many failures in a row.
[[nodiscard]] int64_t RetryDelayMs(int64_t interval_ms, int64_t failures);

using LogId = uint64_t;

struct MaintenanceWork {
  LogId log = 0;
  MaintenanceKind kind = MaintenanceKind::kFlush;
  bool of_pass = false;  // of kCompaction: begin a pass or go on with it; else only look whether it is due

  friend bool operator==(const MaintenanceWork&, const MaintenanceWork&) = default;
};

// How a piece of work ended.
struct MaintenanceOutcome {
  bool failed = false;
  bool never_again = false;
  bool pass_goes_on = false;
  // When it is the turn of this kind again; absent: after its interval, or the delay after a failure.
  std::optional<int64_t> again_ms = std::nullopt;
  // When files of the log are to be removed; absent: there are none, as far as is known.
  std::optional<int64_t> files_due_ms = std::nullopt;
  // A look: the dirty ratio, if a pass is due.
  std::optional<double> dirty_ratio = std::nullopt;
};

class MaintenancePlan {
 public:
  explicit MaintenancePlan(const MaintenanceIntervals& intervals) : intervals_(intervals) {}

  void Add(LogId log, bool compacts, int64_t now_ns);
  // Its turn never comes again. It must not be at work when it is removed.
  void Suspend(LogId log);
  void Remove(LogId log);

  // The piece of work whose turn it is; its log is at work, and out of turn, until Settle.
  [[nodiscard]] std::optional<MaintenanceWork> Take(int64_t now_ns);
  void Settle(const MaintenanceWork& work, const MaintenanceOutcome& outcome, int64_t now_ns);

  [[nodiscard]] bool IsAtWork(LogId log) const { return logs_.at(log).at_work; }
  [[nodiscard]] bool IsSuspended(LogId log) const { return logs_.at(log).suspended; }
  // When the next turn is, of logs that are not at work. Absent: there is none.
  [[nodiscard]] std::optional<int64_t> NextDueNs() const;
  [[nodiscard]] int64_t failures(LogId log, MaintenanceKind kind) const {
    return logs_.at(log).failures[static_cast<size_t>(kind)];
  }

 private:
  struct Turn {
    int64_t due_ns = 0;
    uint64_t number = 0;

    friend auto operator<=>(const Turn&, const Turn&) = default;
  };
  struct Candidate {
    double dirty_ratio = 0;
    Turn since;
  };
  struct LogTurns {
    std::array<std::optional<Turn>, kMaintenanceKinds> turns = {};
    std::array<int64_t, kMaintenanceKinds> failures = {};
    std::optional<Candidate> candidate = std::nullopt;
    uint64_t last_pass = 0;  // the number of the turn drawn when it ended
    bool at_work = false;
    bool suspended = false;

    [[nodiscard]] bool is_free() const { return !at_work && !suspended; }
  };
  struct Choice {
    Turn turn;
    MaintenanceWork work;
  };

  // The earliest, due or not.
  [[nodiscard]] std::optional<Choice> Next() const;
  // To begin a pass.
  [[nodiscard]] std::optional<Choice> NextPass() const;
  void SettlePass(const MaintenanceWork& work, const MaintenanceOutcome& outcome, int64_t now_ns);
  [[nodiscard]] Turn TurnAt(int64_t now_ns, int64_t delay_ms);

  const MaintenanceIntervals intervals_;
  std::map<LogId, LogTurns> logs_;
  std::optional<LogId> pass_ = std::nullopt;  // whose pass it is that is under way
  Turn pass_ended_;                           // the last one
  uint64_t last_number_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_STORE_MAINTENANCE_PLAN_H_
