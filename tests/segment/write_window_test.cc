#include "segment/write_window.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using testing_support::StatusIs;

constexpr int64_t kMiB = 1 << 20;
constexpr int64_t kCapacityBytes = 64 * kMiB;

class WriteWindowTest : public ::testing::Test {
 protected:
  void Open(int64_t begin = 0, int64_t allocated = 0, int64_t capacity = kCapacityBytes) {
    auto file = faulty_.Open("log", OpenMode::kTruncate);
    ASSERT_TRUE(file.ok()) << file.status();
    file_ = *std::move(file);
    VARVE_ASSERT_OK(file_->Truncate(static_cast<uint64_t>(allocated)));
    auto mapping = file_->Map(static_cast<uint64_t>(capacity), Access::kReadWrite);
    ASSERT_TRUE(mapping.ok()) << mapping.status();
    mapping_ = *std::move(mapping);
    window_.emplace(file_.get(), mapping_.get(), &clock_, begin, allocated, capacity);
  }

  int64_t FileBytes() { return static_cast<int64_t>(file_->Size().value_or(0)); }

  // Consumes the window whole, taking `span_ns` for it, and asks for one byte more: that and the page it lies in come
  // on top of the step that this returns.
  int64_t NextStepBytes(int64_t span_ns, bool durable_acks = false) {
    clock_.AdvanceNs(span_ns);
    const int64_t begin = window_->end();
    const absl::Status extended = window_->Extend(begin, 1, durable_acks);
    EXPECT_TRUE(extended.ok()) << extended;
    return window_->end() - begin - WriteWindow::kPageBytes;
  }

  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  MemoryFileSystem memory_;
  FaultyFileSystem faulty_{&memory_};
  std::unique_ptr<File> file_;
  std::unique_ptr<Mapping> mapping_;
  std::optional<WriteWindow> window_;
};

TEST_F(WriteWindowTest, BeginsEmpty) {
  Open(100, 100);
  EXPECT_EQ(window_->end(), 100);
  EXPECT_EQ(faulty_.operation_count(FileOperation::kAllocate), 0u);
}

TEST_F(WriteWindowTest, WhatIsInTheWindowIsAllocated) {
  Open();
  for (int64_t begin = 0; begin < 8 * kMiB; begin += 100'000) {
    clock_.AdvanceNs(begin % 3 == 0 ? 1000 : 300'000'000);
    VARVE_ASSERT_OK(window_->Extend(begin, 100'000, false));
    ASSERT_GE(window_->end(), begin + 100'000);
    ASSERT_GE(FileBytes(), window_->end());
    mapping_->data()[begin] = std::byte{1};
    mapping_->data()[window_->end() - 1] = std::byte{2};
  }
  EXPECT_LE(static_cast<int64_t>(memory_.used_bytes()), FileBytes() + WriteWindow::kPageBytes);
}

TEST_F(WriteWindowTest, EndsOnPagesOrAtItsCapacity) {
  Open(0, 0, 200'001);
  VARVE_ASSERT_OK(window_->Extend(0, 100, false));
  EXPECT_EQ(window_->end() % WriteWindow::kPageBytes, 0);
  VARVE_ASSERT_OK(window_->Extend(window_->end(), 200'001 - window_->end(), false));
  EXPECT_EQ(window_->end(), 200'001);
  EXPECT_EQ(FileBytes(), 200'001);
}

TEST_F(WriteWindowTest, StepsDoubleWhileTheyAreQuickUpToTheLargest) {
  Open();
  // The first: nobody knows yet how quick the log is.
  EXPECT_EQ(NextStepBytes(0), WriteWindow::kMinStepBytes);
  for (int64_t expected = 2 * WriteWindow::kMinStepBytes; expected <= WriteWindow::kMaxStepBytes; expected *= 2) {
    EXPECT_EQ(NextStepBytes(WriteWindow::kQuickStepNs - 1), expected);
  }
  EXPECT_EQ(NextStepBytes(0), WriteWindow::kMaxStepBytes);
  // Neither quick nor slow: stays. Slow: halves. Down to the smallest.
  EXPECT_EQ(NextStepBytes(WriteWindow::kQuickStepNs), WriteWindow::kMaxStepBytes);
  EXPECT_EQ(NextStepBytes(10 * WriteWindow::kQuickStepNs), WriteWindow::kMaxStepBytes);
  for (int64_t expected = WriteWindow::kMaxStepBytes / 2; expected >= WriteWindow::kMinStepBytes; expected /= 2) {
    EXPECT_EQ(NextStepBytes(10 * WriteWindow::kQuickStepNs + 1), expected);
  }
  EXPECT_EQ(NextStepBytes(1'000'000'000'000), WriteWindow::kMinStepBytes);
}

TEST_F(WriteWindowTest, DurableAcksKeepStepsSmall) {
  Open();
  for (int step = 0; step < 5; ++step) (void)NextStepBytes(0);
  EXPECT_EQ(NextStepBytes(0, /*durable_acks=*/true), WriteWindow::kMinStepBytes);
  EXPECT_EQ(NextStepBytes(0, /*durable_acks=*/true), WriteWindow::kMinStepBytes);
  EXPECT_EQ(NextStepBytes(0), 2 * WriteWindow::kMinStepBytes);
}

TEST_F(WriteWindowTest, AllocatesFurtherAheadThanItPopulates) {
  Open();
  for (int step = 0; step < 40; ++step) (void)NextStepBytes(50'000'000);
  EXPECT_EQ(faulty_.operation_count(FileOperation::kPopulate), 40u);
  EXPECT_LE(faulty_.operation_count(FileOperation::kAllocate), 14u);
}

TEST_F(WriteWindowTest, AFullDiskLeavesTheWindowAsItWas) {
  Open();
  VARVE_ASSERT_OK(window_->Extend(0, 10, false));
  const int64_t end = window_->end();
  memory_.set_capacity_bytes(memory_.used_bytes());
  const int64_t beyond = FileBytes();
  EXPECT_THAT(window_->Extend(end, beyond - end + 1, false), StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(window_->end(), end);
  EXPECT_EQ(FileBytes(), beyond);
  memory_.set_capacity_bytes(std::nullopt);
  VARVE_EXPECT_OK(window_->Extend(end, beyond - end + 1, false));
  EXPECT_GT(window_->end(), beyond);
}

// The last blocks of the disk are given out one by one.
TEST_F(WriteWindowTest, ANearlyFullDiskGivesWhatIsNeeded) {
  Open();
  memory_.set_capacity_bytes(5 * 4096);
  for (int64_t page = 0; page < 5; ++page) {
    VARVE_ASSERT_OK(window_->Extend(page * 4096, 4096, false));
    EXPECT_GE(window_->end(), (page + 1) * 4096);
  }
  EXPECT_THAT(window_->Extend(5 * 4096, 1, false), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(WriteWindowTest, WhatTheSystemDoesNotOfferIsSaidAtOnce) {
  for (const FileOperation operation : {FileOperation::kAllocate, FileOperation::kPopulate}) {
    faulty_.ClearRules();
    Open();
    const size_t rule = faulty_.AddRule(
        {.operation = operation, .for_ever = true, .status = absl::UnimplementedError("not on this file system")});
    EXPECT_THAT(window_->Extend(0, 10, false), StatusIs(absl::StatusCode::kUnimplemented));
    EXPECT_EQ(window_->end(), 0);
    EXPECT_EQ(faulty_.faults_fired(rule), 1u);
  }
}

// A failed populate is no reason to believe in pages: the next call asks for all of them again.
TEST_F(WriteWindowTest, AfterAFailedPopulateAllPagesAreAskedForAgain) {
  Open();
  faulty_.AddRule({.operation = FileOperation::kPopulate, .status = absl::InternalError("EIO")});
  EXPECT_THAT(window_->Extend(0, 10, false), StatusIs(absl::StatusCode::kInternal));
  EXPECT_EQ(window_->end(), 0);
  VARVE_EXPECT_OK(window_->Extend(0, 10, false));
  EXPECT_GE(window_->end(), 10);
}

// So does a failed write of the zeros that make the pages.
TEST_F(WriteWindowTest, AfterAFailedWriteOfZerosAllAreWrittenAgain) {
  Open();
  faulty_.AddRule({.operation = FileOperation::kWrite, .status = absl::InternalError("EIO")});
  EXPECT_THAT(window_->Extend(0, 10, false), StatusIs(absl::StatusCode::kInternal));
  EXPECT_EQ(window_->end(), 0);
  EXPECT_EQ(faulty_.operation_count(FileOperation::kPopulate), 0u);
  VARVE_EXPECT_OK(window_->Extend(0, 10, false));
  EXPECT_GE(window_->end(), 10);
}

TEST_F(WriteWindowTest, ZerosAreWrittenBehindTheEndOnly) {
  Open();
  const std::vector<std::byte> before(5000, std::byte{7});
  VARVE_ASSERT_OK(file_->WriteAt(0, before));
  window_->Skip(5000);
  VARVE_ASSERT_OK(window_->Extend(5000, 10, false));
  mapping_->data()[window_->end() - 1] = std::byte{8};
  VARVE_ASSERT_OK(window_->Extend(window_->end(), 10, false));
  std::vector<std::byte> found(static_cast<size_t>(window_->end()));
  ASSERT_EQ(file_->ReadAt(0, found).value_or(0), found.size());
  EXPECT_TRUE(std::equal(before.begin(), before.end(), found.begin()));
  EXPECT_EQ(std::count(found.begin() + 5000, found.end(), std::byte{8}), 1);
  EXPECT_EQ(std::count(found.begin() + 5000, found.end(), std::byte{0}), std::ssize(found) - 5001);
}

// A small log is not to hold megabytes, a quick one not to ask for each step.
TEST_F(WriteWindowTest, AllocatesMoreStepsOnceTheyAreLarge) {
  Open();
  (void)NextStepBytes(0);
  EXPECT_LE(FileBytes(), 5 * WriteWindow::kMinStepBytes);
  while (NextStepBytes(0) < WriteWindow::kMaxStepBytes) continue;
  const uint64_t allocations = faulty_.operation_count(FileOperation::kAllocate);
  for (int step = 0; step < 32; ++step) (void)NextStepBytes(0);
  EXPECT_LE(faulty_.operation_count(FileOperation::kAllocate), allocations + 3);
}

TEST_F(WriteWindowTest, SkipEndsTheWindowWhereAWriteCallWentOn) {
  Open();
  VARVE_ASSERT_OK(window_->Extend(0, 10, false));
  const uint64_t allocations = faulty_.operation_count(FileOperation::kAllocate);
  // Within what is allocated: nothing has to be allocated anew.
  window_->Skip(5000);
  EXPECT_EQ(window_->end(), 5000);
  VARVE_ASSERT_OK(window_->Extend(5000, 10, false));
  EXPECT_EQ(faulty_.operation_count(FileOperation::kAllocate), allocations);
  // Far beyond it: allocation goes on from there.
  VARVE_ASSERT_OK(file_->WriteAt(static_cast<uint64_t>(10 * kMiB) - 1, std::vector<std::byte>(1)));
  window_->Skip(10 * kMiB);
  EXPECT_EQ(window_->end(), 10 * kMiB);
  VARVE_ASSERT_OK(window_->Extend(10 * kMiB, 10, false));
  EXPECT_GE(FileBytes(), window_->end());
  EXPECT_GT(window_->end(), 10 * kMiB);
}

TEST_F(WriteWindowTest, AfterATrimNothingIsAllocated) {
  Open();
  VARVE_ASSERT_OK(window_->Extend(0, 10, false));
  VARVE_ASSERT_OK(file_->Truncate(10));
  window_->Trim(10);
  EXPECT_EQ(window_->end(), 10);
  VARVE_ASSERT_OK(window_->Extend(10, 100, false));
  EXPECT_GE(FileBytes(), window_->end());
  EXPECT_GE(window_->end(), 110);
}

}  // namespace
}  // namespace varve::internal
