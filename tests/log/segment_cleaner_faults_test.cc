// A cleaning that fails leaves its sources as they were and nothing of its own; one that succeeds is on the disk.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/bad_sectors.h"
#include "log/cleaning_fixture.h"
#include "record/batch_header.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::internal {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::CleanGroup;
using testing_support::Cleaning;
using testing_support::CleaningBatch;
using testing_support::CleaningMarker;
using testing_support::FileMap;
using testing_support::FileSystemWithBadSectors;
using testing_support::InTransaction;
using testing_support::kDirectory;
using testing_support::ReadFiles;
using testing_support::StatusIs;
using testing_support::WriteFile;

constexpr int64_t kMiB = int64_t{1} << 20;

// Two segments of which all four files are made.
void AddSegments(Cleaning* cleaning) {
  cleaning->index_interval_bytes = 50;
  cleaning->aborted = {{.producer_id = 7, .first_offset = 1, .last_offset = 3, .last_stable_offset = 4}};
  cleaning->AddSegment(0, 10,
                       CleaningBatch({{0, "a", "1"}, {1, "b", "1"}}) +
                           CleaningBatch({{2, "b", "2"}}, InTransaction(7)) +
                           CleaningMarker(3, ControlType::kAbort, 7));
  cleaning->AddSegment(10, 20, CleaningBatch({{10, "a", "2"}}) + CleaningBatch({{11, "c", ""}}));
}

TEST(SegmentCleanerFaults, EveryOperationThatFailsLeavesTheSourcesAlone) {
  int fault_count = 0;
  for (uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE(nth);
    Cleaning cleaning;
    AddSegments(&cleaning);
    const FileMap before = ReadFiles(cleaning.partition.fs.get(), kDirectory);
    VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap());
    FaultyFileSystem faulty(cleaning.partition.fs.get());
    faulty.AddRule({.nth = nth});
    cleaning.file_system = &faulty;
    CleaningPass pass = cleaning.Pass(built);
    const absl::StatusOr<CleanedSegment> cleaned = CleanGroup(cleaning.sources, &pass);
    if (faulty.faults_fired() == 0) {
      VARVE_EXPECT_OK(cleaned);
      EXPECT_EQ(cleaning.Cleaned().size(), 4u);
      break;
    }
    ++fault_count;
    EXPECT_THAT(cleaned.status(), StatusIs(absl::StatusCode::kInternal, HasSubstr("injected fault")));
    EXPECT_EQ(ReadFiles(cleaning.partition.fs.get(), kDirectory), before);
  }
  // Four removals, two opened and read, four opened, written and synced.
  EXPECT_GE(fault_count, 4 + 2 * 2 + 4 * 3);
}

TEST(SegmentCleanerFaults, AFullDiskIsSaidToBeOne) {
  Cleaning cleaning;
  // Nothing can be removed, so that the output is as large as the source.
  std::string log;
  for (int64_t offset = 0; offset < 200; ++offset) {
    log += CleaningBatch({{offset, fmt::format("key {}", offset), std::string(1000, 'v')}});
  }
  cleaning.AddSegment(0, 200, log);
  const FileMap before = ReadFiles(cleaning.partition.fs.get(), kDirectory);
  const uint64_t used_bytes = cleaning.partition.fs->used_bytes();
  // Too little for the .log; enough for it, but for no index.
  for (const uint64_t room_bytes : {uint64_t{0}, uint64_t{100'000}, (log.size() + 4095) / 4096 * 4096}) {
    SCOPED_TRACE(room_bytes);
    cleaning.partition.fs->set_capacity_bytes(used_bytes + room_bytes);
    EXPECT_THAT(cleaning.Clean().status(), StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_EQ(ReadFiles(cleaning.partition.fs.get(), kDirectory), before);
    EXPECT_EQ(cleaning.partition.fs->used_bytes(), used_bytes);
  }
  cleaning.partition.fs->set_capacity_bytes(std::nullopt);
  VARVE_EXPECT_OK(cleaning.Clean());
}

TEST(SegmentCleanerFaults, ABadSectorEndsThePassWithItsPosition) {
  Cleaning cleaning;
  AddSegments(&cleaning);
  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap());
  FileSystemWithBadSectors bad(cleaning.partition.fs.get(), cleaning.partition.LogPath(10), 80, 1);
  cleaning.file_system = &bad;
  CleaningPass pass = cleaning.Pass(built);
  EXPECT_THAT(CleanGroup(cleaning.sources, &pass).status(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("00000000000000000010.log")));
  EXPECT_THAT(cleaning.Cleaned(), IsEmpty());
}

TEST(SegmentCleanerFaults, DamageEndsThePass) {
  Cleaning cleaning;
  AddSegments(&cleaning);
  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap());
  CleaningPass pass = cleaning.Pass(built);
  // Known, or met only now.
  std::vector<SourceSegment> sources = cleaning.sources;
  sources[1].damage = {
      {.segment = 10, .position = 70, .bytes = 70, .first_offset = 11, .last_offset = 11, .reason = "zeros"}};
  EXPECT_THAT(CleanGroup(sources, &pass).status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("00000000000000000010.log, position 70")));
  EXPECT_THAT(cleaning.Cleaned(), IsEmpty());
  cleaning.partition.FlipBit("00000000000000000010.log", 100);
  pass = cleaning.Pass(built);
  EXPECT_THAT(CleanGroup(cleaning.sources, &pass).status(),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("00000000000000000010.log, position 70: a checksum of")));
  EXPECT_THAT(cleaning.Cleaned(), IsEmpty());
}

TEST(SegmentCleanerFaults, MalformedRecordsAndMarkersEndThePass) {
  // The record count is one too high, under a good checksum.
  std::string data = CleaningBatch({{0, "a", "1"}});
  data[60] = 2;
  std::string marker = CleaningMarker(0, ControlType::kAbort, 7);
  marker[60] = 2;
  for (std::string* const log : {&data, &marker}) {
    SealBatch({reinterpret_cast<std::byte*>(log->data()), log->size()});
    Cleaning cleaning;
    cleaning.AddSegment(0, 10, "");
    VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap());
    cleaning.AddSegment(0, 10, *log);
    CleaningPass pass = cleaning.Pass(built);
    EXPECT_THAT(CleanGroup({&cleaning.sources[1], 1}, &pass).status(),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("00000000000000000000.log, position 0: ")));
    EXPECT_THAT(cleaning.Cleaned(), IsEmpty());
  }
}

TEST(SegmentCleanerFaults, DiscardedAtAnyStepItLeavesNothing) {
  for (int steps = 0;; ++steps) {
    SCOPED_TRACE(steps);
    Cleaning cleaning;
    AddSegments(&cleaning);
    const FileMap before = ReadFiles(cleaning.partition.fs.get(), kDirectory);
    VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap());
    CleaningPass pass = cleaning.Pass(built);
    SegmentCleaner cleaner(cleaning.sources, &pass);
    bool more = true;
    int64_t bytes_read = 0;
    for (int step = 0; step < steps && more; ++step) {
      VARVE_ASSERT_OK_AND_ASSIGN(more, cleaner.Step());
      EXPECT_EQ(cleaner.bytes_read() > bytes_read, more) << "a batch a step";
      bytes_read = cleaner.bytes_read();
    }
    if (!more) {
      VARVE_ASSERT_OK(cleaner.Finish());
    }
    cleaner.Discard();
    EXPECT_EQ(ReadFiles(cleaning.partition.fs.get(), kDirectory), before);
    if (!more) {
      EXPECT_EQ(steps, 6);
      break;
    }
  }
}

TEST(SegmentCleanerFaults, RefusesMoreThanASegmentHolds) {
  Cleaning cleaning;
  cleaning.AddSegment(0, 10, CleaningBatch({{0, "a", "1"}}));
  cleaning.AddSegment(10, (int64_t{1} << 31) + 10, CleaningBatch({{int64_t{1} << 31, "b", "1"}}));
  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap(0, 1000));
  CleaningPass pass = cleaning.Pass(built);
  EXPECT_THAT(CleanGroup(cleaning.sources, &pass).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("found 2147483648")));
  EXPECT_THAT(cleaning.Cleaned(), IsEmpty());
  cleaning.sources[0].size_bytes = 2'147'483'600;
  EXPECT_THAT(CleanGroup(cleaning.sources, &pass).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("segments of at most 2^31-1 bytes expected")));
}

TEST(SegmentCleanerFaults, LeftoversOfAnEarlierPassAreNoPartOfThisOne) {
  Cleaning cleaning;
  cleaning.AddSegment(0, 10, CleaningBatch({{0, "a", "1"}}));
  for (const char* const extension : {"log", "index", "timeindex", "txnindex"}) {
    WriteFile(cleaning.partition.fs.get(), fmt::format("{}/00000000000000000000.{}.cleaned", kDirectory, extension),
              std::string(500, 'x'));
  }
  VARVE_ASSERT_OK(cleaning.Clean());
  EXPECT_EQ(cleaning.Cleaned().size(), 3u);
  EXPECT_EQ(cleaning.CleanedLog(), cleaning.partition.Log(0));
}

TEST(SegmentCleanerFaults, WhatIsCleanedOutlivesAPowerLossOnceItsNamesAreSynced) {
  Cleaning cleaning;
  AddSegments(&cleaning);
  testing_support::SyncAll(cleaning.partition.fs.get(), kDirectory);
  VARVE_ASSERT_OK(cleaning.Clean());
  VARVE_ASSERT_OK(cleaning.partition.fs->SyncDirectory(kDirectory));
  const auto disk = cleaning.partition.fs->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  EXPECT_EQ(ReadFiles(disk.get(), kDirectory), ReadFiles(cleaning.partition.fs.get(), kDirectory));
}

// More than the buffer takes, in batches smaller and larger than it.
TEST(SegmentCleanerFaults, AnythingLargeIsWrittenInOrder) {
  Cleaning cleaning;
  std::string log;
  std::string expected;
  const std::vector<size_t> value_bytes = {10, 300'000, 700'000, 100'000, 2'500'000, 10, 1'100'000, 1'048'000, 64'000};
  int64_t offset = 0;
  for (const size_t bytes : value_bytes) {
    log += CleaningBatch({{offset, "superseded", "1"}});
    const std::string kept = CleaningBatch({{offset + 1, fmt::format("key {}", offset), std::string(bytes, 'v')}});
    log += kept;
    expected += kept;
    offset += 2;
  }
  const std::string last = CleaningBatch({{offset, "superseded", "2"}});
  cleaning.AddSegment(0, offset + 1, log + last);
  VARVE_ASSERT_OK_AND_ASSIGN(const CleanedSegment cleaned, cleaning.Clean());
  EXPECT_GT(cleaned.size_bytes, 5 * kMiB);
  EXPECT_TRUE(cleaning.CleanedLog() == expected + last);
}

}  // namespace
}  // namespace varve::internal
