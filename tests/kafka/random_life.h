// RandomLife: one random life of a log in a directory of the real file system, told by a seed. It notes what the log must
// hold in the end; whether the directory that is left does is for others, who open it, to judge.
#ifndef VARVE_TESTS_KAFKA_RANDOM_LIFE_H_
#define VARVE_TESTS_KAFKA_RANDOM_LIFE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kafka/appended_records.h"
#include "kafka/random_appends.h"
#include "support/random_choice.h"
#include "varve/log.h"
#include "varve/testing/manual_clock.h"

namespace varve::testing_support {

// What is known of the log at the end of its life.
struct LifeEnd {
  bool clean = false;  // closed, not killed
  int64_t recovery_point = 0;
  int64_t clock_ms = 0;
  LogOptions options = {};
  AppendedRecords appended = {};
  // As the log itself said, before it was closed or killed.
  int64_t last_stable_offset = 0;
  std::vector<ProducerStateEntry> producers = {};
  std::vector<LeaderEpoch> leader_epochs = {};
  std::vector<std::string> steps = {};
};

class RandomLife {
 public:
  // The directory is made; its name must be TOPIC-PARTITION.
  RandomLife(uint64_t seed, std::string directory);

  // Lives it to its end, once. An error is a fault of the log: no step asks for what a log may refuse, and after each the
  // log begins and ends where it should, and has lost nothing but what compaction may take.
  [[nodiscard]] absl::StatusOr<LifeEnd> Live();

 private:
  using Step = absl::Status (RandomLife::*)();
  struct Choice {
    const char* name;
    int64_t weight;
    Step step;
    bool rewrites = false;  // files may then be other than those of a log that was written in one go
  };
  // As likely as this life has them: of some it knows nothing, as of all that a log of its policy does not do. Every third
  // life knows none that rewrites.
  [[nodiscard]] std::vector<Choice> SomeChoices();

  absl::Status Open();
  absl::Status AppendRecords() { return appends_.Records(log_.get()); }
  absl::Status AppendReadyMade() { return appends_.ReadyMadeBatch(log_.get()); }
  absl::Status AppendOfProducer() { return appends_.OfProducer(log_.get()); }
  absl::Status AppendAgain() { return appends_.Again(log_.get()); }
  absl::Status EndTransaction() { return appends_.EndTransaction(log_.get()); }
  absl::Status AppendAsFollower() { return appends_.AsFollower(log_.get()); }
  absl::Status AssignLeaderEpoch() { return appends_.AssignLeaderEpoch(log_.get()); }
  absl::Status Truncate();
  absl::Status StartAt();
  absl::Status DeleteBefore();
  absl::Status Retain();
  absl::Status Compact();
  absl::Status CompactInPart();
  absl::Status Roll() { return log_->Roll(); }
  absl::Status Flush() { return log_->Flush(); }
  absl::Status Reopen();
  absl::Status Kill();
  absl::Status LetTimePass();

  // Puts a copy of the files as they are now in their place: what the next process finds after this one is killed.
  absl::Status LeaveAsKilled();
  [[nodiscard]] CompactionOptions SomePass();
  // That after a step the log has what it must have.
  absl::Status Check(const Choice& done);
  [[nodiscard]] absl::StatusOr<LifeEnd> End();

  RandomChoice random_;
  const std::string directory_;
  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  LogOptions options_;
  AppendedRecords appended_;
  RandomAppends appends_;
  std::unique_ptr<Log> log_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_KAFKA_RANDOM_LIFE_H_
