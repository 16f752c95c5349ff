// A follower's gap at a roll: the new segment is named as Kafka names it, and no power loss takes it for a lost tail.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/status_matchers.h"
#include "varve/errors.h"
#include "varve/log.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve {
namespace {

std::vector<std::byte> BatchAt(int64_t offset) {
  RecordBatchBuilder builder({.base_offset = offset, .leader_epoch = 0});
  const std::string value(60, 'v');
  EXPECT_TRUE(builder.Add({.value = value, .timestamp_ms = 1'700'000'000'000}).ok());
  const auto batch = builder.Build();
  EXPECT_TRUE(batch.ok());
  return {batch->begin(), batch->end()};
}

LogOptions OptionsOn(FileSystem* file_system) {
  LogOptions options;
  options.file_system = file_system;
  options.segment_bytes = 200;  // a batch and no more: every append rolls
  return options;
}

// A log of one record on a disk that can be full.
struct FullDiskLog {
  FullDiskLog() {
    auto opened = Log::Open("/gap-0", OptionsOn(&faulty));
    EXPECT_TRUE(opened.ok()) << opened.status();
    log = *std::move(opened);
    VARVE_EXPECT_OK(Append(0, Ack::kDurable));  // its names are synced
  }

  absl::Status Append(int64_t offset, Ack ack = Ack::kWritten) {
    return log->AppendAsFollower(BatchAt(offset), /*current_leader_epoch=*/0, {.ack = ack}).status();
  }
  void FullFor(FaultRule rule) {
    rule.status = absl::ResourceExhaustedError("disk full");
    faulty.AddRule(rule);
  }

  MemoryFileSystem memory;
  FaultyFileSystem faulty{&memory};
  std::unique_ptr<Log> log;
};

TEST(LogDurableGapTest, SegmentBehindAGapIsNamedByItsFirstBatchAndSurvivesEveryCrash) {
  MemoryFileSystem file_system;
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log, Log::Open("/gap-0", OptionsOn(&file_system)));
  for (const int64_t offset : {0, 1, 50, 51}) {
    VARVE_ASSERT_OK(log->AppendAsFollower(BatchAt(offset), /*current_leader_epoch=*/0));
  }
  std::vector<int64_t> bases;
  for (const LogSegmentInfo& segment : log->segments()) bases.push_back(segment.base_offset);
  EXPECT_EQ(bases, (std::vector<int64_t>{0, 1, 50, 51}));
  EXPECT_GE(log->durable_offset(), 50);

  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto mode = seed == 0 ? CrashMode::kLoseAllUnsynced : seed == 1 ? CrashMode::kKeepAll : CrashMode::kRandom;
    const std::unique_ptr<MemoryFileSystem> after = file_system.CloneAfterCrash({.seed = seed, .mode = mode});
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> reopened, Log::Open("/gap-0", OptionsOn(after.get())));
    EXPECT_GE(reopened->log_end_offset(), 50) << "seed " << seed;
    VARVE_ASSERT_OK_AND_ASSIGN(const FileRange range, reopened->Read(0));
    EXPECT_EQ(range.base_offset(), 0);
    VARVE_ASSERT_OK_AND_ASSIGN(const FileRange second, reopened->Read(1));
    EXPECT_EQ(second.base_offset(), 1);
    if (reopened->log_end_offset() > 50) {
      VARVE_ASSERT_OK_AND_ASSIGN(const FileRange behind, reopened->Read(2));
      EXPECT_EQ(behind.base_offset(), 50) << "seed " << seed;
    }
  }
}

// The segment behind the gap is there already: nothing may be appended to it while the point lies before the gap.
TEST(LogDurableGapTest, PoisonsWhereAFullDiskHasNoRoomForThePoint) {
  FullDiskLog disk;
  disk.FullFor({.operation = FileOperation::kWrite, .path_part = "varve.state", .for_ever = true});
  EXPECT_FALSE(disk.Append(50).ok());
  disk.faulty.ClearRules();
  EXPECT_TRUE(IsPoisoned(disk.Append(50)));
}

// A store that fails lags behind; the one that vouches for the gap says what is durable by then.
TEST(LogDurableGapTest, AStoreThatFailedOnTheWayIsMadeUpFor) {
  for (const uint64_t nth : {1U, 2U}) {
    FullDiskLog disk;
    disk.FullFor({.operation = FileOperation::kWrite, .path_part = "varve.state", .nth = nth});
    VARVE_ASSERT_OK(disk.Append(50, Ack::kDurable));
    const auto after = disk.memory.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> reopened, Log::Open("/gap-0", OptionsOn(after.get())));
    EXPECT_EQ(reopened->log_end_offset(), 51);
  }
}

// The next try is named otherwise: nothing may lie where the log has not come to.
TEST(LogDurableGapTest, AFullDiskLeavesNothingBehindTheGap) {
  for (const char* const file : {"50.log", "50.index", "50.timeindex", "50.snapshot"}) {
    SCOPED_TRACE(file);
    FullDiskLog disk;
    disk.FullFor({.operation = FileOperation::kOpen, .path_part = file, .for_ever = true});
    EXPECT_THAT(disk.Append(50), testing_support::StatusIs(absl::StatusCode::kResourceExhausted));
    VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, disk.memory.List("/gap-0"));
    for (const std::string& name : names) EXPECT_FALSE(name.starts_with("00000000000000000050.")) << name;
    VARVE_ASSERT_OK(disk.Append(40, Ack::kDurable));
    for (uint64_t seed = 0; seed < 40; ++seed) {
      const auto after = disk.memory.CloneAfterCrash({.seed = seed});
      VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> crashed, Log::Open("/gap-0", OptionsOn(after.get())));
      EXPECT_EQ(crashed->log_end_offset(), 41) << "seed " << seed;
    }
    disk.faulty.ClearRules();
    VARVE_ASSERT_OK(disk.Append(50));
    VARVE_ASSERT_OK(disk.log->Close());
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> reopened, Log::Open("/gap-0", OptionsOn(&disk.memory)));
    EXPECT_EQ(reopened->log_end_offset(), 51);
  }
}

// A name that cannot be taken back would overlap what the old segment takes on.
TEST(LogDurableGapTest, ASegmentThatCannotBeTakenBackPoisons) {
  for (const char* const file : {"50.index", "50.snapshot"}) {
    SCOPED_TRACE(file);
    FullDiskLog disk;
    disk.FullFor({.operation = FileOperation::kOpen, .path_part = file});
    disk.FullFor({.operation = FileOperation::kRemove, .path_part = ".index"});
    EXPECT_FALSE(disk.Append(50).ok());
    EXPECT_TRUE(IsPoisoned(disk.Append(50)));
  }
}

}  // namespace
}  // namespace varve
