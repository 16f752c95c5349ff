// What an append that was refused leaves behind: nothing, in the file, in the indexes, in what is known of producers,
// whether the process goes on, dies or the power fails.
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "log/log_places.h"
#include "state/producer_batches.h"
#include "varve/errors.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::ExpectRecords;
using testing_support::kPartition;
using testing_support::OpenLog;
using testing_support::StatusIs;
using testing_support::ValueAt;

class LogRefusedTest : public ::testing::TestWithParam<IoMode> {
 protected:
  LogRefusedTest() : faulty_(&disk_) {
    options_.file_system = &faulty_;
    options_.clock = &clock_;
    options_.io_mode = GetParam();
    options_.segment_bytes = 1 << 20;
    options_.index_interval_bytes = 100;
  }

  // What the dead process, and the machine after a power loss, left: the log as it was told of, or a shorter one.
  void ExpectAfterDeath(int64_t end_offset) {
    LogOptions options = options_;
    const auto killed = disk_.CloneAfterProcessDeath();
    options.file_system = killed.get();
    ExpectSound(*OpenLog(kPartition, options), end_offset, end_offset);
    for (uint64_t seed = 0; seed < 16; ++seed) {
      SCOPED_TRACE(seed);
      const auto crashed = disk_.CloneAfterCrash({.seed = seed, .mode = CrashMode::kRandom});
      options.file_system = crashed.get();
      ExpectSound(*OpenLog(kPartition, options), 0, end_offset);
    }
  }

  static void ExpectSound(const Log& log, int64_t least_end, int64_t most_end) {
    EXPECT_GE(log.log_end_offset(), least_end);
    EXPECT_LE(log.log_end_offset(), most_end);
    EXPECT_TRUE(log.damage().empty());
    ExpectRecords(log, 0, log.log_end_offset());
  }

  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  MemoryFileSystem disk_;
  FaultyFileSystem faulty_;
  LogOptions options_;
};

INSTANTIATE_TEST_SUITE_P(, LogRefusedTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

// Batches as a leader has them, of one record each: a value of its own, so that none can be taken for AppendNext's.
std::vector<std::byte> LeadersBatches(int64_t first_offset, const std::vector<size_t>& value_sizes) {
  std::vector<std::byte> all;
  for (const size_t size : value_sizes) {
    RecordBatchBuilder builder({.base_offset = first_offset++});
    const std::string value(size, 'x');
    EXPECT_TRUE(builder.Add({.value = value, .timestamp_ms = 1}).ok());
    const auto bytes = builder.Build();
    EXPECT_TRUE(bytes.ok()) << bytes.status();
    all.insert(all.end(), bytes->begin(), bytes->end());
  }
  return all;
}

// Two batches are in the file when the third, large enough to go by a write call in either mode, finds the disk full
// half way.
TEST_P(LogRefusedTest, BatchesOfARefusedAppendNeverComeBack) {
  const auto log = OpenLog(kPartition, options_);
  AppendMany(log.get(), 5);
  const uint64_t written = GetParam() == IoMode::kMapped ? 0 : 2;
  faulty_.AddRule({.operation = FileOperation::kWrite,
                   .path_part = ".log",
                   .nth = written + 1,
                   .status = absl::ResourceExhaustedError("disk full"),
                   .partial_bytes = 1000});
  const auto refused = log->AppendAsFollower(LeadersBatches(5, {900, 900, 100'000}), 0);
  ASSERT_THAT(refused, StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(faulty_.faults_fired(), 1u);
  EXPECT_EQ(log->log_end_offset(), 5);
  ExpectAfterDeath(5);

  // A shorter batch in their place leaves nothing of them behind it.
  AppendNext(log.get());
  ExpectAfterDeath(6);
  AppendMany(log.get(), 10);
  VARVE_ASSERT_OK(log->Close());
  ExpectAfterDeath(16);
}

// Bytes that cannot be taken back would come back: the log takes no appends until opening has judged them.
TEST_P(LogRefusedTest, BytesThatCannotBeTakenBackPoison) {
  const auto log = OpenLog(kPartition, options_);
  AppendMany(log.get(), 5);
  const uint64_t written = GetParam() == IoMode::kMapped ? 0 : 2;
  faulty_.AddRule({.operation = FileOperation::kWrite,
                   .path_part = ".log",
                   .nth = written + 1,
                   .status = absl::ResourceExhaustedError("disk full")});
  faulty_.AddRule({.operation = FileOperation::kTruncate,
                   .path_part = ".log",
                   .status = absl::ResourceExhaustedError("no room to cut")});
  const auto refused = log->AppendAsFollower(LeadersBatches(5, {900, 900, 100'000}), 0);
  EXPECT_THAT(refused, StatusIs(absl::StatusCode::kFailedPrecondition, ::testing::HasSubstr("no room to cut")));
  EXPECT_TRUE(IsPoisoned(refused.status()));
  EXPECT_TRUE(IsPoisoned(log->Append({{.value = "v"}}).status()));
  ExpectRecords(*log, 0, 5);
}

}  // namespace
}  // namespace varve
