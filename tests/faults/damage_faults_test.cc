// Partitions that are damaged, torn or half changed are opened, or repaired, and each call of the file system fails in
// its turn: whatever comes of it, the next opening that nothing disturbs comes to what the first would have come to, and
// what was appended and acknowledged meanwhile is behind that.
#include <algorithm>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "faults/fault_share.h"
#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "log/recovery_scenarios.h"
#include "support/fault_runs.h"
#include "support/status_matchers.h"
#include "varve/log.h"
#include "varve/verify.h"

namespace varve::testing_support {
namespace {

enum class Way { kOpen, kRepair };

RepairOptions RepairOptionsOf(const LogOptions& options) {
  return {.on_damage = options.on_damage,
          .all = options.recover_all,
          .index_interval_bytes = options.index_interval_bytes,
          .marks = options.marks,
          .clock = options.clock};
}

// A disk that a run has left, to be opened as the partition was to be.
std::unique_ptr<Partition> PartitionOn(std::unique_ptr<MemoryFileSystem> disk, LogOptions options) {
  auto partition = std::make_unique<Partition>(std::move(disk));
  options.file_system = partition->options.file_system;
  options.clock = partition->options.clock;
  partition->options = options;
  return partition;
}

// As OpenAndAppend appends it.
bool IsAcknowledged(const std::string& batch) { return batch.find("acknowledged") != std::string::npos; }

class DamageFaultsTest : public ::testing::TestWithParam<std::tuple<RecoveryScenario, Way>> {
 protected:
  // What the partition comes to where nothing fails.
  [[nodiscard]] static RecoveryOutcome Undisturbed(Partition* partition, Way way) {
    if (way == Way::kRepair) {
      EXPECT_THAT(Repair(partition->fs.get(), kDirectory, RepairOptionsOf(partition->options)), IsOk());
    }
    const auto loaded = partition->Load();
    EXPECT_THAT(loaded, IsOk());
    return loaded.ok() ? RecoveryOutcome::Of(partition->fs.get(), *loaded) : RecoveryOutcome();
  }

  FaultOutcome Run(const FaultPlan& plan) {
    Partition partition;
    scenario().set_up(&partition);
    const RecoveryOutcome expected =
        Undisturbed(PartitionOn(partition.fs->CloneAfterProcessDeath(), partition.options).get(), way());
    FaultInjector faults(partition.fs.get(), plan);
    LogOptions options = partition.options;
    options.file_system = faults.file_system();
    faults.Begin();
    const bool appended =
        way() == Way::kOpen ? OpenAndAppend(&faults, options, expected) : RepairOnce(&faults, options);
    const FaultOutcome outcome = faults.outcome();
    faults.End();
    for (const bool power_lost : {false, true}) {
      for (uint64_t seed = 0; seed < (power_lost ? 2 : 1); ++seed) {
        SCOPED_TRACE(!power_lost ? "the process died"
                     : seed == 0 ? "power was lost, and all not synced"
                                 : "power was lost");
        const CrashMode mode = seed == 0 ? CrashMode::kLoseAllUnsynced : CrashMode::kRandom;
        auto disk = power_lost ? partition.fs->CloneAfterCrash({.seed = plan.nth, .mode = mode})
                               : partition.fs->CloneAfterProcessDeath();
        ExpectNext(PartitionOn(std::move(disk), partition.options).get(), expected, appended, IsRead(plan));
      }
    }
    log_.reset();
    EXPECT_EQ(partition.fs->used_bytes(), partition.fs->CloneAfterProcessDeath()->used_bytes())
        << "a file was never closed";
    SCOPED_TRACE("without faults again");
    ExpectNext(&partition, expected, appended, IsRead(plan));
    return outcome;
  }

 private:
  [[nodiscard]] static const RecoveryScenario& scenario() { return std::get<0>(GetParam()); }
  [[nodiscard]] static Way way() { return std::get<1>(GetParam()); }
  [[nodiscard]] static bool IsRead(const FaultPlan& plan) {
    return plan.kind != nullptr && plan.kind->operation == FileOperation::kRead;
  }

  // Answers whether a record was appended and acknowledged behind what the log was to come to.
  bool OpenAndAppend(FaultInjector* faults, const LogOptions& options, const RecoveryOutcome& expected) {
    absl::StatusOr<std::unique_ptr<Log>> opened = Log::Open(kDirectory, options);
    EXPECT_TRUE(opened.ok() || faults->fired() > 0) << opened.status();
    if (!opened.ok()) return false;
    log_ = *std::move(opened);
    if (log_->log_end_offset() != expected.log_end_offset) {
      EXPECT_GT(faults->fired(), 0u) << log_->recovery_report().ToJson();
      log_.reset();
      return false;
    }
    const absl::Status appended =
        log_->Append({{.key = "k", .value = "acknowledged"}}, {.ack = Ack::kDurable}).status();
    EXPECT_TRUE(appended.ok() || faults->fired() > 0) << appended;
    may_be_appended_ = true;
    return appended.ok();
  }

  bool RepairOnce(FaultInjector* faults, const LogOptions& options) {
    const absl::Status status = Repair(faults->file_system(), kDirectory, RepairOptionsOf(options)).status();
    EXPECT_TRUE(status.ok() || faults->fired() > 0) << status;
    may_be_appended_ = false;
    return false;
  }

  // What cannot be read counts as damage: more may be kept than was to be, and less where damage is to be taken out.
  static void ExpectNothingLostOrInvented(OnDamage on_damage, const RecoveryOutcome& outcome,
                                          const RecoveryOutcome& expected) {
    static const std::vector<std::string> all = SplitBatches(BatchesBytes(0, 30));
    auto place = all.begin();
    for (const std::string& batch : outcome.served) {
      if (IsAcknowledged(batch)) continue;
      place = std::find(place, all.end(), batch);
      ASSERT_TRUE(place != all.end()) << Describe(outcome);
    }
    if (on_damage != OnDamage::kKeep) return;
    auto served = outcome.served.begin();
    for (const std::string& batch : expected.served) {
      served = std::find(served, outcome.served.end(), batch);
      ASSERT_TRUE(served != outcome.served.end()) << Describe(outcome) << ", expected " << Describe(expected);
    }
  }

  // Opens twice what is left: it is what it was to come to, with the record behind it that was appended.
  void ExpectNext(Partition* partition, const RecoveryOutcome& expected, bool appended, bool reads_failed) {
    if (way() == Way::kRepair) {
      VARVE_ASSERT_OK(Repair(partition->fs.get(), kDirectory, RepairOptionsOf(partition->options)));
    }
    for (int opening = 0; opening < 2; ++opening) {
      VARVE_ASSERT_OK_AND_ASSIGN(const internal::LoadedLog loaded, partition->Load());
      RecoveryOutcome outcome = RecoveryOutcome::Of(partition->fs.get(), loaded);
      const std::string told = Describe(outcome) + ", expected " + Describe(expected) + ", opening " +
                               std::to_string(opening) + ": " + loaded.report.ToJson();
      const auto found = std::ranges::find_if(outcome.served, IsAcknowledged);
      ASSERT_TRUE(found != outcome.served.end() || !appended) << told;
      if (reads_failed) {
        ExpectNothingLostOrInvented(partition->options.on_damage, outcome, expected);
        continue;
      }
      if (found != outcome.served.end()) {
        ASSERT_TRUE(may_be_appended_ && std::next(found) == outcome.served.end()) << told;
        outcome.served.pop_back();
        --outcome.log_end_offset;
      }
      ASSERT_TRUE(outcome == expected) << told;
    }
  }

  std::unique_ptr<Log> log_;
  bool may_be_appended_ = false;
};

INSTANTIATE_TEST_SUITE_P(, DamageFaultsTest,
                         ::testing::Combine(::testing::ValuesIn(RecoveryScenarios()),
                                            ::testing::Values(Way::kOpen, Way::kRepair)),
                         [](const auto& param) {
                           return std::string(std::get<0>(param.param).name) +
                                  (std::get<1>(param.param) == Way::kOpen ? "Opened" : "Repaired");
                         });

TEST_P(DamageFaultsTest, TheNextComesToWhatItWasToComeTo) {
  const auto& [scenario, way] = GetParam();
  ForEveryFault(std::string(scenario.name) + (way == Way::kOpen ? ", opened" : ", repaired"), ShareOfThisRun(),
                [&](const FaultPlan& plan) { return Run(plan); });
}

}  // namespace
}  // namespace varve::testing_support
