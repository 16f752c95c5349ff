#include "log/producer_rebuild.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/path.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "record/batch_format.h"
#include "state/producer_batches.h"
#include "state/producer_snapshot.h"
#include "support/status_matchers.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using ::testing::ElementsAreArray;
using ::testing::UnorderedElementsAreArray;

constexpr char kDirectory[] = "orders-0";

// A log whose segments are believed and hold nothing, so that only the names of the snapshots count.
class ProducerRebuildTest : public ::testing::Test {
 protected:
  ProducerRebuildTest() { VARVE_EXPECT_OK(memory_.CreateDirectory(kDirectory)); }

  std::string SnapshotPath(int64_t offset) { return JoinPath(kDirectory, ProducerSnapshotName(offset)); }

  // A producer for each snapshot, named by its offset.
  void WriteSnapshots(const std::vector<int64_t>& offsets) {
    for (const int64_t offset : offsets) {
      const std::vector<ProducerStateEntry> producers = {{.producer_id = offset}};
      VARVE_ASSERT_OK(WriteProducerSnapshot(&memory_, SnapshotPath(offset), producers, SnapshotSync::kNone));
    }
  }

  struct Rebuilt {
    std::vector<int64_t> snapshots;
    std::vector<std::string> removed;
    std::vector<int64_t> producer_ids;
  };

  Rebuilt Rebuild(int64_t log_start_offset, int64_t log_end_offset, const std::vector<int64_t>& base_offsets) {
    Rebuilt rebuilt;
    absl::StatusOr<std::vector<int64_t>> found = ListProducerSnapshots(&memory_, kDirectory);
    VARVE_EXPECT_OK(found.status());
    ProducerRebuild rebuild(&memory_, kDirectory, /*expiration_ms=*/1000, /*now_ms=*/0, {},
                            std::set<int64_t>(found->begin(), found->end()));
    VARVE_EXPECT_OK(rebuild.Finish(log_start_offset, log_end_offset, /*clean=*/true, base_offsets));
    std::vector<RecoveryFinding> findings;
    VARVE_EXPECT_OK(rebuild.Write(&findings));
    for (const RecoveryFinding& finding : findings) rebuilt.removed.push_back(finding.file);
    found = ListProducerSnapshots(&memory_, kDirectory);
    VARVE_EXPECT_OK(found.status());
    rebuilt.snapshots = *std::move(found);
    for (const ProducerStateEntry& entry : rebuild.Take()->entries()) rebuilt.producer_ids.push_back(entry.producer_id);
    return rebuilt;
  }

  MemoryFileSystem memory_;
};

// The newest of those at no segment's base is the log end's, which is always made.
TEST_F(ProducerRebuildTest, SnapshotsThatAreAtNoSegmentsBaseGo) {
  struct Case {
    std::vector<int64_t> snapshots;
    std::vector<int64_t> base_offsets;
    std::vector<int64_t> kept;
    std::vector<int64_t> removed;
  };
  const std::vector<Case> cases = {
      {{10, 20, 30}, {0, 10, 20}, {10, 20, 30}, {}},
      {{5, 10, 15, 20, 25, 30}, {0, 10, 20}, {10, 20, 30}, {5, 15, 25}},
      {{5, 10, 15}, {0, 10, 20}, {10, 30}, {5, 15}},
      {{5, 15}, {0, 10, 20}, {10, 20, 30}, {5, 15}},  // empty ones at the last two bases, as where there are none
      {{25}, {0, 10, 20}, {30}, {25}},
      {{10, 20, 40}, {0, 10, 20}, {10, 20, 30}, {40}},
      {{30}, {0}, {30}, {}},
  };
  for (const Case& c : cases) {
    WriteSnapshots(c.snapshots);
    std::vector<std::string> removed;
    for (const int64_t offset : c.removed) removed.push_back(ProducerSnapshotName(offset));
    const Rebuilt rebuilt = Rebuild(0, 30, c.base_offsets);
    const std::string snapshots = ::testing::PrintToString(c.snapshots);
    EXPECT_THAT(rebuilt.snapshots, ElementsAreArray(c.kept)) << snapshots;
    EXPECT_THAT(rebuilt.removed, UnorderedElementsAreArray(removed)) << snapshots;
    for (const int64_t offset : rebuilt.snapshots) VARVE_ASSERT_OK(memory_.Remove(SnapshotPath(offset)));
  }
}

TEST_F(ProducerRebuildTest, SnapshotsOutsideTheLogGo) {
  WriteSnapshots({10, 20, 30, 40});
  const Rebuilt rebuilt = Rebuild(20, 30, {20, 30, 40});
  EXPECT_THAT(rebuilt.snapshots, ElementsAreArray({30}));
  EXPECT_THAT(rebuilt.producer_ids, ElementsAreArray({30}));
}

// A stray goes because there is a newer one, though that lies outside of the log.
TEST_F(ProducerRebuildTest, NobodyIsKnownByASnapshotThatGoes) {
  WriteSnapshots({5, 40});
  const Rebuilt rebuilt = Rebuild(0, 30, {0});
  EXPECT_THAT(rebuilt.snapshots, ElementsAreArray({30}));
  EXPECT_THAT(rebuilt.producer_ids, ::testing::IsEmpty());
}

// The log start lies between two segments that are recovered, or in the first.
TEST_F(ProducerRebuildTest, WhatLiesBelowTheLogStartIsForgotten) {
  for (const int64_t log_start_offset : {1, 2, 20}) {
    ProducerRebuild rebuild(&memory_, kDirectory, /*expiration_ms=*/5000, /*now_ms=*/0, {}, {});
    for (const int64_t base_offset : {0, 30}) {
      VARVE_ASSERT_OK(rebuild.BeginSegment(log_start_offset, base_offset));
      std::optional<CompletedTransaction> completed;
      const std::vector<std::byte> batch =
          testing_support::DataBatch({.base_offset = base_offset, .producer_id = base_offset, .record_count = 2});
      rebuild.Add(RecordBatchView(batch), &completed);
      rebuild.EndSegment(base_offset + 2);
    }
    VARVE_ASSERT_OK(rebuild.Finish(log_start_offset, 32, /*clean=*/false, {0, 30}));
    std::vector<int64_t> producer_ids;
    for (const ProducerStateEntry& entry : rebuild.Take()->entries()) producer_ids.push_back(entry.producer_id);
    EXPECT_EQ(producer_ids, log_start_offset == 1 ? std::vector<int64_t>({0, 30}) : std::vector<int64_t>({30}))
        << log_start_offset;
  }
}

// Recovery cut all of the only segment that is left: who was known as of its base is not known to the next opening.
TEST_F(ProducerRebuildTest, ALogThatEndsAtItsStartKnowsNobody) {
  for (const int64_t log_end_offset : {30, 31}) {
    WriteSnapshots({20});
    ProducerRebuild rebuild(&memory_, kDirectory, /*expiration_ms=*/1000, /*now_ms=*/0, {}, {20});
    VARVE_ASSERT_OK(rebuild.BeginSegment(/*log_start_offset=*/10, /*base_offset=*/30));
    rebuild.EndSegment(log_end_offset);
    VARVE_ASSERT_OK(rebuild.Finish(/*log_start_offset=*/30, log_end_offset, /*clean=*/false, {30}));
    std::vector<RecoveryFinding> findings;
    VARVE_ASSERT_OK(rebuild.Write(&findings));
    const std::unique_ptr<ProducerStateManager> producers = rebuild.Take();
    EXPECT_EQ(producers->entries().empty(), log_end_offset == 30) << log_end_offset;
    VARVE_ASSERT_OK(producers->WriteSnapshot(log_end_offset, SnapshotSync::kNone));  // as closing does
    EXPECT_EQ(*ListProducerSnapshots(&memory_, kDirectory),
              log_end_offset == 30 ? std::vector<int64_t>{} : std::vector<int64_t>{31});
  }
}

// Three producers, of an offset each.
class ProducerReplayTest : public ProducerRebuildTest {
 protected:
  ProducerReplayTest() {
    for (int64_t offset = 0; offset < 3; ++offset) {
      const std::vector<std::byte> batch =
          testing_support::DataBatch({.base_offset = offset, .producer_id = 7 + offset});
      log_.append(AsText(batch));
    }
    testing_support::WriteFile(&memory_, JoinPath(kDirectory, "00000000000000000000.log"), log_);
  }

  std::vector<int64_t> ProducersOf(int64_t log_end_offset, bool clean) {
    ProducerRebuild rebuild(&memory_, kDirectory, /*expiration_ms=*/5000, /*now_ms=*/0,
                            {{.base_offset = 0, .size_bytes = static_cast<int64_t>(log_.size())}}, {});
    VARVE_EXPECT_OK(rebuild.Finish(/*log_start_offset=*/0, log_end_offset, clean, {0}));
    std::vector<int64_t> producer_ids;
    for (const ProducerStateEntry& entry : rebuild.Take()->entries()) producer_ids.push_back(entry.producer_id);
    return producer_ids;
  }

  std::string log_;
};

// After a clean stop there is a snapshot wherever there was anybody to know.
TEST_F(ProducerReplayTest, WithoutASnapshotTheBatchesTellUnlessTheLogWasClosed) {
  EXPECT_THAT(ProducersOf(3, /*clean=*/false), ElementsAreArray({7, 8, 9}));
  EXPECT_THAT(ProducersOf(3, /*clean=*/true), ::testing::IsEmpty());
}

TEST_F(ProducerReplayTest, BatchesBehindTheLogsEndTellNothing) {
  EXPECT_THAT(ProducersOf(2, /*clean=*/false), ElementsAreArray({7, 8}));
}

// Its checksum is good, so the log holds it; but nobody knows which end of the transaction it is.
TEST_F(ProducerRebuildTest, AMarkerThatCannotBeReadClosesNothing) {
  constexpr size_t kKeyVersionAt = 66;
  std::vector<std::byte> marker = testing_support::MarkerBatch(ControlType::kAbort, 1, 7);
  marker.at(kKeyVersionAt) = std::byte{0x80};  // below zero
  StoreBigEndian(marker.data() + kCrcPosition, Crc32c(std::span(marker).subspan(kAttributesPosition)));
  for (const bool recovered : {true, false}) {
    SCOPED_TRACE(recovered ? "recovered" : "replayed");
    const std::vector<std::byte> data =
        testing_support::DataBatch({.base_offset = 0, .producer_id = 7, .transactional = true});
    const std::string log = std::string(AsText(data)) + std::string(AsText(marker));
    testing_support::WriteFile(&memory_, JoinPath(kDirectory, "00000000000000000000.log"), log);
    ProducerRebuild rebuild(&memory_, kDirectory, /*expiration_ms=*/5000, /*now_ms=*/0,
                            {{.base_offset = 0, .size_bytes = static_cast<int64_t>(log.size())}}, {});
    if (recovered) {
      VARVE_ASSERT_OK(rebuild.BeginSegment(/*log_start_offset=*/0, /*base_offset=*/0));
      for (const std::vector<std::byte>& batch : {data, marker}) {
        std::optional<CompletedTransaction> completed;
        rebuild.Add(RecordBatchView(batch), &completed);
        EXPECT_FALSE(completed.has_value());
      }
      rebuild.EndSegment(2);
    }
    VARVE_ASSERT_OK(rebuild.Finish(/*log_start_offset=*/0, /*log_end_offset=*/2, /*clean=*/false, {0}));
    EXPECT_EQ(rebuild.Take()->FirstOpenOffset(), 0);
  }
}

// A snapshot below the newest readable one is not looked at.
TEST_F(ProducerRebuildTest, DamagedSnapshotsThatAreMetGo) {
  WriteSnapshots({10, 20, 30});
  for (const int64_t damaged : {10, 30}) {
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file,
                               memory_.Open(SnapshotPath(damaged), OpenMode::kReadWrite));
    VARVE_ASSERT_OK(file->Truncate(9));
  }
  const Rebuilt rebuilt = Rebuild(0, 35, {0, 10, 20, 30});
  EXPECT_THAT(rebuilt.snapshots, ElementsAreArray({10, 20, 35}));
  EXPECT_THAT(rebuilt.removed, ElementsAreArray({ProducerSnapshotName(30)}));
  EXPECT_THAT(rebuilt.producer_ids, ElementsAreArray({20}));
}

}  // namespace
}  // namespace varve::internal
