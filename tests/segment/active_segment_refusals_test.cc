// An active segment where the disk is full, preallocation is not to be had, or a write fails.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "segment/active_segment_fixture.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::internal {
namespace {

using ::testing::HasSubstr;
using testing_support::Append;
using testing_support::LargeBatch;
using testing_support::MakeBatch;
using testing_support::Put;
using testing_support::ReferenceSegment;
using testing_support::StatusIs;

class ActiveSegmentRefusalsTest : public testing_support::ActiveSegmentTest {};

// A disk of every size: an append that finds no room changes nothing, and succeeds once there is some.
TEST_F(ActiveSegmentRefusalsTest, AFullDiskStopsAppendsUntilThereIsRoom) {
  constexpr int64_t kBlockBytes = 4096;
  for (const bool mapped : {true, false}) {
    for (int64_t blocks = 0; blocks <= 100; ++blocks) {
      SCOPED_TRACE(::testing::Message() << (mapped ? "mapped, " : "by writes, ") << blocks << " blocks");
      auto disk = std::make_shared<MemoryFileSystem>();
      VARVE_ASSERT_OK(disk->CreateDirectory("orders-0"));
      disk->set_capacity_bytes(static_cast<uint64_t>(blocks * kBlockBytes));
      options_.file_system = disk;
      options_.mapped = mapped;
      const auto active = Create();
      ReferenceSegment expected(0);
      int refused = 0;
      while (expected.end().end_position < 400'000) {
        const int64_t offset = expected.next_offset();
        const std::vector<std::byte> bytes = offset % 4 == 3
                                                 ? LargeBatch(offset, 80'000)
                                                 : MakeBatch({.base_offset = offset, .value = std::string(3000, 's')});
        const absl::Status appended = offset % 2 == 0 ? Put(active.get(), bytes) : Append(active.get(), bytes);
        if (!appended.ok()) {
          ASSERT_THAT(appended, StatusIs(absl::StatusCode::kResourceExhausted));
          ++refused;
          VARVE_ASSERT_OK(active->Discard());
          ASSERT_EQ(active->end(), expected.end());
          ExpectReads(*active, expected);
          // Room for one more large batch and the step ahead of it.
          disk->set_capacity_bytes(disk->used_bytes() + 100'000);
          VARVE_ASSERT_OK(offset % 2 == 0 ? Put(active.get(), bytes) : Append(active.get(), bytes));
        }
        active->Publish();
        expected.Add(bytes);
      }
      EXPECT_GE(refused, blocks == 0 ? 3 : blocks < 90 ? 1 : 0);
      ExpectReads(*active, expected);
      disk->set_capacity_bytes(std::nullopt);
      VARVE_ASSERT_OK(active->Seal());
      ExpectSealedFiles(expected);
    }
  }
}

// Where a whole step does not fit, what is asked for still may.
TEST_F(ActiveSegmentRefusalsTest, ANearlyFullDiskGivesItsLastBlocks) {
  memory_->set_capacity_bytes(3 * 4096);
  const auto active = Create();
  ReferenceSegment expected(0);
  absl::Status status;
  while (status.ok()) {
    const std::vector<std::byte> bytes = MakeBatch({.base_offset = expected.next_offset()});
    status = Put(active.get(), bytes);
    if (status.ok()) expected.Add(bytes);
  }
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted));
  active->Publish();
  EXPECT_GT(expected.end().end_position, 3 * 4096 - 100);
  ExpectReads(*active, expected);
}

TEST_F(ActiveSegmentRefusalsTest, WithoutPreallocationItWritesByCalls) {
  const MemoryFileSystem::Options no_promise{.allocation_is_promise = false};
  auto disk = std::make_shared<MemoryFileSystem>(no_promise);
  VARVE_ASSERT_OK(disk->CreateDirectory("orders-0"));
  options_.file_system = disk;
  const auto active = Create();
  ReferenceSegment expected(0);
  for (int64_t offset = 0; offset < 40; ++offset) {
    const std::vector<std::byte> bytes = MakeBatch({.base_offset = offset, .value = std::string(100, 'v')});
    VARVE_ASSERT_OK(Put(active.get(), bytes));
    active->Publish();
    expected.Add(bytes);
    EXPECT_FALSE(active->mapped());
  }
  ExpectReads(*active, expected);
  VARVE_ASSERT_OK(active->Seal());
  ExpectSealedFiles(expected);
}

// A kernel or file system may stop offering it at any time: what is mapped and written so far stays.
TEST_F(ActiveSegmentRefusalsTest, LosingAllocationOrPopulationMidwayFallsBackToWrites) {
  for (const FileOperation operation : {FileOperation::kAllocate, FileOperation::kPopulate}) {
    for (uint64_t nth = 1; nth <= 4; ++nth) {
      auto disk = std::make_shared<MemoryFileSystem>();
      VARVE_ASSERT_OK(disk->CreateDirectory("orders-0"));
      auto faulty = std::make_shared<FaultyFileSystem>(disk.get());
      const size_t rule = faulty->AddRule(
          {.operation = operation, .nth = nth, .for_ever = true, .status = absl::UnimplementedError("not here")});
      options_.file_system = faulty;
      const auto active = Create();
      ReferenceSegment expected(0);
      while (expected.end().end_position < 3'000'000) {
        const std::vector<std::byte> bytes =
            MakeBatch({.base_offset = expected.next_offset(), .value = std::string(30'000, 'v')});
        VARVE_ASSERT_OK(Put(active.get(), bytes));
        active->Publish();
        expected.Add(bytes);
        clock_.AdvanceMs(1000);  // steps stay small
      }
      EXPECT_EQ(faulty->faults_fired(rule), 1u);
      EXPECT_FALSE(active->mapped());
      ExpectReads(*active, expected);
      VARVE_ASSERT_OK(active->Seal());
      ExpectSealedFiles(expected);
    }
  }
}

// What is not a full disk comes back as it is, for the log to be poisoned by.
TEST_F(ActiveSegmentRefusalsTest, OtherWriteErrorsAreGivenAsTheyAre) {
  for (const bool large : {false, true}) {
    auto faulty = std::make_shared<FaultyFileSystem>(memory_.get());
    options_.file_system = faulty;
    options_.mapped = false;
    const auto active = Create();
    faulty->AddRule({.operation = FileOperation::kWrite,
                     .path_part = ".log",
                     .status = absl::InternalError("EIO"),
                     .partial_bytes = 10});
    const std::vector<std::byte> bytes = large ? LargeBatch(0, 600'000) : MakeBatch({});
    EXPECT_THAT(Append(active.get(), bytes), StatusIs(absl::StatusCode::kInternal, HasSubstr("EIO")));
    EXPECT_EQ(active->end(), (PublishedEnd{0, 0}));
  }
  auto faulty = std::make_shared<FaultyFileSystem>(memory_.get());
  faulty->AddRule({.operation = FileOperation::kAllocate, .status = absl::InternalError("EIO")});
  options_.file_system = faulty;
  options_.mapped = true;
  const auto active = Create();
  EXPECT_THAT(Put(active.get(), MakeBatch({})), StatusIs(absl::StatusCode::kInternal, HasSubstr("EIO")));
  EXPECT_TRUE(active->mapped());
}

}  // namespace
}  // namespace varve::internal
