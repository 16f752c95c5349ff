// ModelRun: one random life of a log, told by a seed, beside its reference. After each step the log must hold what the
// reference holds; at any moment the run tells what a crash may leave of it.
#ifndef VARVE_TESTS_MODEL_MODEL_RUN_H_
#define VARVE_TESTS_MODEL_MODEL_RUN_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "model/model_shape.h"
#include "model/possible_log.h"
#include "model/reference_log.h"
#include "support/random_choice.h"
#include "varve/log.h"
#include "varve/testing/crash_simulator.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/manual_clock.h"

namespace varve::testing_support {

class ModelRun {
 public:
  static constexpr char kPartition[] = "orders-0";

  // The shape's steps on the machine, both of which outlive this.
  ModelRun(uint64_t seed, const ModelShape& shape, CrashSimulator* machine);
  // Closes the log, which may be crashed once more.
  ~ModelRun() { log_.reset(); }
  ModelRun(const ModelRun&) = delete;
  ModelRun& operator=(const ModelRun&) = delete;

  // Takes so many steps, and stops at the first that differs: a fatal failure.
  void Take(int steps);

  // What may be found if the machine crashed now: the log as it was before the operation under way, or after it. Of
  // this run's state: good until the next step. May be asked from within any call of the file system.
  [[nodiscard]] std::vector<PossibleLog> Possible() const;

  [[nodiscard]] const LogOptions& options() const { return options_; }
  // The steps so far, for whoever must understand a failure.
  [[nodiscard]] const std::string& history() const { return history_; }

 private:
  using Step = void (ModelRun::*)();
  struct NamedStep {
    const char* name;
    Step step;
  };
  static NamedStep StepOf(ModelStep step);

  void AppendRecords();
  void AppendOfProducer();
  void AppendAgain();
  void EndTransaction();
  void AppendAsFollower();
  void AssignEpoch();
  void AppendAndWait();
  void AppendWithCallback();
  void AppendWhileSyncing();
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
  void AppendAs(const AppendOptions& options);
  void BeginDeletion(int64_t log_start_offset);
  void TruncateModel(int64_t offset);
  // Goes on with what is found after a crash.
  void Restart(bool power_lost);

  // Between the two a crash may find the log as it was or with the operation carried out. An append is acknowledged by
  // what it asked for.
  void BeginAppend(ReferenceBatch batch) { BeginAppendAt(model_.log_end_offset(), std::move(batch)); }
  void BeginAppendAt(int64_t base_offset, ReferenceBatch batch);
  void EndAppend(Ack ack);
  void Begin(ReferenceLog after, int64_t least_end_offset, int64_t most_durable_offset);
  void End() { under_way_.reset(); }
  // Everything below is durable, as the log has told.
  [[nodiscard]] int64_t DurableOffset() const;
  [[nodiscard]] bool MayBeMissing(const ReferenceBatch& batch, const ReferenceRecord& record, int64_t end_offset) const;

  // Takes out of the reference what compaction took out of the log, if it had to go or could. What stays may go by a
  // horizon that is not lower.
  void TakeOut(int64_t horizon_ms);
  void CheckRemoved(const std::vector<ReferenceRecord>& left);
  void CheckRemovedMarkers(const std::set<int64_t>& offsets);
  // That compaction has left nothing below that it should have taken out.
  void CheckCompacted(int64_t end_offset);
  [[nodiscard]] bool IsHorizonPassed(int64_t offset) const;

  void CheckOffsets();
  void CheckRecords();
  void CheckLookups();

  [[nodiscard]] int64_t Pick(int64_t below) { return random_.Below(below); }
  [[nodiscard]] ReferenceBatch RandomBatch();
  [[nodiscard]] std::vector<Record> RecordsOf(const ReferenceBatch& batch) const;
  [[nodiscard]] AppendOptions RandomAck();
  [[nodiscard]] CompactionOptions RandomPass();

  struct UnderWay {
    ReferenceLog after;
    int64_t least_end_offset = 0;     // where the log ends that is left by it
    int64_t most_durable_offset = 0;  // what was durable above is gone
  };

  RandomChoice random_;
  const ModelShape& shape_;
  CrashSimulator* const machine_;
  std::string history_;
  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  LogOptions options_;
  int life_ = 0;  // crashes so far
  // Of each life, on the machine of that life: tells of its syncs.
  std::vector<std::unique_ptr<FaultyFileSystem>> file_systems_;
  std::function<void()> while_syncing_;  // called once, at the next sync of a file
  ReferenceLog model_;
  std::optional<UnderWay> under_way_;
  bool compacting_ = false;
  int64_t durable_offset_ = 0;             // acknowledged as durable
  int64_t written_offset_ = 0;             // acknowledged as written
  std::map<int64_t, int64_t> horizons_;    // by offset: no tombstone and no marker may go before that time
  std::map<int64_t, int16_t> epochs_;      // of the producers
  std::vector<std::byte> last_batch_;      // of a producer, as it was sent
  std::optional<AppendResult> last_sent_;  // the answer to it, as long as the log must know it
  int32_t leader_epoch_ = 0;               // of the host: the log may know less of it, after a truncation
  std::unique_ptr<Log> log_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_MODEL_MODEL_RUN_H_
