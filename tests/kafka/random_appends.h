// RandomAppends: whatever can be appended to a log, of every shape, as a seed says.
//
// A log may refuse what is larger than one of its segments; every other error is a fault.
#ifndef VARVE_TESTS_KAFKA_RANDOM_APPENDS_H_
#define VARVE_TESTS_KAFKA_RANDOM_APPENDS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kafka/appended_records.h"
#include "record/random_records.h"
#include "support/random_choice.h"
#include "varve/log.h"
#include "varve/testing/manual_clock.h"

namespace varve::testing_support {

class RandomAppends {
 public:
  // `random`, `clock` and `appended`, where everything is noted, must outlive this. Records have this shape, with times
  // around the clock's.
  RandomAppends(RandomChoice* random, ManualClock* clock, AppendedRecords* appended, const RecordShape& shape)
      : random_(random), clock_(clock), appended_(appended), shape_(shape) {}

  [[nodiscard]] absl::Status Records(Log* log);
  [[nodiscard]] absl::Status ReadyMadeBatch(Log* log);
  // By an idempotent or a transactional producer: its next batch by what the log knows of it.
  [[nodiscard]] absl::Status OfProducer(Log* log);
  // The marker of a transaction that is open; nothing where none is.
  [[nodiscard]] absl::Status EndTransaction(Log* log);
  // The producer's batch that was appended last, as one that did not hear the answer sends it. Nothing where the log may
  // have forgotten it.
  [[nodiscard]] absl::Status Again(Log* log);
  // A few batches of a leader, with gaps and epochs.
  [[nodiscard]] absl::Status AsFollower(Log* log);

  // A new leader, as the log's host tells it.
  [[nodiscard]] absl::Status AssignLeaderEpoch(Log* log);

  // Tells that what was appended last may be gone.
  void Forget() { last_of_producer_.clear(); }

 private:
  [[nodiscard]] OwnedRecords SomeRecords();
  [[nodiscard]] AppendOptions SomeOptions(const Log& log);
  [[nodiscard]] Codec SomeCodec();
  // Stamps of the next batch of one of the producers.
  [[nodiscard]] ProducerStamp NextStamp(const Log& log);

  struct Batch {
    std::vector<std::byte> bytes;
    std::vector<AppendedRecord> records;  // that are in it
  };
  [[nodiscard]] absl::StatusOr<Batch> Build(const RecordBatchBuilderOptions& options);
  // The same, but with few records and far apart, as compaction leaves them on a leader.
  [[nodiscard]] absl::StatusOr<Batch> BuildSparse(RecordBatchBuilderOptions options);
  // Notes what a log says it appended as a leader does, if it did.
  [[nodiscard]] absl::Status Note(const Log& log, const absl::StatusOr<AppendResult>& result,
                                  std::vector<AppendedRecord> records);

  RandomChoice* random_;
  ManualClock* clock_;
  AppendedRecords* appended_;
  RecordShape shape_;
  int32_t leader_epoch_ = 0;                 // of the host: the log may know less of it, after a truncation
  std::vector<std::byte> last_of_producer_;  // as it was sent
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_KAFKA_RANDOM_APPENDS_H_
