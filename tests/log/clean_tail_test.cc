// What is looked at after a clean stop: the batches of the tail, and the last entry of the time index. What they show to be
// wrong is read, and put right.
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <span>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"

namespace varve::internal {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::BatchBytes;
using testing_support::BatchesBytes;
using testing_support::kDirectory;
using testing_support::Partition;
using testing_support::ReadFile;
using testing_support::WriteFile;

constexpr char kFirstLog[] = "00000000000000000000.log";
constexpr char kTimeIndex[] = "00000000000000000000.timeindex";
constexpr int64_t kEpochMs = 1'700'000'000'000;

// Twelve batches of one size; the largest timestamp is the sixth's. Closed cleanly, with all indexes.
class CleanTailTest : public ::testing::Test {
 protected:
  static constexpr int64_t kEnd = 12;
  static constexpr int64_t kNewest = 5;

  CleanTailTest() {
    for (int64_t offset = 0; offset < kEnd; ++offset) log_ += Batch(offset, TimestampOf(offset));
    SetUpClosed(log_);
  }

  static int64_t TimestampOf(int64_t offset) { return kEpochMs + (offset == kNewest ? 1000 : offset); }
  static std::string Batch(int64_t offset, int64_t timestamp_ms) {
    return BatchBytes({.base_offset = offset, .timestamp_ms = timestamp_ms});
  }

  void SetUpClosed(const std::string& log) {
    partition_.AddSegment(0, log);
    VARVE_EXPECT_OK(partition_.Load());  // makes the indexes
    partition_.SetDurablePoint(0, static_cast<int64_t>(log.size()), kEnd, /*survived=*/true, /*clean=*/true);
  }

  // In place, as a device changes bytes.
  void WriteOver(int64_t offset, int64_t from, const std::string& bytes) {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file, partition_.fs->Open(partition_.LogPath(0), OpenMode::kReadWrite));
    VARVE_ASSERT_OK(file->WriteAt(static_cast<uint64_t>(offset * kBatchBytes + from), AsBytes(bytes)));
  }

  std::string TimePath() const { return absl::StrCat(kDirectory, "/", kTimeIndex); }
  void WriteTimeIndex(std::initializer_list<TimestampOffset> entries) {
    std::string bytes;
    for (const TimestampOffset& entry : entries) {
      std::string encoded(TimeIndex::kEntryBytes, '\0');
      std::byte* const out = std::as_writable_bytes(std::span(encoded)).data();
      StoreBigEndian(out, entry.timestamp_ms);
      StoreBigEndian(out + sizeof(int64_t), static_cast<int32_t>(entry.offset));
      bytes += encoded;
    }
    WriteFile(partition_.fs.get(), TimePath(), bytes);
  }

  const int64_t kBatchBytes = static_cast<int64_t>(BatchesBytes(0, 1).size());
  std::string log_;
  Partition partition_;
};

TEST_F(CleanTailTest, ABaseOffsetOfTheTailThatCannotBeIsMendedAndToldOf) {
  const int64_t last = kEnd - 1;
  for (const int64_t found : {int64_t{-1}, last - 1, last + (int64_t{1} << 31), std::numeric_limits<int64_t>::max()}) {
    SCOPED_TRACE(found);
    std::string bytes(sizeof(int64_t), '\0');
    StoreBigEndian(std::as_writable_bytes(std::span(bytes)).data(), found);
    ASSERT_NO_FATAL_FAILURE(WriteOver(last, 0, bytes));
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition_.Load());
    EXPECT_FALSE(loaded.report.clean);
    EXPECT_EQ(loaded.log_end_offset, kEnd);
    EXPECT_THAT(loaded.report.damage, IsEmpty());
    EXPECT_THAT(
        loaded.report.findings,
        Contains(AllOf(Field(&RecoveryFinding::action, RecoveryAction::kIgnored), Field(&RecoveryFinding::rule, "9"),
                       Field(&RecoveryFinding::file, kFirstLog),
                       Field(&RecoveryFinding::evidence,
                             HasSubstr(absl::StrCat("position ", last * kBatchBytes, ": base offset of at least ", last,
                                                    " expected, found ", found))))));
    EXPECT_EQ(partition_.Log(0), log_);
    partition_.SetDurablePoint(0, kEnd * kBatchBytes, kEnd, /*survived=*/true, /*clean=*/true);
  }
}

// The tail begins behind it; only the last time is looked for there.
TEST_F(CleanTailTest, AMagicThatFlippedBeforeTheNewestBatchIsMetAndMended) {
  for (const char magic : {'\0', '\1', '\7'}) {
    SCOPED_TRACE(static_cast<int>(magic));
    ASSERT_NO_FATAL_FAILURE(WriteOver(kNewest - 1, 16, std::string(1, magic)));
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition_.Load());
    EXPECT_EQ(loaded.log_end_offset, kEnd);
    EXPECT_EQ(loaded.report.segments_recovered, 1);
    EXPECT_THAT(loaded.report.findings, Contains(AllOf(Field(&RecoveryFinding::action, RecoveryAction::kMended),
                                                       Field(&RecoveryFinding::position, (kNewest - 1) * kBatchBytes),
                                                       Field(&RecoveryFinding::first_offset, kNewest - 1))));
    EXPECT_EQ(partition_.Log(0), log_);
    partition_.SetDurablePoint(0, kEnd * kBatchBytes, kEnd, /*survived=*/true, /*clean=*/true);
  }
}

TEST_F(CleanTailTest, ALastTimeThatIsNotTheLargestOfItsBatchIsMadeAnew) {
  const std::string good = ReadFile(partition_.fs.get(), TimePath());
  const TimestampOffset first{TimestampOf(2), 2};
  for (const TimestampOffset& last : {TimestampOffset{TimestampOf(6), 6},      // a larger one before it
                                      TimestampOffset{TimestampOf(5) + 1, 5},  // of no batch
                                      TimestampOffset{TimestampOf(5), 6}}) {   // of the batch before
    SCOPED_TRACE(absl::StrCat(last.timestamp_ms, " with offset ", last.offset));
    ASSERT_NO_FATAL_FAILURE(WriteTimeIndex({first, last}));
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition_.Load());
    EXPECT_TRUE(loaded.report.clean);
    EXPECT_EQ(loaded.report.segments_recovered, 1);
    EXPECT_THAT(loaded.report.findings, Contains(AllOf(Field(&RecoveryFinding::action, RecoveryAction::kRebuilt),
                                                       Field(&RecoveryFinding::file, kTimeIndex))));
    EXPECT_EQ(ReadFile(partition_.fs.get(), TimePath()), good);
    partition_.SetDurablePoint(0, kEnd * kBatchBytes, kEnd, /*survived=*/true, /*clean=*/true);
  }
}

TEST_F(CleanTailTest, WithoutTimesTheIndexIsMadeAnewUnlessTheBatchesHaveNone) {
  const std::string good = ReadFile(partition_.fs.get(), TimePath());
  ASSERT_NO_FATAL_FAILURE(WriteTimeIndex({}));
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition_.Load());
  EXPECT_TRUE(loaded.report.clean);
  EXPECT_EQ(loaded.report.segments_recovered, 1);
  EXPECT_EQ(ReadFile(partition_.fs.get(), TimePath()), good);
  std::string log;
  for (int64_t offset = 0; offset < kEnd; ++offset) log += Batch(offset, kNoTimestamp);
  SetUpClosed(log);
  ASSERT_EQ(ReadFile(partition_.fs.get(), TimePath()), "");
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog without, partition_.Load());
  EXPECT_TRUE(without.report.clean);
  EXPECT_EQ(without.report.segments_recovered, 0);
}

// An entry names the batch that reached its timestamp first, as a rule; an older Kafka's may name a later one.
TEST_F(CleanTailTest, OfTwoBatchesWithTheLargestTimestampEitherMayBeNamed) {
  std::string log;
  for (int64_t offset = 0; offset < kEnd; ++offset) {
    log += Batch(offset, offset == kNewest + 1 ? TimestampOf(kNewest) : TimestampOf(offset));
  }
  SetUpClosed(log);
  for (const int64_t named : {kNewest, kNewest + 1}) {
    SCOPED_TRACE(named);
    ASSERT_NO_FATAL_FAILURE(WriteTimeIndex({{TimestampOf(2), 2}, {TimestampOf(kNewest), named}}));
    const std::string before = ReadFile(partition_.fs.get(), TimePath());
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition_.Load());
    EXPECT_TRUE(loaded.report.clean);
    EXPECT_EQ(loaded.report.segments_recovered, 0);
    EXPECT_EQ(ReadFile(partition_.fs.get(), TimePath()), before);
    partition_.SetDurablePoint(0, kEnd * kBatchBytes, kEnd, /*survived=*/true, /*clean=*/true);
  }
}

// Whoever stopped last says how: varve did not, as its state is of another log.
TEST(CleanMarkTest, OfALogWhoseSegmentsAreGoneCountsAsItIs) {
  for (const std::optional<bool> mark : {std::optional<bool>(), std::optional(false), std::optional(true)}) {
    Partition partition;
    partition.AddSegment(0, BatchesBytes(0, 10));
    partition.SetDurablePoint(0, static_cast<int64_t>(partition.Log(0).size()), 10, /*survived=*/true, /*clean=*/true);
    VARVE_ASSERT_OK(partition.fs->Remove(partition.LogPath(0)));
    partition.options.marks = {.clean = mark, .log_start_offset = 7};
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    EXPECT_EQ(loaded.report.clean, mark.value_or(false));
    EXPECT_EQ(loaded.log_start_offset, 7);
    EXPECT_EQ(loaded.log_end_offset, 7);
    EXPECT_THAT(loaded.report.findings,
                Contains(AllOf(Field(&RecoveryFinding::file, PartitionState::kFileName),
                               Field(&RecoveryFinding::evidence, HasSubstr("segment 0 absent")))));
  }
}

}  // namespace
}  // namespace varve::internal
