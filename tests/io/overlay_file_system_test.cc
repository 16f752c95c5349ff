// What an overlay adds to the contract: the base's files are seen and never changed.
#include "varve/overlay_file_system.h"

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/whole_file.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve {
namespace {

using absl::StatusCode;
using internal::AsBytes;
using internal::AsText;
using internal::ReadWholeFile;
using internal::ReplaceFile;
using ::testing::ElementsAre;
using ::testing::Eq;
using testing_support::IsOk;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;

constexpr uint64_t kLimit = 1 << 20;

class OverlayFileSystemTest : public ::testing::Test {
 protected:
  OverlayFileSystemTest() : base_(&memory_), overlay_(&base_) {
    EXPECT_THAT(memory_.CreateDirectory("d"), IsOk());
    EXPECT_THAT(ReplaceFile(&memory_, "d/a", AsBytes("content of a")), IsOk());
    EXPECT_THAT(ReplaceFile(&memory_, "d/b", AsBytes(std::string(10'000, 'b'))), IsOk());
  }

  // Every test ends with the base as it began.
  void TearDown() override {
    EXPECT_THAT(memory_.List("d"), IsOkAndHolds(ElementsAre("a", "b")));
    EXPECT_THAT(ReadWholeFile(&memory_, "d/a", kLimit), IsOkAndHolds(Eq("content of a")));
    EXPECT_THAT(ReadWholeFile(&memory_, "d/b", kLimit), IsOkAndHolds(Eq(std::string(10'000, 'b'))));
    for (const FileOperation operation :
         {FileOperation::kWrite, FileOperation::kTruncate, FileOperation::kAllocate, FileOperation::kSync,
          FileOperation::kCopy, FileOperation::kRename, FileOperation::kRemove, FileOperation::kCreateDirectory,
          FileOperation::kSyncDirectory}) {
      EXPECT_EQ(base_.operation_count(operation), 0u) << static_cast<int>(operation);
    }
  }

  MemoryFileSystem memory_;
  FaultyFileSystem base_;
  OverlayFileSystem overlay_;
};

TEST_F(OverlayFileSystemTest, ShowsTheBase) {
  EXPECT_THAT(overlay_.List("d"), IsOkAndHolds(ElementsAre("a", "b")));
  EXPECT_THAT(ReadWholeFile(&overlay_, "d/a", kLimit), IsOkAndHolds(Eq("content of a")));
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo here, overlay_.Info("d/a"));
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo there, memory_.Info("d/a"));
  EXPECT_EQ(here.identity, there.identity);
  EXPECT_EQ(here.modified_ms, there.modified_ms);
  EXPECT_EQ(here.size, 12u);
  EXPECT_EQ(overlay_.BootId(), memory_.BootId());
}

TEST_F(OverlayFileSystemTest, WritesShowHereOnly) {
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, overlay_.Open("d/b", OpenMode::kReadWrite));
  VARVE_ASSERT_OK(file->WriteAt(5'000, AsBytes("changed")));
  VARVE_ASSERT_OK(file->WriteAt(12'000, AsBytes("end")));
  VARVE_ASSERT_OK(file->SyncData());
  std::string expected(10'000, 'b');
  expected.replace(5'000, 7, "changed");
  expected += std::string(2'000, '\0') + "end";
  EXPECT_THAT(ReadWholeFile(&overlay_, "d/b", kLimit), IsOkAndHolds(Eq(expected)));
}

// Page by page: the page that is written as it is takes no memory and stays the base's, the other one is its own.
TEST_F(OverlayFileSystemTest, WhatIsWrittenAsItIsStaysTheBases) {
  const std::string pages(3 * 4096, 'p');
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> base, memory_.Open("pages", OpenMode::kCreate));
  VARVE_ASSERT_OK(base->WriteAt(0, internal::AsBytes(pages)));
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file, overlay_.Open("pages", OpenMode::kReadWrite));
  VARVE_ASSERT_OK(file->WriteAt(100, internal::AsBytes(pages.substr(0, 4096 - 100) + std::string(10, 'q'))));
  for (const uint64_t position : {uint64_t{5}, uint64_t{4096 + 20}}) {
    VARVE_ASSERT_OK(base->WriteAt(position, internal::AsBytes("b")));
  }
  std::string shown(pages.size(), '?');
  VARVE_ASSERT_OK(file->ReadAt(0, std::as_writable_bytes(std::span(shown))));
  std::string expected = pages;
  expected[5] = 'b';
  expected.replace(4096, 10, 10, 'q');
  EXPECT_EQ(shown, expected);
}

TEST_F(OverlayFileSystemTest, TruncatedBytesOfTheBaseDoNotComeBack) {
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, overlay_.Open("d/b", OpenMode::kReadWrite));
  VARVE_ASSERT_OK(file->WriteAt(4'990, AsBytes("changed in the page of the cut")));
  VARVE_ASSERT_OK(file->Truncate(5'000));
  VARVE_ASSERT_OK(file->Truncate(9'000));
  EXPECT_THAT(ReadWholeFile(&overlay_, "d/b", kLimit),
              IsOkAndHolds(Eq(std::string(4'990, 'b') + "changed in" + std::string(4'000, '\0'))));
}

TEST_F(OverlayFileSystemTest, RemovedAndRenamedNamesOfTheBaseAreGoneHere) {
  VARVE_ASSERT_OK(overlay_.Remove("d/b"));
  VARVE_ASSERT_OK(overlay_.Rename("d/a", "d/c"));
  EXPECT_THAT(overlay_.List("d"), IsOkAndHolds(ElementsAre("c")));
  EXPECT_THAT(overlay_.Open("d/a", OpenMode::kRead), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(ReadWholeFile(&overlay_, "d/c", kLimit), IsOkAndHolds(Eq("content of a")));
  VARVE_ASSERT_OK(overlay_.Open("d/b", OpenMode::kCreate));
  EXPECT_THAT(ReadWholeFile(&overlay_, "d/b", kLimit), IsOkAndHolds(Eq("")));
}

TEST_F(OverlayFileSystemTest, ARenamedDirectoryOfTheBaseKeepsItsFiles) {
  VARVE_ASSERT_OK(overlay_.Rename("d", "e"));
  EXPECT_THAT(overlay_.List("."), IsOkAndHolds(ElementsAre("e")));
  EXPECT_THAT(overlay_.List("e"), IsOkAndHolds(ElementsAre("a", "b")));
  EXPECT_THAT(overlay_.List("d"), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(ReadWholeFile(&overlay_, "e/a", kLimit), IsOkAndHolds(Eq("content of a")));
}

TEST_F(OverlayFileSystemTest, AFileUnchangedHereFollowsTheBase) {
  VARVE_ASSERT_OK(ReplaceFile(&memory_, "live", AsBytes("one")));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto live, memory_.Open("live", OpenMode::kReadWrite));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, overlay_.Open("live", OpenMode::kReadWrite));
  VARVE_ASSERT_OK(live->WriteAt(3, AsBytes(" two")));
  EXPECT_THAT(ReadWholeFile(&overlay_, "live", kLimit), IsOkAndHolds(Eq("one two")));
  VARVE_ASSERT_OK(file->WriteAt(0, AsBytes("1")));
  VARVE_ASSERT_OK(live->WriteAt(7, AsBytes(" three")));
  EXPECT_THAT(ReadWholeFile(&overlay_, "live", kLimit), IsOkAndHolds(Eq("1ne two")));
}

TEST_F(OverlayFileSystemTest, AnUnchangedPartIsMappedFromTheBase) {
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, overlay_.Open("d/b", OpenMode::kReadWrite));
  VARVE_ASSERT_OK(file->WriteAt(9'000, AsBytes("changed")));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto unchanged, file->Map(8'192, Access::kRead));
  EXPECT_EQ(base_.operation_count(FileOperation::kMap), 1u);
  EXPECT_EQ(AsText({unchanged->data(), 3}), "bbb");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto changed, file->Map(10'000, Access::kRead));
  EXPECT_EQ(base_.operation_count(FileOperation::kMap), 1u);
  EXPECT_EQ(AsText({changed->data() + 8'999, 8}), "bchanged");
}

TEST_F(OverlayFileSystemTest, StoresThroughAMappingShowHereOnly) {
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, overlay_.Open("d/a", OpenMode::kReadWrite));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto mapping, file->Map(12, Access::kReadWrite));
  std::ranges::copy(AsBytes("CONTENT"), mapping->data());
  VARVE_ASSERT_OK(file->WriteAt(8, AsBytes("OF")));
  VARVE_ASSERT_OK(file->Truncate(10));
  EXPECT_THAT(ReadWholeFile(&overlay_, "d/a", kLimit), IsOkAndHolds(Eq("CONTENT OF")));
}

TEST_F(OverlayFileSystemTest, ACopyOfAnUnchangedPrefixReadsNothing) {
  VARVE_ASSERT_OK_AND_ASSIGN(const auto source, overlay_.Open("d/b", OpenMode::kRead));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto target, overlay_.Open("d/b.cut", OpenMode::kCreate));
  VARVE_ASSERT_OK(target->CopyPrefixFrom(*source, 7'000));
  EXPECT_EQ(base_.operation_count(FileOperation::kRead), 0u);
  VARVE_ASSERT_OK(overlay_.Rename("d/b.cut", "d/b"));
  EXPECT_THAT(ReadWholeFile(&overlay_, "d/b", kLimit), IsOkAndHolds(Eq(std::string(7'000, 'b'))));
}

TEST_F(OverlayFileSystemTest, ACopyOfAChangedPrefixHasTheChanges) {
  VARVE_ASSERT_OK_AND_ASSIGN(const auto source, overlay_.Open("d/a", OpenMode::kReadWrite));
  VARVE_ASSERT_OK(source->WriteAt(0, AsBytes("C")));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto target, overlay_.Open("d/c", OpenMode::kCreate));
  VARVE_ASSERT_OK(target->CopyPrefixFrom(*source, 7));
  EXPECT_THAT(ReadWholeFile(&overlay_, "d/c", kLimit), IsOkAndHolds(Eq("Content")));
}

TEST_F(OverlayFileSystemTest, LocksAreItsOwnAndTheBasesAreTold) {
  VARVE_ASSERT_OK_AND_ASSIGN(const auto theirs, memory_.Lock("d/a", LockKind::kExclusive));
  EXPECT_THAT(overlay_.IsLocked("d/a"), IsOkAndHolds(Eq(true)));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto ours, overlay_.Lock("d/a", LockKind::kExclusive));
  EXPECT_THAT(overlay_.Lock("d/a", LockKind::kShared), StatusIs(StatusCode::kUnavailable));
}

TEST_F(OverlayFileSystemTest, MoreThanCanBeMappedIsRefused) {
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, overlay_.Open("d/a", OpenMode::kReadWrite));
  constexpr uint64_t kTooMuch = (uint64_t{4} << 30) + 1;
  EXPECT_THAT(file->Map(kTooMuch, Access::kReadWrite), StatusIs(StatusCode::kResourceExhausted));
}

TEST_F(OverlayFileSystemTest, ErrorsOfTheBaseAreTold) {
  const absl::Status broken = absl::DataLossError("broken disk");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, overlay_.Open("d/a", OpenMode::kReadWrite));
  std::string out(4, '?');
  base_.AddRule({.for_ever = true, .status = broken});
  EXPECT_THAT(file->ReadAt(0, std::as_writable_bytes(std::span(out))), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(file->Size(), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(file->WriteAt(0, AsBytes("x")), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(file->Truncate(1), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(file->Map(4, Access::kRead), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(file->Map(4, Access::kReadWrite), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(file->Info(), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(overlay_.Open("d/b", OpenMode::kRead), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(overlay_.Open("d/new", OpenMode::kCreate), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(overlay_.List("d"), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(overlay_.Info("d/b"), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(overlay_.IsLocked("d/a"), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(overlay_.AllocationIsPromise("d"), StatusIs(StatusCode::kDataLoss));
  base_.ClearRules();
  EXPECT_THAT(ReadWholeFile(&overlay_, "d/a", kLimit), IsOkAndHolds(Eq("content of a")));
}

}  // namespace
}  // namespace varve
