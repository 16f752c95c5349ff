// Damage below the durable point, for each OnDamage; batches that are values of records; sectors that cannot be read.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "record/batch_format.h"
#include "support/status_matchers.h"

namespace varve::internal {
namespace {

using ::testing::IsEmpty;
using testing_support::BatchBytes;
using testing_support::BatchesBytes;
using testing_support::IsOk;
using testing_support::kDirectory;
using testing_support::Partition;
using testing_support::ReadFile;
using testing_support::ServedBatches;
using testing_support::SplitBatches;

constexpr char kFirstLog[] = "00000000000000000000.log";

int64_t SizeOf(const std::string& bytes) { return static_cast<int64_t>(bytes.size()); }

std::string Aside(Partition* partition, const std::string& offset) {
  return ReadFile(partition->fs.get(),
                  std::string(kDirectory) + "/varve.cut-" + std::string(20 - offset.size(), '0') + offset);
}

// Two segments of ten batches each, all of it durable; the batch at offset 3 is damaged in its body.
struct DamagedPartition : Partition {
  explicit DamagedPartition(OnDamage on_damage) {
    options.on_damage = on_damage;
    AddSegment(0, first);
    AddSegment(10, second);
    SetDurablePoint(10, SizeOf(second), 20, /*survived=*/false);
    FlipBit(kFirstLog, 3 * batch_bytes + 90);
    options.recover_all = true;
  }

  const std::string first = BatchesBytes(0, 10);
  const std::string second = BatchesBytes(10, 20);
  const int64_t batch_bytes = SizeOf(BatchesBytes(0, 1));
};

TEST(DamageRulesTest, KeepLeavesTheFilesAndServesTheRest) {
  DamagedPartition partition(OnDamage::kKeep);
  const std::string before = partition.Log(0);
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
  EXPECT_EQ(partition.Log(0), before);
  EXPECT_EQ(partition.Log(10), partition.second);
  EXPECT_EQ(loaded.log_end_offset, 20);
  EXPECT_EQ(ServedBatches(partition.fs.get(), loaded), SplitBatches(BatchesBytes(0, 3) + BatchesBytes(4, 20)));
}

TEST(DamageRulesTest, TruncateEndsTheLogBeforeTheDamageAndSavesAllBehindItAside) {
  DamagedPartition partition(OnDamage::kTruncate);
  const std::string before = partition.Log(0);
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    EXPECT_EQ(loaded.log_end_offset, 3);
    ASSERT_EQ(loaded.segments.size(), 1u);
    EXPECT_EQ(loaded.report.batches_saved_aside, 6 + 10);
    EXPECT_EQ(loaded.report.bytes_cut, 7 * partition.batch_bytes + SizeOf(partition.second));
  }
  EXPECT_EQ(partition.Log(0), BatchesBytes(0, 3));
  EXPECT_EQ(Aside(&partition, "3"), before.substr(static_cast<size_t>(3 * partition.batch_bytes)));
  EXPECT_EQ(Aside(&partition, "10"), partition.second);
  partition.options.on_damage = OnDamage::kKeep;
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog again, partition.Load());
  EXPECT_EQ(again.log_end_offset, 3);
  EXPECT_THAT(again.report.damage, IsEmpty());
  EXPECT_EQ(again.report.bytes_cut, 0);
}

TEST(DamageRulesTest, QuarantineMovesTheDamagedBytesOutAndLeavesAGap) {
  DamagedPartition partition(OnDamage::kQuarantine);
  const std::string before = partition.Log(0);
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    EXPECT_EQ(loaded.log_end_offset, 20);
    ASSERT_EQ(loaded.report.damage.size(), 1u);
    EXPECT_EQ(loaded.report.bytes_saved_aside, partition.batch_bytes);
  }
  EXPECT_EQ(partition.Log(0), BatchesBytes(0, 3) + BatchesBytes(4, 10));
  EXPECT_EQ(Aside(&partition, "3"),
            before.substr(static_cast<size_t>(3 * partition.batch_bytes), static_cast<size_t>(partition.batch_bytes)));
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog again, partition.Load());
  EXPECT_THAT(again.report.damage, IsEmpty());
  EXPECT_EQ(ServedBatches(partition.fs.get(), again), SplitBatches(BatchesBytes(0, 3) + BatchesBytes(4, 20)));
}

TEST(DamageRulesTest, QuarantinedEndOfTheLogIsAGapForGood) {
  Partition partition;
  const std::string log = BatchesBytes(0, 10);
  const int64_t batch_bytes = SizeOf(BatchesBytes(0, 1));
  partition.AddSegment(0, log);
  partition.SetDurablePoint(0, SizeOf(log), 10, /*survived=*/true);
  partition.FlipBit(kFirstLog, 9 * batch_bytes + 90);
  partition.options.on_damage = OnDamage::kQuarantine;
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    EXPECT_EQ(loaded.log_end_offset, 10);
    ASSERT_EQ(loaded.report.damage.size(), 1u);
  }
  EXPECT_EQ(partition.Log(0), BatchesBytes(0, 9));
  EXPECT_EQ(Aside(&partition, "9"), [&] {
    std::string damaged = log.substr(static_cast<size_t>(9 * batch_bytes));
    damaged[90] = static_cast<char>(damaged[90] ^ 1);
    return damaged;
  }());
  for (const OnDamage on_damage : {OnDamage::kKeep, OnDamage::kQuarantine}) {
    partition.options.on_damage = on_damage;
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog again, partition.Load());
    EXPECT_EQ(again.log_end_offset, 10);
    EXPECT_THAT(again.report.damage, IsEmpty());
  }
}

// Batches that stand in a record's value, or in its last header, so that they end where the outer batch ends. Whatever
// bit of the outer batch is flipped, none of them may become a batch of the log, and no other batch may be lost.
struct NestedCase {
  const char* name;
  testing_support::TestBatch outer;
  int64_t next_offset;
};

class NestedBatchesTest : public ::testing::TestWithParam<NestedCase> {};

TEST_P(NestedBatchesTest, NeverBecomeTheLogsOwn) {
  const std::string outer = BatchBytes(GetParam().outer);
  const std::string front = BatchesBytes(0, 5);
  const std::string behind = BatchesBytes(GetParam().next_offset, GetParam().next_offset + 4);
  const std::string log = front + outer + behind;
  const std::vector<std::string> all = SplitBatches(log);
  for (size_t byte = 0; byte < outer.size(); ++byte) {
    SCOPED_TRACE(byte);
    Partition partition;
    partition.AddSegment(0, log);
    partition.SetDurablePoint(0, SizeOf(log), GetParam().next_offset + 4, /*survived=*/byte % 2 == 0);
    partition.FlipBit(kFirstLog, SizeOf(front) + static_cast<int64_t>(byte), static_cast<int>(byte % 8));
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    ASSERT_EQ(loaded.log_end_offset, GetParam().next_offset + 4);
    std::vector<std::string> served = ServedBatches(partition.fs.get(), loaded);
    if (served.size() == all.size()) {
      // Only the first 17 bytes are outside the checksum; of them the epoch cannot always be told.
      ASSERT_LT(byte, 17u);
      continue;
    }
    std::vector<std::string> expected = all;
    expected.erase(expected.begin() + 5);
    ASSERT_TRUE(served == expected) << served.size() << " batches, expected " << expected.size();
    ASSERT_EQ(loaded.report.damage.size(), 1u);
    ASSERT_EQ(loaded.report.damage[0].position, SizeOf(front));
    ASSERT_EQ(loaded.report.damage[0].bytes, SizeOf(outer));
  }
}

const std::string kInner = BatchesBytes(6, 8);

INSTANTIATE_TEST_SUITE_P(
    , NestedBatchesTest,
    ::testing::Values(
        NestedCase{"InTheValue", {.base_offset = 5, .value = kInner}, 6},
        NestedCase{"InTheValueBeforeAGap", {.base_offset = 5, .value = kInner}, 8},
        NestedCase{"AtTheEnd", {.base_offset = 5, .value = "v", .header = Header{.key = "h", .value = kInner}}, 6},
        NestedCase{
            "AtTheEndBeforeAGap", {.base_offset = 5, .value = "v", .header = Header{.key = "h", .value = kInner}}, 8},
        NestedCase{"AtTheEndOfSeveralRecords",
                   {.base_offset = 5, .record_count = 3, .value = "v", .header = Header{.key = "h", .value = kInner}},
                   8}),
    [](const auto& param) { return std::string(param.param.name); });

// The outer batch's header is gone, and as much more as leaves the batches in its value whole: only what they lead to
// shows that they are not the log's.
TEST(DamageRulesTest, BatchesInTheValueOfABatchWithoutAHeaderAreNotTheLogsOwn) {
  const std::string outer = BatchBytes({.base_offset = 5, .value = kInner});
  const std::string front = BatchesBytes(0, 5);
  const std::string behind = BatchesBytes(6, 10);
  for (const char fill : {'\0', '\xff'}) {
    for (size_t lost = kBatchHeaderBytes; lost <= outer.find(kInner); ++lost) {
      SCOPED_TRACE(::testing::Message() << lost << " bytes of " << int{fill});
      Partition partition;
      partition.AddSegment(0, front + outer + behind);
      partition.SetDurablePoint(0, SizeOf(front + outer + behind), 10, /*survived=*/true);
      VARVE_ASSERT_OK_AND_ASSIGN(const auto file, partition.fs->Open(partition.LogPath(0), OpenMode::kReadWrite));
      VARVE_ASSERT_OK(file->WriteAt(front.size(), AsBytes(std::string(lost, fill))));
      VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
      ASSERT_TRUE(ServedBatches(partition.fs.get(), loaded) == SplitBatches(front + behind));
      ASSERT_EQ(loaded.report.damage.size(), 1u);
      ASSERT_EQ(loaded.report.damage[0].bytes, SizeOf(outer));
    }
  }
}

// The first batch of an epoch is looked at more closely than others, beside the one behind it.
TEST(DamageRulesTest, ABaseOffsetWithinTheBatchBeforeIsNotThatBatchsFault) {
  const std::string front = BatchesBytes(0, 5);
  const std::string first_of_epoch = BatchBytes({.base_offset = 5, .record_count = 2, .leader_epoch = 1});
  const std::string all = front + first_of_epoch + BatchesBytes(7, 10, /*leader_epoch=*/1);
  Partition partition;
  partition.AddSegment(0, all);
  partition.SetDurablePoint(0, SizeOf(all), 10, /*survived=*/true);
  partition.FlipBit(kFirstLog, SizeOf(front + first_of_epoch) + 7, 0);  // 7 becomes 6
  VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
  EXPECT_THAT(loaded.report.damage, IsEmpty());
  EXPECT_TRUE(ServedBatches(partition.fs.get(), loaded) == SplitBatches(all));
}

// What is closed at an offset lost none behind it, whatever stands in the values of its last batch.
TEST(DamageRulesTest, ADamagedLastBatchBelowTheDurablePointLosesItsOwnOffsetsAlone) {
  const std::string all = BatchesBytes(0, 5) + BatchBytes({.base_offset = 5, .value = kInner});
  for (const bool survived : {true, false}) {
    Partition partition;
    partition.AddSegment(0, all);
    partition.SetDurablePoint(0, SizeOf(all), 6, survived);
    partition.FlipBit(kFirstLog, SizeOf(all) - 1);
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    EXPECT_EQ(loaded.log_end_offset, 6);
    ASSERT_EQ(loaded.report.damage.size(), 1u);
    EXPECT_EQ(loaded.report.damage[0].first_offset, 5);
    EXPECT_EQ(loaded.report.damage[0].last_offset, 5);
  }
}

TEST(DamageRulesTest, AnAppendedBatchCutShortHidesTheBatchesInItsValue) {
  const std::string front = BatchesBytes(0, 5);
  const std::string torn = BatchBytes({.base_offset = 5, .value = kInner + BatchesBytes(8, 12)});
  for (const bool survived : {true, false}) {
    Partition partition;
    partition.AddSegment(0, front + torn.substr(0, torn.size() - 30));
    partition.SetDurablePoint(0, SizeOf(front), 5, survived);
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, partition.Load());
    EXPECT_EQ(loaded.log_end_offset, 5);
    EXPECT_EQ(partition.Log(0), front);
    EXPECT_THAT(loaded.report.damage, IsEmpty());
  }
}

}  // namespace
}  // namespace varve::internal
