// ModelRun: one random life of a log, told by a seed, beside its reference. After each step the log must hold what the
// reference holds.
#ifndef VARVE_TESTS_MODEL_MODEL_RUN_H_
#define VARVE_TESTS_MODEL_MODEL_RUN_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "model/reference_log.h"
#include "support/random_choice.h"
#include "varve/log.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::testing_support {

class ModelRun {
 public:
  explicit ModelRun(uint64_t seed);

  // Takes so many steps, and stops at the first that differs: a fatal failure.
  void Take(int steps);

  // The steps so far, for whoever must understand a failure.
  [[nodiscard]] const std::string& history() const { return history_; }

 private:
  using Step = void (ModelRun::*)();
  struct Choice {
    const char* name;
    int weight;
    Step step;
  };
  static const std::vector<Choice>& Choices();

  void AppendRecords();
  void AppendOfProducer();
  void AppendAgain();
  void EndTransaction();
  void Truncate();
  void StartAt();
  void DeleteBefore();
  void Retain();
  void Compact();
  void CompactInSteps();
  void Roll();
  void Flush();
  void Reopen();
  void KillProcess();
  void CutPower();
  void LetTimePass();

  void Open();
  void TruncateModel(int64_t offset);

  // Takes out of the reference what compaction took out of the log, if it had to go or could. What stays may go by a
  // horizon that is not lower.
  void TakeOut(int64_t horizon_ms);
  void CheckRemoved(const std::vector<ReferenceRecord>& left);
  void CheckRemovedMarkers(const std::set<int64_t>& offsets);
  // That compaction has left nothing below that it should have taken out.
  void CheckCompacted(int64_t end_offset);
  [[nodiscard]] bool IsHorizonPassed(int64_t offset);

  void CheckOffsets();
  void CheckRecords();
  void CheckLookups();

  [[nodiscard]] int64_t Pick(int64_t below) { return random_.Below(below); }
  [[nodiscard]] ReferenceBatch RandomBatch();
  [[nodiscard]] std::vector<Record> RecordsOf(const ReferenceBatch& batch) const;
  [[nodiscard]] AppendOptions RandomAck();
  [[nodiscard]] CompactionOptions RandomPass();

  RandomChoice random_;
  std::string history_;
  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  std::unique_ptr<MemoryFileSystem> disk_ = std::make_unique<MemoryFileSystem>();
  LogOptions options_;
  std::unique_ptr<Log> log_;
  ReferenceLog model_;
  std::map<int64_t, int64_t> horizons_;    // by offset: no tombstone and no marker may go before that time
  std::map<int64_t, int16_t> epochs_;      // of the producers
  std::vector<std::byte> last_batch_;      // of a producer, as it was sent
  std::optional<AppendResult> last_sent_;  // the answer to it, as long as the log must know it
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_MODEL_MODEL_RUN_H_
