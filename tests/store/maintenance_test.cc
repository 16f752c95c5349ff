// Maintenance of real logs: what a step does, what is told of it, and that no log is in another's way.
#include "varve/maintenance.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "store/maintained_logs.h"
#include "varve/errors.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing_support::AppendMany;
using testing_support::ExpectRecords;
using testing_support::IsOk;
using testing_support::MaintainedLogsTest;
using testing_support::StatusIs;

constexpr int64_t kRecords = 24;

class MaintenanceTest : public MaintainedLogsTest {
 protected:
  std::vector<std::string> DeletedNames() {
    std::vector<std::string> names = memory_.List(directory_).value();
    std::erase_if(names, [](const std::string& name) { return !name.ends_with(".deleted"); });
    return names;
  }
};

// The example of the header, on a directory in memory.
absl::Status MaintainOnAThread(const LogOptions& options, const MaintenanceOptions& maintenance_options) {
  std::shared_ptr<varve::Log> log = *varve::Log::Open("orders-0", options);
  std::unique_ptr<varve::Maintenance> maintenance = *varve::Maintenance::Create(maintenance_options);
  if (absl::Status added = maintenance->Add(log); !added.ok()) return added;
  while (maintenance->RunStep().worked()) continue;  // at the host's leisure; or, on a thread of its own:
  varve::BackgroundRunner runner(maintenance.get());
  if (absl::Status started = runner.Start(); !started.ok()) return started;
  return absl::OkStatus();
}

TEST_F(MaintenanceTest, TheExampleOfTheHeader) {
  VARVE_EXPECT_OK(MaintainOnAThread(options_, maintenance_options_));
  EXPECT_THAT(told_, ElementsAre("orders-0 retention")) << "once, before it is due again";
}

TEST_F(MaintenanceTest, OptionsOutOfRangeAreNamed) {
  using Change = std::function<void(MaintenanceOptions*)>;
  for (const auto& [name, change] : std::vector<std::pair<const char*, Change>>{
           {"step.bytes", [](auto* options) { options->step.bytes = 0; }},
           {"step.time", [](auto* options) { options->step.time = std::chrono::nanoseconds(0); }},
           {"step_segments", [](auto* options) { options->step_segments = 0; }},
           {"flush_interval_ms", [](auto* options) { options->flush_interval_ms = 0; }},
           {"retention_interval_ms", [](auto* options) { options->retention_interval_ms = -1; }},
           {"producers_interval_ms", [](auto* options) { options->producers_interval_ms = 0; }},
           {"compaction_interval_ms", [](auto* options) { options->compaction_interval_ms = 0; }},
           {"key_map_bytes", [](auto* options) { options->key_map_bytes = 0; }},
           {"clock", [](auto* options) { options->clock = nullptr; }}}) {
    MaintenanceOptions options;
    change(&options);
    EXPECT_THAT(Maintenance::Create(options), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name)));
  }
  VARVE_EXPECT_OK(Maintenance::Create({}));
}

TEST_F(MaintenanceTest, WhatIsNoLogToMaintainIsRefused) {
  const auto maintenance = Create();
  EXPECT_THAT(maintenance->Add(nullptr), StatusIs(absl::StatusCode::kInvalidArgument));
  const std::shared_ptr<Log> log = Open();
  VARVE_ASSERT_OK(maintenance->Add(log));
  EXPECT_THAT(maintenance->Add(log), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("orders-0")));
  options_.read_only = true;
  const std::shared_ptr<Log> follower = Open();
  EXPECT_THAT(maintenance->Add(follower), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("orders-0")));
  EXPECT_FALSE(maintenance->Remove(follower.get()));
  EXPECT_TRUE(maintenance->Remove(log.get()));
  EXPECT_FALSE(maintenance->Remove(log.get()));
  VARVE_EXPECT_OK(maintenance->Add(log));
}

TEST_F(MaintenanceTest, NothingIsDoneBeforeItIsDueAndTheStepSaysWhenThatIs) {
  maintenance_options_.flush_interval_ms = 1000;
  const auto maintenance = Create();
  EXPECT_EQ(maintenance->RunStep().next_due, std::nullopt);
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  const MaintenanceStep retained = maintenance->RunStep();
  AppendMany(log.get(), 2);
  EXPECT_EQ(retained.log, log);
  EXPECT_EQ(retained.kind, MaintenanceKind::kRetention);
  EXPECT_TRUE(retained.finished);
  EXPECT_EQ(retained.next_due, std::chrono::milliseconds(1000));
  clock_.AdvanceNs(999'999'999);
  const MaintenanceStep early = maintenance->RunStep();
  EXPECT_FALSE(early.worked());
  EXPECT_EQ(early.next_due, std::chrono::nanoseconds(1));
  EXPECT_EQ(log->durable_offset(), 0);
  clock_.AdvanceNs(1);
  const MaintenanceStep flushed = maintenance->RunStep();
  EXPECT_EQ(flushed.kind, MaintenanceKind::kFlush);
  EXPECT_EQ(log->durable_offset(), 2);
  EXPECT_EQ(maintenance->report().counts.flushes, 1);
  clock_.AdvanceMs(1500);
  EXPECT_TRUE(maintenance->RunStep().worked()) << "it looks, and there is nothing to sync";
  EXPECT_EQ(maintenance->report().counts.flushes, 1);
  EXPECT_THAT(told_, ElementsAre("orders-0 retention", "orders-0 flush"));
  EXPECT_EQ(flushed_offset_, 2);
}

TEST_F(MaintenanceTest, RetentionOfALogIsTakenInStepsBetweenWhichOthersHaveTheirTurn) {
  maintenance_options_.step_segments = 1;
  const auto maintenance = Create();
  const std::shared_ptr<Log> large = AddLog(maintenance.get(), "large-0");
  const std::shared_ptr<Log> small = AddLog(maintenance.get(), "small-0");
  AppendMany(large.get(), 2 * kRecords);
  AppendMany(small.get(), kRecords);
  const size_t large_segments = large->segments().size();
  const size_t small_segments = small->segments().size();
  ASSERT_GT(large_segments, small_segments);
  std::vector<std::string> expected;
  for (size_t turn = 0; turn < large_segments; ++turn) {
    expected.emplace_back("large-0 retention");
    if (turn < small_segments) expected.emplace_back("small-0 retention");
  }
  RunAllDue(maintenance.get());
  EXPECT_EQ(told_, expected);
  EXPECT_EQ(large->log_start_offset(), 2 * kRecords);
  EXPECT_EQ(small->log_start_offset(), kRecords);
  const MaintenanceReport report = maintenance->report();
  ASSERT_THAT(report.logs, SizeIs(2));
  EXPECT_EQ(report.logs[0].log, large);
  EXPECT_EQ(report.logs[0].counts.segments_deleted, static_cast<int64_t>(large_segments));
  EXPECT_EQ(report.logs[0].counts.retention_runs, static_cast<int64_t>(large_segments));
  EXPECT_EQ(report.logs[1].counts.segments_deleted, static_cast<int64_t>(small_segments));
  EXPECT_EQ(report.counts.segments_deleted, static_cast<int64_t>(large_segments + small_segments));
  EXPECT_GT(report.logs[1].counts.bytes_deleted, 0);
  EXPECT_EQ(report.counts.bytes_deleted, report.logs[0].counts.bytes_deleted + report.logs[1].counts.bytes_deleted);
}

TEST_F(MaintenanceTest, FilesGoAfterTheirDelayForAsLongAsAStepMayTake) {
  options_.file_delete_delay_ms = 5000;
  maintenance_options_.step.time = std::chrono::microseconds(1);
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  AppendMany(log.get(), kRecords);
  EXPECT_EQ(RunAllDue(maintenance.get()), 1);
  const auto files = static_cast<int64_t>(DeletedNames().size());
  ASSERT_GT(files, 2);
  EXPECT_EQ(maintenance->RunStep().next_due, std::chrono::milliseconds(5000));
  clock_.AdvanceMs(5000);
  hooked_.around_change = [this] { clock_.AdvanceNs(500); };  // a removal takes a microsecond
  for (int64_t left = files; left > 0; --left) {
    EXPECT_EQ(maintenance->RunStep().kind, MaintenanceKind::kFiles);
    EXPECT_THAT(DeletedNames(), SizeIs(left - 1));
  }
  EXPECT_FALSE(maintenance->RunStep().worked());
  EXPECT_EQ(maintenance->report().counts.files_removed, files);
}

TEST_F(MaintenanceTest, AFileThatCannotBeRemovedIsTriedAgainAMinuteLater) {
  options_.file_delete_delay_ms = 0;
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  AppendMany(log.get(), kRecords);
  hooked_.AddRule({.operation = FileOperation::kRemove, .path_part = ".log.deleted", .for_ever = true});
  EXPECT_EQ(RunAllDue(maintenance.get()), 2);
  EXPECT_THAT(DeletedNames(), Not(IsEmpty()));
  hooked_.ClearRules();
  clock_.AdvanceMs(59'999);
  EXPECT_EQ(RunAllDue(maintenance.get()), 0);
  clock_.AdvanceMs(1);
  EXPECT_EQ(RunAllDue(maintenance.get()), 1);
  EXPECT_THAT(DeletedNames(), IsEmpty());
}

TEST_F(MaintenanceTest, SilentProducersAreForgotten) {
  options_.producer_id_expiration_ms = 1000;
  maintenance_options_.retention_interval_ms.reset();
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  VARVE_ASSERT_OK(log->Append({{.value = "v"}}, {.producer = ProducerStamp{.producer_id = 7}}));
  ASSERT_THAT(log->producers(), SizeIs(1));
  clock_.AdvanceMs(600'000);
  EXPECT_EQ(RunAllDue(maintenance.get()), 1);
  EXPECT_THAT(log->producers(), IsEmpty());
  EXPECT_EQ(maintenance->report().counts.producers_forgotten, 1);
  EXPECT_THAT(told_, ElementsAre("orders-0 producers"));
}

TEST_F(MaintenanceTest, WhereRetentionStandsStillIsReportedUntilItGoesOn) {
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  VARVE_ASSERT_OK(log->Append({{.value = "from a wrong clock", .timestamp_ms = clock_.WallMs() + 1'000'000'000}}));
  VARVE_ASSERT_OK(log->Roll());
  AppendMany(log.get(), kRecords);
  VARVE_ASSERT_OK(log->Roll());
  RunAllDue(maintenance.get());
  const MaintenanceReport stuck = maintenance->report();
  ASSERT_TRUE(stuck.logs.at(0).retention_block.has_value());
  EXPECT_EQ(stuck.logs[0].retention_block->ahead_ms, 1'000'000'000);
  EXPECT_EQ(stuck.counts.segments_deleted, 0);
  VARVE_ASSERT_OK(log->DeleteBefore(1));
  clock_.AdvanceMs(300'000);
  RunAllDue(maintenance.get());
  EXPECT_FALSE(maintenance->report().logs.at(0).retention_block.has_value());
  EXPECT_GT(maintenance->report().counts.segments_deleted, 0);
}

TEST_F(MaintenanceTest, WhoeverWaitsForWorkIsLetGoWhenThereIsSomeAndWhenToldTo) {
  const auto maintenance = Create();
  int asked = 0;
  maintenance->WaitForWork([&asked] { return ++asked == 1; });
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  maintenance->WaitForWork();
  maintenance->WaitForWork([&asked] {
    ++asked;
    return false;
  });
  EXPECT_EQ(asked, 2);
}

// --- Failures ---

TEST_F(MaintenanceTest, ALogThatFailsIsToldOfAndTriedLessOftenAndNobodyElseIs) {
  maintenance_options_.flush_interval_ms = 1000;
  maintenance_options_.retention_interval_ms.reset();
  const auto maintenance = Create();
  const std::shared_ptr<Log> broken = AddLog(maintenance.get(), "broken-0");
  const std::shared_ptr<Log> sound = AddLog(maintenance.get(), "sound-0");
  AppendMany(broken.get(), 1);
  hooked_.AddRule({.operation = FileOperation::kSync, .path_part = "broken-0", .for_ever = true});
  for (int64_t second = 1; second <= 4; ++second) {
    AppendMany(sound.get(), 1);
    clock_.AdvanceMs(1000);
    RunAllDue(maintenance.get());
    EXPECT_EQ(sound->durable_offset(), second);
  }
  EXPECT_THAT(told_, ElementsAre("broken-0 flush failed", "sound-0 flush",  //
                                 "broken-0 flush failed", "sound-0 flush",  // and from now on every other time
                                 "sound-0 flush", "broken-0 flush failed", "sound-0 flush"));
  const MaintenanceReport report = maintenance->report();
  EXPECT_EQ(report.counts.failures, 3);
  EXPECT_EQ(report.logs[0].counts.failures, 3);
  ASSERT_THAT(report.logs[0].failing, SizeIs(1));
  EXPECT_EQ(report.logs[0].failing[0].kind, MaintenanceKind::kFlush);
  EXPECT_EQ(report.logs[0].failing[0].in_a_row, 3);
  EXPECT_TRUE(IsPoisoned(report.logs[0].failing[0].status)) << report.logs[0].failing[0].status;
  EXPECT_THAT(report.logs[1].failing, IsEmpty());
}

TEST_F(MaintenanceTest, WhatComesRightIsNoFailureAnyMore) {
  options_.file_delete_delay_ms = 0;
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  AppendMany(log.get(), kRecords);
  hooked_.AddRule({.operation = FileOperation::kWrite,
                   .path_part = "varve.state",
                   .for_ever = true,
                   .status = absl::ResourceExhaustedError("disk full")});
  const MaintenanceStep failed = maintenance->RunStep();
  EXPECT_THAT(failed.status, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_THAT(maintenance->report().logs.at(0).failing, SizeIs(1));
  hooked_.ClearRules();
  clock_.AdvanceMs(300'000);
  RunAllDue(maintenance.get());
  EXPECT_EQ(log->log_start_offset(), kRecords);
  EXPECT_THAT(maintenance->report().logs.at(0).failing, IsEmpty());
  EXPECT_EQ(maintenance->report().counts.failures, 1);
}

TEST_F(MaintenanceTest, ALogThatItsHostClosesDoesNoHarm) {
  options_.cleanup_policy = CleanupPolicy::kCompactAndDelete;
  maintenance_options_.flush_interval_ms = 1000;
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  const std::shared_ptr<Log> other = AddLog(maintenance.get(), "other-0");
  VARVE_ASSERT_OK(log->Close());
  const std::vector<std::string> names = memory_.List(directory_).value();
  for (int round = 0; round < 4; ++round) {
    AppendMany(other.get(), 1);
    clock_.AdvanceMs(600'000);
    RunAllDue(maintenance.get());
    EXPECT_EQ(other->durable_offset(), other->log_end_offset());
  }
  EXPECT_EQ(memory_.List(directory_).value(), names);
  const MaintenanceReport report = maintenance->report();
  EXPECT_GT(report.logs[0].counts.failures, 0);
  for (const MaintenanceFailure& failure : report.logs[0].failing) {
    EXPECT_THAT(failure.status, StatusIs(absl::StatusCode::kFailedPrecondition));
  }
  EXPECT_THAT(report.logs[1].failing, IsEmpty());
}

// --- Letting go ---

TEST_F(MaintenanceTest, ARemovedLogIsLeftAloneAndClosedIfNobodyElseHoldsIt) {
  const auto maintenance = Create();
  std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  const std::weak_ptr<Log> held = log;
  RunAllDue(maintenance.get());
  Log* const name = log.get();
  log.reset();
  EXPECT_FALSE(held.expired());
  EXPECT_TRUE(maintenance->Remove(name));
  EXPECT_TRUE(held.expired());
  EXPECT_TRUE(Open()->recovery_report().clean);
  clock_.AdvanceMs(3'600'000);
  EXPECT_FALSE(maintenance->RunStep().worked());
  EXPECT_THAT(maintenance->report().logs, IsEmpty());
  EXPECT_EQ(maintenance->report().counts.retention_runs, 1) << "the totals stay";
}

TEST_F(MaintenanceTest, ACallbackMayUseTheMaintenanceAndTheLog) {
  Maintenance* inside = nullptr;
  maintenance_options_.on_event = [&inside](const MaintenanceEvent& event) {
    EXPECT_THAT(inside->report().logs, SizeIs(1));
    AppendMany(event.log.get(), 1);
    EXPECT_TRUE(inside->Remove(event.log.get()));
  };
  const auto maintenance = Create();
  inside = maintenance.get();
  const std::shared_ptr<Log> log = AddLog(maintenance.get(), "orders-0");
  EXPECT_TRUE(maintenance->RunStep().worked());
  EXPECT_EQ(log->log_end_offset(), 1);
  EXPECT_THAT(maintenance->report().logs, IsEmpty());
}

}  // namespace
}  // namespace varve
