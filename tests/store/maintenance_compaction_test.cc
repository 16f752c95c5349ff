// Compaction as a part of maintenance: which log is next, in what steps, and what is left of a pass that ends early.
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/compacted_log.h"
#include "store/maintained_logs.h"

namespace varve {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing_support::AppendKeyed;
using testing_support::ExpectLatest;
using testing_support::IsOk;
using testing_support::MaintainedLogsTest;
using testing_support::StatusIs;

constexpr int64_t kRecords = 60;
// Of AppendKeyed, at most.
constexpr int64_t kBatchBytes = 100;

class MaintenanceCompactionTest : public MaintainedLogsTest {
 protected:
  MaintenanceCompactionTest() {
    options_.cleanup_policy = CleanupPolicy::kCompact;
    maintenance_options_.retention_interval_ms.reset();
    maintenance_options_.producers_interval_ms.reset();
    maintenance_options_.on_event = [this](const MaintenanceEvent& event) {
      Note(event);
      if (!event.result.ok()) return;
      if (const auto* const result = std::get_if<CompactionResult>(&*event.result)) results_.push_back(*result);
    };
  }

  std::shared_ptr<Log> AddDirtyLog(Maintenance* maintenance, const std::string& directory) {
    std::shared_ptr<Log> log = AddLog(maintenance, directory);
    AppendKeyed(log.get(), kRecords);
    return log;
  }

  // Until a pass over the first log has done this part of what it has to: in the first half it makes the key map.
  static void RunIntoAPass(Maintenance* maintenance, double part) {
    for (;;) {
      const MaintenanceStep step = maintenance->RunStep();
      ASSERT_TRUE(step.worked());
      const std::optional<CompactionProgress> progress = maintenance->report().logs.at(0).compaction;
      if (!progress.has_value()) continue;
      if (static_cast<double>(progress->done_bytes) >= part * static_cast<double>(progress->total_bytes)) return;
    }
  }

  void ExpectNoTracesOfAPass(const std::string& directory) {
    const std::vector<std::string> names = memory_.List(directory).value();
    EXPECT_THAT(names, Not(Contains(EndsWith(".cleaned"))));
    EXPECT_THAT(names, Not(Contains(EndsWith(".swap"))));
  }

  std::vector<CompactionResult> results_;
};

TEST_F(MaintenanceCompactionTest, TheDirtiestLogIsCompactedFirst) {
  const auto maintenance = Create();
  const std::shared_ptr<Log> half = AddDirtyLog(maintenance.get(), "half-0");
  VARVE_ASSERT_OK(half->Compact());
  AppendKeyed(half.get(), 2 * kRecords);
  const std::shared_ptr<Log> clean = AddLog(maintenance.get(), "clean-0");
  const std::shared_ptr<Log> dirty = AddDirtyLog(maintenance.get(), "dirty-0");
  for (int look = 0; look < 3; ++look) EXPECT_TRUE(maintenance->RunStep().worked());
  const MaintenanceReport looked = maintenance->report();
  EXPECT_TRUE(looked.logs.at(0).compaction_due);
  EXPECT_GT(looked.logs[0].dirty_ratio, 0.5);
  EXPECT_LT(looked.logs[0].dirty_ratio, 1);
  EXPECT_FALSE(looked.logs.at(1).compaction_due);
  EXPECT_EQ(looked.logs[1].dirty_bytes, 0);
  EXPECT_TRUE(looked.logs.at(2).compaction_due);
  EXPECT_EQ(looked.logs[2].dirty_ratio, 1);
  int64_t sealed_bytes = 0;
  for (const LogSegmentInfo& segment : dirty->segments()) sealed_bytes += segment.active ? 0 : segment.size_bytes;
  EXPECT_EQ(looked.logs[2].dirty_bytes, sealed_bytes);
  RunAllDue(maintenance.get());
  EXPECT_THAT(told_, ElementsAre("dirty-0 compaction", "half-0 compaction"));
  ExpectLatest(*half, 3 * kRecords);
  ExpectLatest(*dirty, kRecords);
  for (const LogMaintenance& log : maintenance->report().logs) {
    EXPECT_FALSE(log.compaction_due);
    EXPECT_EQ(log.dirty_bytes, 0);
  }
}

TEST_F(MaintenanceCompactionTest, APassIsTakenInStepsOfSoManyBytesAndCounted) {
  maintenance_options_.step.bytes = 300;
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddDirtyLog(maintenance.get(), "orders-0");
  EXPECT_EQ(maintenance->RunStep().read_bytes, 0) << "a look";
  CompactionProgress progress;
  int64_t read_bytes = 0;
  int steps = 0;
  for (;; ++steps) {
    const MaintenanceStep step = maintenance->RunStep();
    ASSERT_TRUE(step.worked());
    EXPECT_LE(step.read_bytes, maintenance_options_.step.bytes + kBatchBytes);
    read_bytes += step.read_bytes;
    const LogMaintenance standing = maintenance->report().logs.at(0);
    EXPECT_EQ(standing.counts.compaction_read_bytes, read_bytes);
    EXPECT_EQ(standing.compaction.has_value(), !step.finished);
    if (step.finished) break;
    EXPECT_EQ(step.next_due, std::chrono::nanoseconds(0));
    EXPECT_GE(standing.compaction->done_bytes, progress.done_bytes);
    progress = *standing.compaction;
    EXPECT_THAT(told_, IsEmpty());
  }
  EXPECT_GT(steps, 10);
  EXPECT_EQ(read_bytes, progress.total_bytes);
  ASSERT_THAT(results_, SizeIs(1));
  const MaintenanceCounts counts = maintenance->report().counts;
  EXPECT_EQ(counts.compactions, 1);
  EXPECT_EQ(counts.records_removed, results_[0].removed.total());
  EXPECT_EQ(counts.compaction_removed_bytes, results_[0].bytes_before - results_[0].bytes_after);
  EXPECT_GT(counts.compaction_removed_bytes, 0);
  EXPECT_EQ(counts.compaction_read_bytes, read_bytes);
  ExpectLatest(*log, kRecords);
}

// A millisecond a step; the small logs are due every 5, and wait for one step of the pass at most.
TEST_F(MaintenanceCompactionTest, ALargePassKeepsNoOtherLogWaiting) {
  maintenance_options_.step.bytes = 1;
  maintenance_options_.flush_interval_ms = 5;
  const auto maintenance = Create();
  const std::shared_ptr<Log> large = AddDirtyLog(maintenance.get(), "large-0");
  const std::shared_ptr<Log> small = AddLog(maintenance.get(), "small-0");
  const std::shared_ptr<Log> tiny = AddLog(maintenance.get(), "tiny-0");
  std::map<const Log*, int64_t> last_flush_ms;
  const int64_t began_ms = clock_.WallMs();
  int pass_steps = 0;
  while (maintenance->report().counts.compactions == 0) {
    const MaintenanceStep step = maintenance->RunStep();
    clock_.AdvanceMs(1);
    const int64_t now_ms = clock_.WallMs();
    ASSERT_LT(now_ms - began_ms, 10'000);
    if (step.worked() && !step.finished) ++pass_steps;
    if (step.kind != MaintenanceKind::kFlush || !step.worked()) continue;
    // Three flushes may be due at once, behind one step of the pass.
    const auto [last, is_first] = last_flush_ms.try_emplace(step.log.get(), began_ms);
    EXPECT_LE(now_ms - last->second, is_first ? 5 + 3 + 6 : 5 + 4);
    last->second = now_ms;
  }
  EXPECT_GT(pass_steps, 50);
  EXPECT_THAT(last_flush_ms, SizeIs(3));
  ExpectLatest(*large, kRecords);
}

TEST_F(MaintenanceCompactionTest, WhereTheKeyMapIsTooSmallThePassesFollowOneAnother) {
  options_.min_cleanable_dirty_ratio = 0;
  maintenance_options_.key_map_bytes = 48;
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddDirtyLog(maintenance.get(), "orders-0");
  RunAllDue(maintenance.get());
  EXPECT_GT(results_.size(), 1u) << "with the clock at a standstill";
  EXPECT_EQ(maintenance->report().logs.at(0).dirty_bytes, 0);
  for (size_t pass = 1; pass < results_.size(); ++pass) {
    EXPECT_EQ(results_[pass].first_dirty_offset, results_[pass - 1].end_offset);
  }
  ExpectLatest(*log, kRecords);
}

TEST_F(MaintenanceCompactionTest, TheFilesThatWereReplacedGoAfterTheirDelay) {
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddDirtyLog(maintenance.get(), "orders-0");
  RunAllDue(maintenance.get());
  EXPECT_THAT(memory_.List(directory_).value(), Contains(EndsWith(".deleted")));
  clock_.AdvanceMs(options_.file_delete_delay_ms - 1);
  RunAllDue(maintenance.get());
  EXPECT_THAT(memory_.List(directory_).value(), Contains(EndsWith(".deleted")));
  clock_.AdvanceMs(1);
  RunAllDue(maintenance.get());
  EXPECT_THAT(memory_.List(directory_).value(), Not(Contains(EndsWith(".deleted"))));
}

// --- Passes that end early ---

TEST_F(MaintenanceCompactionTest, RemovalInMidPassGivesItUp) {
  maintenance_options_.step.bytes = 1;
  for (const double part : {0.0, 0.3, 0.6, 0.9}) {
    SCOPED_TRACE(part);
    const auto maintenance = Create();
    const std::shared_ptr<Log> log = AddDirtyLog(maintenance.get(), "orders-0");
    const int64_t end = log->log_end_offset();
    const std::shared_ptr<Log> other = AddDirtyLog(maintenance.get(), "other-0");
    RunIntoAPass(maintenance.get(), part);
    ASSERT_TRUE(maintenance->report().logs.at(0).compaction.has_value());
    EXPECT_THAT(log->Compact(), StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_TRUE(maintenance->Remove(log.get()));
    ExpectNoTracesOfAPass("orders-0");
    ExpectLatest(*log, end);
    RunAllDue(maintenance.get());
    EXPECT_EQ(maintenance->report().counts.compactions, 1) << "the other's";
    VARVE_EXPECT_OK(log->Compact({.force = true}));
    ExpectLatest(*log, end);
    VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(0));
    VARVE_ASSERT_OK(other->TruncateFullyAndStartAt(0));
  }
}

TEST_F(MaintenanceCompactionTest, SoDoesTheEndOfTheMaintenance) {
  maintenance_options_.step.bytes = 1;
  auto maintenance = Create();
  const std::shared_ptr<Log> log = AddDirtyLog(maintenance.get(), "orders-0");
  RunIntoAPass(maintenance.get(), 0.6);
  maintenance.reset();
  ExpectNoTracesOfAPass("orders-0");
  VARVE_EXPECT_OK(log->Compact());
  ExpectLatest(*log, kRecords);
}

TEST_F(MaintenanceCompactionTest, AClosingInMidPassIsAFailureOfThatLogOnly) {
  maintenance_options_.step.bytes = 1;
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddDirtyLog(maintenance.get(), "orders-0");
  const std::shared_ptr<Log> other = AddDirtyLog(maintenance.get(), "other-0");
  RunIntoAPass(maintenance.get(), 0.6);
  VARVE_ASSERT_OK(log->Close());
  ExpectNoTracesOfAPass("orders-0");
  RunAllDue(maintenance.get());
  EXPECT_THAT(told_, ElementsAre("orders-0 compaction failed", "other-0 compaction"));
  const LogMaintenance standing = maintenance->report().logs.at(0);
  EXPECT_FALSE(standing.compaction.has_value());
  ASSERT_THAT(standing.failing, SizeIs(1));
  EXPECT_THAT(standing.failing[0].status, StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(MaintenanceCompactionTest, APassThatMeetsDamageIsTheLastUntilTheLogIsAddedAnew) {
  maintenance_options_.flush_interval_ms = 1000;
  options_.file_delete_delay_ms = 48 * 3'600'000;
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddDirtyLog(maintenance.get(), "orders-0");
  const std::shared_ptr<Log> other = AddDirtyLog(maintenance.get(), "other-0");
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file,
                               memory_.Open("orders-0/00000000000000000000.log", OpenMode::kReadWrite));
    const std::byte wrong{0xFF};
    VARVE_ASSERT_OK(file->WriteAt(150, std::span(&wrong, 1)));
  }
  RunAllDue(maintenance.get());
  EXPECT_THAT(told_, ElementsAre("orders-0 compaction failed", "other-0 compaction"));
  const LogMaintenance standing = maintenance->report().logs.at(0);
  EXPECT_TRUE(standing.uncleanable);
  ASSERT_THAT(standing.failing, SizeIs(1));
  EXPECT_EQ(standing.failing[0].kind, MaintenanceKind::kCompaction);
  EXPECT_THAT(standing.failing[0].status, StatusIs(absl::StatusCode::kDataLoss));
  told_.clear();
  AppendKeyed(log.get(), 1);
  clock_.AdvanceMs(24 * 3'600'000);
  RunAllDue(maintenance.get());
  EXPECT_THAT(told_, ElementsAre("orders-0 flush")) << "its other work goes on";
  EXPECT_TRUE(maintenance->report().logs.at(0).uncleanable);
  EXPECT_TRUE(maintenance->Remove(log.get()));
  VARVE_ASSERT_OK(maintenance->Add(log));
  RunAllDue(maintenance.get());
  EXPECT_THAT(told_, ElementsAre("orders-0 flush", "orders-0 compaction failed"));
}

TEST_F(MaintenanceCompactionTest, AHostsOwnPassIsNoFailure) {
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddDirtyLog(maintenance.get(), "orders-0");
  VARVE_ASSERT_OK_AND_ASSIGN(auto own, log->BeginCompaction());
  RunAllDue(maintenance.get());
  EXPECT_THAT(told_, IsEmpty());
  EXPECT_EQ(maintenance->report().counts.failures, 0);
  own.reset();
  clock_.AdvanceMs(15'000);
  RunAllDue(maintenance.get());
  EXPECT_THAT(told_, ElementsAre("orders-0 compaction"));
}

// As on a full disk: told of, tried again later, and nothing is left behind.
TEST_F(MaintenanceCompactionTest, APassWithoutRoomIsTriedAgain) {
  const auto maintenance = Create();
  const std::shared_ptr<Log> log = AddDirtyLog(maintenance.get(), "orders-0");
  hooked_.AddRule({.path_part = ".cleaned", .for_ever = true, .status = absl::ResourceExhaustedError("disk full")});
  RunAllDue(maintenance.get());
  EXPECT_THAT(told_, ElementsAre("orders-0 compaction failed"));
  hooked_.ClearRules();
  clock_.AdvanceMs(14'999);
  EXPECT_EQ(RunAllDue(maintenance.get()), 0);
  clock_.AdvanceMs(1);
  RunAllDue(maintenance.get());
  EXPECT_THAT(told_, ElementsAre("orders-0 compaction failed", "orders-0 compaction"));
  EXPECT_THAT(maintenance->report().logs.at(0).failing, IsEmpty());
  ExpectLatest(*log, kRecords);
}

}  // namespace
}  // namespace varve
