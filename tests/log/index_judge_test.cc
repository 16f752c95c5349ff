// Index entries held against batches one by one: what is a fault, and what is not judged since the bytes it points into
// are damaged, a marker is gone, or a writer is still at it.
#include "log/index_judge.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/path.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "segment/segment_files.h"
#include "support/status_matchers.h"

namespace varve::internal {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing_support::BatchesBytes;
using testing_support::kDirectory;
using testing_support::Partition;
using testing_support::WriteFile;

constexpr char kOffsets[] = "00000000000000000100.index";
constexpr char kTimes[] = "00000000000000000100.timeindex";
constexpr char kAborted[] = "00000000000000000100.txnindex";

struct Batch {
  int64_t base_offset;
  int64_t position;
  int64_t max_timestamp_ms;
  int64_t producer_id = -1;
  std::optional<int16_t> control_type = std::nullopt;
  bool is_control = false;
};

// Of two offsets and a hundred bytes each, from offset 100 on; the third is damaged.
std::vector<Batch> Batches() { return {{100, 0, 10}, {102, 100, 30}, {106, 300, 20}, {108, 400, 40}}; }
const DamagedRange kDamage{
    .segment = 100, .position = 200, .bytes = 100, .first_offset = 104, .last_offset = 105, .reason = "damaged"};
constexpr int64_t kEnd = 110;

class IndexJudgeTest : public ::testing::Test {
 protected:
  IndexJudgeTest() {
    indexes_.segment = {.base_offset = 100, .size_bytes = 500};
    indexes_.times = {{.timestamp_ms = 40, .offset = 109}};
  }

  // The files that have faults, in their order.
  std::vector<std::pair<std::string, int64_t>> Faults(const std::vector<Batch>& batches, int64_t limit_offset = kEnd) {
    const std::vector<DamagedRange> damage = {kDamage};
    IndexJudge judge(&indexes_, damage);
    for (const Batch& batch : batches) {
      BatchHeader header{};
      header.base_offset = batch.base_offset;
      header.last_offset_delta = 1;
      header.max_timestamp_ms = batch.max_timestamp_ms;
      header.producer_id = batch.producer_id;
      header.attributes = batch.is_control ? kControlBit | kTransactionalBit : 0;
      judge.Take(header, batch.position, batch.control_type);
    }
    std::vector<IndexFault> faults;
    judge.Finish(kEnd, limit_offset, &faults);
    std::vector<std::pair<std::string, int64_t>> found;
    for (const IndexFault& fault : faults) {
      EXPECT_FALSE(fault.reason.empty());
      found.emplace_back(fault.file, fault.entry);
    }
    return found;
  }

  SegmentIndexes indexes_;
};

TEST_F(IndexJudgeTest, AnEntryNamesABatchOrPointsIntoDamage) {
  indexes_.offsets = {{103, 100}, {104, 200}, {105, 299}, {107, 300}, {109, 400}};
  EXPECT_THAT(Faults(Batches()), IsEmpty());
  indexes_.offsets = {{101, 50}, {103, 199}, {105, 250}, {106, 310}, {109, 450}};
  EXPECT_THAT(Faults(Batches()), ElementsAre(std::pair(kOffsets, 0), std::pair(kOffsets, 1), std::pair(kOffsets, 3),
                                             std::pair(kOffsets, 4)));
}

TEST_F(IndexJudgeTest, AnEntrysOffsetIsAboveTheBatchBeforeAndBelowTheEnd) {
  indexes_.offsets = {{101, 100}, {kEnd, 400}};
  EXPECT_THAT(Faults(Batches()), ElementsAre(std::pair(kOffsets, 0), std::pair(kOffsets, 1)));
}

TEST_F(IndexJudgeTest, ATimeIsTheLargestOfItsBatchOrPointsIntoDamage) {
  indexes_.times = {{10, 101}, {30, 103}, {35, 104}, {36, 105}, {40, 109}};
  EXPECT_THAT(Faults(Batches()), IsEmpty());
  indexes_.times = {{11, 101}, {30, 102}, {31, 107}, {40, 108}};
  EXPECT_THAT(Faults(Batches()), ElementsAre(std::pair(kTimes, 0), std::pair(kTimes, 2)));
  // Of no batch: between two, before all, and behind the last.
  indexes_.times = {{5, 99}, {30, 103}, {40, 109}, {50, 120}};
  EXPECT_THAT(Faults(Batches()), ElementsAre(std::pair(kTimes, 0), std::pair(kTimes, 3)));
  // The batch of offset 106 has a timestamp of its own that is not the largest so far.
  indexes_.times = {{20, 106}, {40, 109}};
  EXPECT_THAT(Faults(Batches()), ElementsAre(std::pair(kTimes, 0)));
}

TEST_F(IndexJudgeTest, TheLastTimeIsTheSegmentsLargestUnlessTheIndexIsUnfinished) {
  indexes_.times = {{30, 103}};
  EXPECT_THAT(Faults(Batches()), ElementsAre(std::pair(kTimes, -1)));
  indexes_.times_are_whole = false;  // said already
  EXPECT_THAT(Faults(Batches()), IsEmpty());
  indexes_.times_are_whole = true;
  indexes_.state = IndexState::kLeft;
  EXPECT_THAT(Faults(Batches()), IsEmpty());
  indexes_.state = IndexState::kFinished;
  indexes_.times.clear();
  EXPECT_THAT(Faults(Batches()), ElementsAre(std::pair(kTimes, -1)));
}

TEST_F(IndexJudgeTest, AnAbortedTransactionEndsAtItsMarkerUnlessThatIsGone) {
  const auto entry = [](int64_t producer_id, int64_t last_offset) {
    return AbortedTransaction{
        .producer_id = producer_id, .first_offset = 100, .last_offset = last_offset, .last_stable_offset = last_offset};
  };
  const auto with_marker = [](int64_t producer_id, std::optional<int16_t> control_type) {
    std::vector<Batch> batches = Batches();
    batches[2].producer_id = producer_id;
    batches[2].control_type = control_type;
    batches[2].is_control = true;
    return batches;
  };
  const auto abort = static_cast<int16_t>(ControlType::kAbort);
  const auto commit = static_cast<int16_t>(ControlType::kCommit);
  indexes_.aborted = {entry(7, 107)};
  EXPECT_THAT(Faults(with_marker(7, abort)), IsEmpty());
  EXPECT_THAT(Faults(with_marker(7, std::nullopt)), IsEmpty());  // compaction took its record
  EXPECT_THAT(Faults(with_marker(8, abort)), ElementsAre(std::pair(kAborted, 0)));
  EXPECT_THAT(Faults(with_marker(7, commit)), ElementsAre(std::pair(kAborted, 0)));
  EXPECT_THAT(Faults(Batches()), ElementsAre(std::pair(kAborted, 0)));
  indexes_.aborted = {entry(7, 106)};  // within the batch
  EXPECT_THAT(Faults(with_marker(7, abort)), ElementsAre(std::pair(kAborted, 0)));
  indexes_.aborted = {entry(7, 105)};  // compaction took the batch
  EXPECT_THAT(Faults(with_marker(7, abort)), IsEmpty());
  indexes_.aborted = {entry(7, 115), entry(8, 120)};
  EXPECT_THAT(Faults(Batches(), /*limit_offset=*/118), ElementsAre(std::pair(kAborted, 1)));
}

TEST_F(IndexJudgeTest, EntriesBeyondWhatAWriterHasPublishedAreNotJudged) {
  indexes_.offsets = {{109, 400}, {115, 700}};
  indexes_.times = {{40, 109}, {50, 115}};
  indexes_.aborted = {{.producer_id = 7, .first_offset = 112, .last_offset = 115, .last_stable_offset = 116}};
  EXPECT_THAT(Faults(Batches()), ElementsAre(std::pair(kOffsets, 1), std::pair(kOffsets, 1), std::pair(kTimes, 1),
                                             std::pair(kAborted, 0)));
  indexes_.state = IndexState::kBeingWritten;
  EXPECT_THAT(Faults(Batches()), IsEmpty());
  indexes_.offsets = {{109, 450}};
  indexes_.times = {{35, 105}, {40, 120}};
  EXPECT_THAT(Faults(Batches()), ElementsAre(std::pair(kOffsets, 0)));
  // What it has published is judged as ever: here the last batch is gone.
  indexes_.offsets.clear();
  indexes_.times = {{30, 103}, {40, 109}};
  std::vector<Batch> batches = Batches();
  batches.pop_back();
  EXPECT_THAT(Faults(batches), ElementsAre(std::pair(kTimes, 1)));
}

// --- Reading the files ---

class ReadSegmentIndexesTest : public ::testing::Test {
 protected:
  ReadSegmentIndexesTest() {
    partition_.AddSegment(100, BatchesBytes(100, 105));
    Write(kOffsets, "");
    Write(kTimes, "");
  }

  void Write(const std::string& name, const std::string& content) {
    WriteFile(partition_.fs.get(), JoinPath(kDirectory, name), content);
  }

  SegmentIndexes Read(
      IndexState state, const std::function<void()>& between = [] {}) {
    const auto listing = ListPartition(partition_.fs.get(), kDirectory);
    between();
    auto indexes = ReadSegmentIndexes(partition_.fs.get(), kDirectory, listing.value(),
                                      {.base_offset = 100, .size_bytes = 500}, state);
    VARVE_EXPECT_OK(indexes.status());
    return indexes.ok() ? *std::move(indexes) : SegmentIndexes();
  }

  Partition partition_;
};

TEST_F(ReadSegmentIndexesTest, AFileThatHasGoneSinceItWasListedIsMissing) {
  Write(kAborted, std::string(TransactionIndex::kEntryBytes, '\0'));
  const SegmentIndexes indexes = Read(IndexState::kFinished, [&] {
    for (const char* name : {kOffsets, kTimes, kAborted}) {
      VARVE_ASSERT_OK(partition_.fs->Remove(JoinPath(kDirectory, name)));
    }
  });
  std::vector<std::string> files;
  for (const IndexFault& fault : indexes.faults) files.push_back(fault.file);
  EXPECT_THAT(files, ElementsAre(kOffsets, kTimes, kAborted));
  EXPECT_FALSE(indexes.times_are_whole);
}

TEST_F(ReadSegmentIndexesTest, OfTimesThatRiseTheOffsetsDoNotFall) {
  const auto entry = [](int64_t timestamp_ms, int32_t relative_offset) {
    std::string bytes(TimeIndex::kEntryBytes, '\0');
    std::byte* const out = std::as_writable_bytes(std::span(bytes)).data();
    StoreBigEndian(out, timestamp_ms);
    StoreBigEndian(out + sizeof(int64_t), relative_offset);
    return bytes;
  };
  Write(kTimes, entry(10, 3) + entry(20, 3) + entry(30, 2) + entry(40, 4));
  const SegmentIndexes indexes = Read(IndexState::kFinished);
  ASSERT_EQ(indexes.faults.size(), 1u);
  EXPECT_EQ(indexes.faults[0].file, kTimes);
  EXPECT_EQ(indexes.faults[0].entry, 2);
  EXPECT_THAT(indexes.faults[0].reason,
              ::testing::HasSubstr("above timestamp 20 with offset 103 expected, found timestamp 30 with offset 102"));
  EXPECT_EQ(indexes.times.size(), 2u);
  EXPECT_FALSE(indexes.times_are_whole);
}

TEST_F(ReadSegmentIndexesTest, HalfAnEntryIsAFaultUnlessAWriterIsAtIt) {
  const std::vector<AbortedTransaction> aborted = {
      {.producer_id = 7, .first_offset = 100, .last_offset = 103, .last_stable_offset = 104}};
  const std::vector<std::byte> entry = TransactionIndex::Encode(aborted);
  Write(kAborted, std::string(AsText(entry)) + "half");
  Write(kOffsets, "odd");
  Write(kTimes, "odd");
  const SegmentIndexes written = Read(IndexState::kBeingWritten);
  EXPECT_THAT(written.faults, IsEmpty());
  EXPECT_EQ(written.aborted, aborted);
  const SegmentIndexes left = Read(IndexState::kLeft);
  EXPECT_EQ(left.faults.size(), 3u);
  EXPECT_THAT(left.aborted, IsEmpty());
}

}  // namespace
}  // namespace varve::internal
