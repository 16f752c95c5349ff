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
  MemoryFileSystem memory;
  FaultyFileSystem faulty(&memory);
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log, Log::Open("/gap-0", OptionsOn(&faulty)));
  VARVE_ASSERT_OK(log->AppendAsFollower(BatchAt(0), /*current_leader_epoch=*/0));
  faulty.AddRule({.operation = FileOperation::kWrite,
                  .path_part = "varve.state",
                  .for_ever = true,
                  .status = absl::ResourceExhaustedError("disk full")});
  EXPECT_FALSE(log->AppendAsFollower(BatchAt(50), /*current_leader_epoch=*/0).ok());
  faulty.ClearRules();
  EXPECT_TRUE(IsPoisoned(log->AppendAsFollower(BatchAt(50), /*current_leader_epoch=*/0).status()));
}

}  // namespace
}  // namespace varve
