// FaultedLog: a log whose file system may fail at any call, beside a reference of what was asked of it and what it
// acknowledged; and what must hold of it while it is open, and of what it leaves.
#ifndef VARVE_TESTS_FAULTS_FAULTED_LOG_H_
#define VARVE_TESTS_FAULTS_FAULTED_LOG_H_

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "model/possible_log.h"
#include "model/reference_log.h"
#include "support/fault_runs.h"
#include "varve/log.h"

namespace varve::testing_support {

class FaultedLog {
 public:
  // The options' file system is the injector's, which outlives this.
  FaultedLog(FaultInjector* faults, const LogOptions& options);
  // Goes on with what a crash has left of another, on the disk of `faults`.
  FaultedLog(FaultInjector* faults, const FaultedLog& before, bool power_lost);

  // Each asks the log and carries on whatever it answers, as a host would. Nothing happens while the log is not open. It
  // is a failure of the test if the log
  //   - answers an error though nothing has failed,
  //   - takes a change once it is poisoned,
  //   - does not hold, for its readers, what the reference holds.
  void Open();
  void Append(Ack ack, int64_t record_count = 1);
  void WaitDurable();
  void Roll();
  void Flush();
  void Read();
  void TruncateTo(int64_t offset);
  void TruncateFullyAndStartAt(int64_t offset);
  void DeleteBefore(int64_t offset);
  void Retain();
  void Compact();
  void Close();

  // The workload is over: checks what a process and a machine that stop now leave, and what the log itself leaves that
  // is destroyed and opened again.
  void CheckWhatIsLeft();

  [[nodiscard]] int64_t log_end_offset() const { return current_.log.log_end_offset(); }

 private:
  // What the files may hold.
  struct State {
    ReferenceLog log;
    int64_t durable_offset = 0;  // acknowledged
    int64_t written_offset = 0;
  };

  // The next record of this log, with the offset it is to get.
  [[nodiscard]] ReferenceRecord RecordAt(int64_t offset) const;
  // What the log has answered; true if it has done what was asked.
  bool Judge(const char* operation, const absl::Status& status);
  void CheckReaders();
  // The state that an operation would have led to, of which it is unknown whether it is what the files hold; or, where the
  // log shows that it is, which of the two.
  void MayBe(State after, bool is_seen);
  [[nodiscard]] std::vector<PossibleLog> Possible() const;
  // No clone of the disk has lost, invented or moved anything, and what is open is durable whatever syncs failed before.
  void CheckFound(MemoryFileSystem* disk, bool power_lost) const;
  void CheckBeforeDamage(const Log& log, bool power_lost) const;
  // That a sync of the log which failed was the last thing it did.
  void CheckPoisoned();
  // That a log which met a full disk goes on once there is room.
  void CheckGoesOn();

  FaultInjector* faults_;
  LogOptions options_;
  std::unique_ptr<Log> log_;
  State current_;
  std::vector<State> others_;  // what failed operations may have left instead
  bool compacting_ = false;    // records that others supersede may be gone
  bool power_lost_ = false;    // before this log is opened for the first time
  bool poisoned_ = false;      // a change was refused for ever
  bool cutting_ = false;       // a truncation was announced and has failed: the next opening carries it through
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FAULTS_FAULTED_LOG_H_
