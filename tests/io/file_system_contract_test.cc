// What varve/file_system.h promises, asked of every file system there is.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/path.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/file_systems_under_test.h"
#include "support/status_matchers.h"
#include "varve/file_system.h"

namespace varve {
namespace {

using absl::StatusCode;
using internal::AsBytes;
using internal::AsText;
using internal::JoinPath;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::AllFileSystemKinds;
using testing_support::FileSystemKind;
using testing_support::FileSystemUnderTest;
using testing_support::IsOk;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;

constexpr size_t kPageBytes = 4096;

class FileSystemContract : public ::testing::TestWithParam<FileSystemKind> {
 protected:
  FileSystemContract() : under_test_(GetParam().make()), fs_(under_test_->file_system()) {}

  std::string Path(const std::string& name) { return JoinPath(under_test_->root(), name); }

  // A new open file of this content.
  std::unique_ptr<File> MakeFile(const std::string& name, std::string_view content) {
    auto file = fs_->Open(Path(name), OpenMode::kTruncate);
    EXPECT_THAT(file, IsOk());
    EXPECT_THAT((*file)->WriteAt(0, AsBytes(content)), IsOk());
    return *std::move(file);
  }

  static std::string Content(const File& file) {
    const auto size = file.Size();
    EXPECT_THAT(size, IsOk());
    std::string content(*size, '?');
    EXPECT_THAT(file.ReadAt(0, std::as_writable_bytes(std::span(content))), IsOkAndHolds(Eq(*size)));
    return content;
  }

  std::string ContentOf(const std::string& name) {
    const auto file = fs_->Open(Path(name), OpenMode::kRead);
    EXPECT_THAT(file, IsOk());
    return file.ok() ? Content(**file) : "";
  }

  std::unique_ptr<FileSystemUnderTest> under_test_;
  FileSystem* fs_;
};

TEST_P(FileSystemContract, OpenOfAnAbsentFileForReadingIsNotFound) {
  EXPECT_THAT(fs_->Open(Path("absent"), OpenMode::kRead), StatusIs(StatusCode::kNotFound, HasSubstr(Path("absent"))));
  EXPECT_THAT(fs_->Open(Path("absent"), OpenMode::kReadWrite), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->List(under_test_->root()), IsOkAndHolds(IsEmpty()));
}

TEST_P(FileSystemContract, CreateRefusesATakenName) {
  VARVE_ASSERT_OK(fs_->Open(Path("a"), OpenMode::kCreate));
  EXPECT_THAT(fs_->Open(Path("a"), OpenMode::kCreate), StatusIs(StatusCode::kAlreadyExists, HasSubstr(Path("a"))));
  VARVE_ASSERT_OK(fs_->CreateDirectory(Path("d")));
  EXPECT_THAT(fs_->Open(Path("d"), OpenMode::kCreate), StatusIs(StatusCode::kAlreadyExists));
}

TEST_P(FileSystemContract, TruncateModeCreatesOrEmpties) {
  MakeFile("a", "content");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, fs_->Open(Path("a"), OpenMode::kTruncate));
  EXPECT_THAT(file->Size(), IsOkAndHolds(Eq(0u)));
  EXPECT_EQ(file->path(), Path("a"));
}

TEST_P(FileSystemContract, OpenKeepsContent) {
  MakeFile("a", "content");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, fs_->Open(Path("a"), OpenMode::kReadWrite));
  VARVE_ASSERT_OK(file->WriteAt(3, AsBytes("TENT")));
  EXPECT_EQ(ContentOf("a"), "conTENT");
}

TEST_P(FileSystemContract, ADirectoryIsNoFile) {
  VARVE_ASSERT_OK(fs_->CreateDirectory(Path("d")));
  EXPECT_THAT(fs_->Open(Path("d"), OpenMode::kRead), StatusIs(StatusCode::kInvalidArgument, HasSubstr(Path("d"))));
  EXPECT_THAT(fs_->Open(Path("d"), OpenMode::kReadWrite), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(fs_->Open(Path("d"), OpenMode::kTruncate), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(fs_->Remove(Path("d")), StatusIs(StatusCode::kInvalidArgument));
}

TEST_P(FileSystemContract, AFileIsNoDirectory) {
  MakeFile("a", "content");
  EXPECT_THAT(fs_->Open(Path("a/b"), OpenMode::kRead), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->Open(Path("a/b"), OpenMode::kCreate), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->CreateDirectory(Path("a/b")), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->List(Path("a")), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->SyncDirectory(Path("a")), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->Info(Path("a/b")), StatusIs(StatusCode::kNotFound));
}

TEST_P(FileSystemContract, AnAbsentDirectoryHoldsNothing) {
  EXPECT_THAT(fs_->Open(Path("d/a"), OpenMode::kCreate), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->Open(Path("d/a"), OpenMode::kTruncate), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->CreateDirectory(Path("d/e")), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->List(Path("d")), StatusIs(StatusCode::kNotFound, HasSubstr(Path("d"))));
  EXPECT_THAT(fs_->SyncDirectory(Path("d")), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->AllocationIsPromise(Path("d")), StatusIs(StatusCode::kNotFound));
}

TEST_P(FileSystemContract, TheEmptyPathIsNotFound) {
  EXPECT_THAT(fs_->Open("", OpenMode::kRead), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->Info(""), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->List(""), StatusIs(StatusCode::kNotFound));
}

TEST_P(FileSystemContract, ReadStopsAtTheEnd) {
  const auto file = MakeFile("a", "0123456789");
  std::string out(6, '?');
  EXPECT_THAT(file->ReadAt(7, std::as_writable_bytes(std::span(out))), IsOkAndHolds(Eq(3u)));
  EXPECT_EQ(out, "789???");
  EXPECT_THAT(file->ReadAt(10, std::as_writable_bytes(std::span(out))), IsOkAndHolds(Eq(0u)));
  EXPECT_THAT(file->ReadAt(1'000'000, std::as_writable_bytes(std::span(out))), IsOkAndHolds(Eq(0u)));
  EXPECT_THAT(file->ReadAt(0, {}), IsOkAndHolds(Eq(0u)));
}

TEST_P(FileSystemContract, PositionsBeyondTheLargestAreInvalid) {
  const auto file = MakeFile("a", "x");
  std::string out(1, '?');
  constexpr uint64_t kTooLarge = uint64_t{1} << 63;
  EXPECT_THAT(file->ReadAt(kTooLarge, std::as_writable_bytes(std::span(out))), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(file->WriteAt(kTooLarge - 1, AsBytes("x")), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(file->Truncate(kTooLarge), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(file->Allocate(kTooLarge - 1, 1), StatusIs(StatusCode::kInvalidArgument));
  file->StartWriteOut(kTooLarge, 1);
  EXPECT_EQ(Content(*file), "x");
}

TEST_P(FileSystemContract, WriteExtendsAndLeavesZerosInTheGap) {
  const auto file = MakeFile("a", "ab");
  VARVE_ASSERT_OK(file->WriteAt(4, AsBytes("ef")));
  EXPECT_EQ(Content(*file), std::string("ab\0\0ef", 6));
  VARVE_ASSERT_OK(file->WriteAt(100, {}));
  EXPECT_THAT(file->Size(), IsOkAndHolds(Eq(6u)));
}

TEST_P(FileSystemContract, TruncatedBytesComeBackAsZeros) {
  const auto file = MakeFile("a", "abcdef");
  VARVE_ASSERT_OK(file->Truncate(2));
  EXPECT_THAT(file->Size(), IsOkAndHolds(Eq(2u)));
  VARVE_ASSERT_OK(file->Truncate(5));
  EXPECT_EQ(Content(*file), std::string("ab\0\0\0", 5));
  VARVE_ASSERT_OK(file->Truncate(0));
  VARVE_ASSERT_OK(file->WriteAt(1, AsBytes("x")));
  EXPECT_EQ(Content(*file), std::string("\0x", 2));
}

TEST_P(FileSystemContract, TwoOpensSeeOneFile) {
  const auto writer = MakeFile("a", "one");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto reader, fs_->Open(Path("a"), OpenMode::kRead));
  VARVE_ASSERT_OK(writer->WriteAt(3, AsBytes(" two")));
  EXPECT_EQ(Content(*reader), "one two");
}

TEST_P(FileSystemContract, AFileOpenedForReadingRefusesChanges) {
  MakeFile("a", "content");
  const auto source = MakeFile("b", "other");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, fs_->Open(Path("a"), OpenMode::kRead));
  EXPECT_THAT(file->WriteAt(0, AsBytes("x")), StatusIs(StatusCode::kPermissionDenied, HasSubstr(Path("a"))));
  EXPECT_THAT(file->Truncate(0), StatusIs(StatusCode::kPermissionDenied));
  EXPECT_THAT(file->Allocate(0, 10), StatusIs(StatusCode::kPermissionDenied));
  EXPECT_THAT(file->Map(1, Access::kReadWrite), StatusIs(StatusCode::kPermissionDenied));
  EXPECT_THAT(file->CopyPrefixFrom(*source, 1), StatusIs(StatusCode::kPermissionDenied));
  EXPECT_EQ(ContentOf("a"), "content");
}

TEST_P(FileSystemContract, AllocateExtendsWithZerosOrSaysThatItCannot) {
  const auto file = MakeFile("a", "ab");
  VARVE_ASSERT_OK_AND_ASSIGN(const bool promise, fs_->AllocationIsPromise(under_test_->root()));
  const absl::Status status = file->Allocate(1, 9);
  if (!promise) {
    EXPECT_THAT(status, StatusIs(StatusCode::kUnimplemented, HasSubstr(Path("a"))));
    EXPECT_EQ(Content(*file), "ab");
    return;
  }
  VARVE_ASSERT_OK(status);
  EXPECT_EQ(Content(*file), std::string("ab\0\0\0\0\0\0\0\0", 10));
  VARVE_ASSERT_OK(file->Allocate(0, 3));
  VARVE_ASSERT_OK(file->Allocate(50, 0));
  EXPECT_THAT(file->Size(), IsOkAndHolds(Eq(10u)));
}

TEST_P(FileSystemContract, SyncsSucceed) {
  const auto file = MakeFile("a", "content");
  file->StartWriteOut(0, 7);
  file->StartWriteOut(0, 0);
  EXPECT_THAT(file->SyncData(), IsOk());
  EXPECT_THAT(fs_->SyncDirectory(under_test_->root()), IsOk());
  EXPECT_EQ(Content(*file), "content");
}

TEST_P(FileSystemContract, AMappingSeesWritesAndWritesSeeTheMapping) {
  const auto file = MakeFile("a", std::string(2 * kPageBytes, 'a'));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto mapping, file->Map(2 * kPageBytes, Access::kReadWrite));
  ASSERT_EQ(mapping->size(), 2 * kPageBytes);
  VARVE_ASSERT_OK(mapping->Populate(0, mapping->size()));
  VARVE_ASSERT_OK(file->WriteAt(10, AsBytes("written")));
  EXPECT_EQ(AsText({mapping->data() + 10, 7}), "written");
  std::ranges::copy(AsBytes("stored"), mapping->data() + kPageBytes);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto reader, fs_->Open(Path("a"), OpenMode::kRead));
  std::string out(6, '?');
  EXPECT_THAT(reader->ReadAt(kPageBytes, std::as_writable_bytes(std::span(out))), IsOkAndHolds(Eq(6u)));
  EXPECT_EQ(out, "stored");
}

TEST_P(FileSystemContract, TwoMappingsOfAFileAreCoherent) {
  const auto file = MakeFile("a", std::string(kPageBytes, 'a'));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto writable, file->Map(kPageBytes, Access::kReadWrite));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto reader, fs_->Open(Path("a"), OpenMode::kRead));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto readable, reader->Map(kPageBytes, Access::kRead));
  VARVE_ASSERT_OK(readable->Populate(0, kPageBytes));
  std::ranges::copy(AsBytes("stored"), writable->data());
  EXPECT_EQ(AsText({readable->data(), 6}), "stored");
}

TEST_P(FileSystemContract, AMappingMayReachBeyondTheEndAndTheFileGrowIntoIt) {
  const auto file = MakeFile("a", "ab");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto mapping, file->Map(4 * kPageBytes, Access::kReadWrite));
  std::byte* const address = mapping->data();
  EXPECT_THAT(mapping->Populate(2 * kPageBytes, kPageBytes), StatusIs(StatusCode::kInternal, HasSubstr(Path("a"))));
  VARVE_ASSERT_OK(file->Truncate(3 * kPageBytes));
  VARVE_ASSERT_OK(mapping->Populate(2 * kPageBytes, kPageBytes));
  std::ranges::copy(AsBytes("stored"), mapping->data() + 2 * kPageBytes);
  EXPECT_EQ(mapping->data(), address);
  EXPECT_EQ(Content(*file).substr(2 * kPageBytes, 6), "stored");
  EXPECT_EQ(AsText({mapping->data(), 2}), "ab");
}

TEST_P(FileSystemContract, PopulateRoundsOutwardsAndStaysInTheMapping) {
  const auto file = MakeFile("a", std::string(kPageBytes + 1, 'a'));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto mapping, file->Map(kPageBytes + 1, Access::kReadWrite));
  EXPECT_THAT(mapping->Populate(kPageBytes, 1), IsOk());
  EXPECT_THAT(mapping->Populate(kPageBytes - 1, 2), IsOk());
  EXPECT_THAT(mapping->Populate(kPageBytes + 1, 0), IsOk());
  EXPECT_THAT(mapping->Populate(kPageBytes, 2), StatusIs(StatusCode::kInvalidArgument, HasSubstr(Path("a"))));
  EXPECT_THAT(mapping->Populate(1, std::numeric_limits<size_t>::max()), StatusIs(StatusCode::kInvalidArgument));
}

TEST_P(FileSystemContract, AMappingOfNothingIsEmpty) {
  const auto file = MakeFile("a", "");
  for (const Access access : {Access::kRead, Access::kReadWrite}) {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto mapping, file->Map(0, access));
    EXPECT_EQ(mapping->size(), 0u);
    EXPECT_THAT(mapping->Populate(0, 0), IsOk());
  }
}

TEST_P(FileSystemContract, AMappingOutlivesItsFileAndName) {
  auto file = MakeFile("a", "content");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto readable, file->Map(7, Access::kRead));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto writable, file->Map(7, Access::kReadWrite));
  file.reset();
  VARVE_ASSERT_OK(fs_->Remove(Path("a")));
  VARVE_ASSERT_OK(writable->Populate(0, 7));
  std::ranges::copy(AsBytes("CON"), writable->data());
  EXPECT_EQ(AsText({readable->data(), 7}), "CONtent");
}

TEST_P(FileSystemContract, AnOpenFileOutlivesItsName) {
  const auto file = MakeFile("a", "old");
  MakeFile("b", "new");
  VARVE_ASSERT_OK(fs_->Rename(Path("b"), Path("a")));
  VARVE_ASSERT_OK(file->WriteAt(3, AsBytes("er")));
  EXPECT_EQ(Content(*file), "older");
  EXPECT_EQ(ContentOf("a"), "new");
  VARVE_ASSERT_OK(file->SyncData());
}

TEST_P(FileSystemContract, RenameMovesAndReplaces) {
  MakeFile("a", "moved");
  MakeFile("b", "replaced");
  VARVE_ASSERT_OK(fs_->Rename(Path("a"), Path("b")));
  EXPECT_THAT(fs_->List(under_test_->root()), IsOkAndHolds(ElementsAre("b")));
  EXPECT_EQ(ContentOf("b"), "moved");
  VARVE_ASSERT_OK(fs_->CreateDirectory(Path("d")));
  VARVE_ASSERT_OK(fs_->Rename(Path("b"), Path("d/c")));
  EXPECT_EQ(ContentOf("d/c"), "moved");
  EXPECT_THAT(fs_->List(under_test_->root()), IsOkAndHolds(ElementsAre("d")));
}

TEST_P(FileSystemContract, ReplacingANameKeepsTheOldFileForItsReaders) {
  MakeFile("a", "old content");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto reader, fs_->Open(Path("a"), OpenMode::kRead));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto mapping, reader->Map(11, Access::kRead));
  MakeFile("a.swap", "new");
  VARVE_ASSERT_OK(fs_->Rename(Path("a.swap"), Path("a")));
  EXPECT_EQ(Content(*reader), "old content");
  EXPECT_EQ(AsText({mapping->data(), 11}), "old content");
}

TEST_P(FileSystemContract, RenameOfTheAbsentIsNotFound) {
  MakeFile("b", "kept");
  EXPECT_THAT(fs_->Rename(Path("a"), Path("b")), StatusIs(StatusCode::kNotFound, HasSubstr(Path("a"))));
  EXPECT_EQ(ContentOf("b"), "kept");
  EXPECT_THAT(fs_->Rename(Path("b"), Path("d/b")), StatusIs(StatusCode::kNotFound));
  EXPECT_EQ(ContentOf("b"), "kept");
}

TEST_P(FileSystemContract, RenameToItselfChangesNothing) {
  MakeFile("a", "kept");
  EXPECT_THAT(fs_->Rename(Path("a"), Path("a")), IsOk());
  EXPECT_EQ(ContentOf("a"), "kept");
}

TEST_P(FileSystemContract, RenameNeverPutsAFileOverADirectoryOrTheReverse) {
  MakeFile("a", "kept");
  VARVE_ASSERT_OK(fs_->CreateDirectory(Path("d")));
  EXPECT_THAT(fs_->Rename(Path("a"), Path("d")), StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(fs_->Rename(Path("d"), Path("a")), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->List(under_test_->root()), IsOkAndHolds(ElementsAre("a", "d")));
}

TEST_P(FileSystemContract, RenameMovesADirectoryWithAllItHolds) {
  VARVE_ASSERT_OK(fs_->CreateDirectory(Path("orders-0")));
  VARVE_ASSERT_OK(fs_->CreateDirectory(Path("orders-0/sub")));
  MakeFile("orders-0/a", "content");
  MakeFile("orders-0/sub/b", "deep");
  VARVE_ASSERT_OK(fs_->Rename(Path("orders-0"), Path("orders-0.x-delete")));
  EXPECT_THAT(fs_->List(under_test_->root()), IsOkAndHolds(ElementsAre("orders-0.x-delete")));
  EXPECT_EQ(ContentOf("orders-0.x-delete/a"), "content");
  EXPECT_EQ(ContentOf("orders-0.x-delete/sub/b"), "deep");
  EXPECT_THAT(fs_->Info(Path("orders-0/a")), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->Rename(Path("orders-0.x-delete"), Path("orders-0.x-delete/sub/c")),
              StatusIs(StatusCode::kInvalidArgument));
  VARVE_ASSERT_OK(fs_->CreateDirectory(Path("full")));
  MakeFile("full/a", "kept");
  EXPECT_THAT(fs_->Rename(Path("orders-0.x-delete"), Path("full")), StatusIs(StatusCode::kAlreadyExists));
  VARVE_ASSERT_OK(fs_->CreateDirectory(Path("empty")));
  EXPECT_THAT(fs_->Rename(Path("orders-0.x-delete"), Path("empty")), IsOk());
  EXPECT_EQ(ContentOf("empty/sub/b"), "deep");
}

TEST_P(FileSystemContract, RemoveFreesTheName) {
  MakeFile("a", "content");
  VARVE_ASSERT_OK(fs_->Remove(Path("a")));
  EXPECT_THAT(fs_->Open(Path("a"), OpenMode::kRead), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->Remove(Path("a")), StatusIs(StatusCode::kNotFound, HasSubstr(Path("a"))));
  VARVE_ASSERT_OK(fs_->Open(Path("a"), OpenMode::kCreate));
  EXPECT_EQ(ContentOf("a"), "");
}

TEST_P(FileSystemContract, RemoveDirectoryTakesAnEmptyOneOnly) {
  VARVE_ASSERT_OK(fs_->CreateDirectory(Path("d")));
  MakeFile("d/a", "content");
  EXPECT_THAT(fs_->RemoveDirectory(Path("d")), StatusIs(StatusCode::kAlreadyExists, HasSubstr(Path("d"))));
  EXPECT_EQ(ContentOf("d/a"), "content");
  VARVE_ASSERT_OK(fs_->Remove(Path("d/a")));
  VARVE_ASSERT_OK(fs_->RemoveDirectory(Path("d")));
  EXPECT_THAT(fs_->Info(Path("d")), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->List(under_test_->root()), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(fs_->RemoveDirectory(Path("d")), StatusIs(StatusCode::kNotFound, HasSubstr(Path("d"))));
  MakeFile("d", "a file now");
  EXPECT_THAT(fs_->RemoveDirectory(Path("d")), StatusIs(StatusCode::kNotFound));
  EXPECT_EQ(ContentOf("d"), "a file now");
}

TEST_P(FileSystemContract, CreateDirectoryRefusesATakenName) {
  VARVE_ASSERT_OK(fs_->CreateDirectory(Path("d")));
  EXPECT_THAT(fs_->CreateDirectory(Path("d")), StatusIs(StatusCode::kAlreadyExists, HasSubstr(Path("d"))));
  MakeFile("a", "content");
  EXPECT_THAT(fs_->CreateDirectory(Path("a")), StatusIs(StatusCode::kAlreadyExists));
}

TEST_P(FileSystemContract, ListIsSortedAndHoldsOneLevel) {
  VARVE_ASSERT_OK(fs_->CreateDirectory(Path("d")));
  for (const char* name : {"b", "c", "a", "d/deep", "B", "10", "9"}) MakeFile(name, "");
  EXPECT_THAT(fs_->List(under_test_->root()), IsOkAndHolds(ElementsAre("10", "9", "B", "a", "b", "c", "d")));
  EXPECT_THAT(fs_->List(Path("d/")), IsOkAndHolds(ElementsAre("deep")));
}

TEST_P(FileSystemContract, InfoTellsSizeKindAndIdentity) {
  const auto file = MakeFile("a", "content");
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo by_path, fs_->Info(Path("a")));
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo by_file, file->Info());
  EXPECT_FALSE(by_path.is_directory);
  EXPECT_EQ(by_path.size, 7u);
  EXPECT_EQ(by_file.size, 7u);
  EXPECT_EQ(by_path.identity, by_file.identity);
  EXPECT_GT(by_path.modified_ms, 0);
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo directory, fs_->Info(under_test_->root()));
  EXPECT_TRUE(directory.is_directory);
  EXPECT_EQ(directory.size, 0u);
  EXPECT_THAT(fs_->Info(Path("b")), StatusIs(StatusCode::kNotFound, HasSubstr(Path("b"))));
}

TEST_P(FileSystemContract, IdentityFollowsTheFileNotTheName) {
  const auto old_file = MakeFile("a", "old");
  const auto new_file = MakeFile("b", "new");
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo before, new_file->Info());
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo other, old_file->Info());
  EXPECT_NE(before.identity, other.identity);
  VARVE_ASSERT_OK(fs_->Rename(Path("b"), Path("a")));
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo after, fs_->Info(Path("a")));
  EXPECT_EQ(after.identity, before.identity);
}

TEST_P(FileSystemContract, CopyPrefixCopiesWhatWasAskedAndNoMore) {
  std::string content(200'000, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>('a' + i % 23);
  const auto source = MakeFile("a", content);
  for (const size_t length : {size_t{0}, size_t{1}, kPageBytes, size_t{100'001}, content.size()}) {
    const auto target = MakeFile("b", "");
    VARVE_ASSERT_OK(target->CopyPrefixFrom(*source, length));
    EXPECT_EQ(Content(*target), content.substr(0, length));
  }
}

TEST_P(FileSystemContract, ACopyIsIndependentOfItsSource) {
  const auto source = MakeFile("a", std::string(3 * kPageBytes, 'a'));
  const auto target = MakeFile("b", "");
  VARVE_ASSERT_OK(target->CopyPrefixFrom(*source, 2 * kPageBytes));
  VARVE_ASSERT_OK(source->WriteAt(0, AsBytes("source")));
  VARVE_ASSERT_OK(target->WriteAt(kPageBytes, AsBytes("target")));
  EXPECT_EQ(Content(*target), std::string(kPageBytes, 'a') + "target" + std::string(kPageBytes - 6, 'a'));
  EXPECT_EQ(Content(*source), "source" + std::string(3 * kPageBytes - 6, 'a'));
}

TEST_P(FileSystemContract, CopyPrefixKeepsWhatLiesBehindIt) {
  const auto source = MakeFile("a", "SOURCE");
  const auto target = MakeFile("b", "the target");
  VARVE_ASSERT_OK(target->CopyPrefixFrom(*source, 3));
  EXPECT_EQ(Content(*target), "SOU target");
}

TEST_P(FileSystemContract, CopyOfMoreThanTheSourceHoldsIsInvalid) {
  const auto source = MakeFile("a", "source");
  const auto target = MakeFile("b", "target");
  EXPECT_THAT(target->CopyPrefixFrom(*source, 7), StatusIs(StatusCode::kInvalidArgument, HasSubstr(Path("a"))));
  EXPECT_EQ(Content(*target), "target");
}

TEST_P(FileSystemContract, ExclusiveLocksExcludeWithinAProcess) {
  MakeFile(".lock", "");
  VARVE_ASSERT_OK_AND_ASSIGN(auto held, fs_->Lock(Path(".lock"), LockKind::kExclusive));
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kExclusive),
              StatusIs(StatusCode::kUnavailable, HasSubstr(Path(".lock"))));
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kShared), StatusIs(StatusCode::kUnavailable));
  // Other opens and closes of the file leave the lock alone, as record locks would not.
  EXPECT_EQ(ContentOf(".lock"), "");
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kExclusive), StatusIs(StatusCode::kUnavailable));
  held.reset();
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kExclusive), IsOk());
}

TEST_P(FileSystemContract, SharedLocksShareAndKeepTheExclusiveOut) {
  MakeFile(".lock", "");
  VARVE_ASSERT_OK_AND_ASSIGN(auto first, fs_->Lock(Path(".lock"), LockKind::kShared));
  VARVE_ASSERT_OK_AND_ASSIGN(auto second, fs_->Lock(Path(".lock"), LockKind::kShared));
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kExclusive), StatusIs(StatusCode::kUnavailable));
  first.reset();
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kExclusive), StatusIs(StatusCode::kUnavailable));
  second.reset();
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kExclusive), IsOk());
}

TEST_P(FileSystemContract, IsLockedTellsOfExclusiveLocksOnly) {
  MakeFile(".lock", "");
  EXPECT_THAT(fs_->IsLocked(Path(".lock")), IsOkAndHolds(Eq(false)));
  VARVE_ASSERT_OK_AND_ASSIGN(auto shared, fs_->Lock(Path(".lock"), LockKind::kShared));
  EXPECT_THAT(fs_->IsLocked(Path(".lock")), IsOkAndHolds(Eq(false)));
  shared.reset();
  VARVE_ASSERT_OK_AND_ASSIGN(auto exclusive, fs_->Lock(Path(".lock"), LockKind::kExclusive));
  EXPECT_THAT(fs_->IsLocked(Path(".lock")), IsOkAndHolds(Eq(true)));
  exclusive.reset();
  EXPECT_THAT(fs_->IsLocked(Path(".lock")), IsOkAndHolds(Eq(false)));
}

TEST_P(FileSystemContract, LockOfTheAbsentIsNotFoundAndCreatesNothing) {
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kExclusive), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kShared), StatusIs(StatusCode::kNotFound));
  EXPECT_THAT(fs_->IsLocked(Path(".lock")), StatusIs(StatusCode::kNotFound, HasSubstr(Path(".lock"))));
  EXPECT_THAT(fs_->List(under_test_->root()), IsOkAndHolds(IsEmpty()));
}

TEST_P(FileSystemContract, ALockFollowsItsFileNotTheName) {
  MakeFile("a", "");
  MakeFile("b", "");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto held, fs_->Lock(Path("a"), LockKind::kExclusive));
  VARVE_ASSERT_OK(fs_->Rename(Path("a"), Path("c")));
  EXPECT_THAT(fs_->Lock(Path("c"), LockKind::kExclusive), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(fs_->Lock(Path("b"), LockKind::kExclusive), IsOk());
}

TEST_P(FileSystemContract, BootIdIsStable) {
  EXPECT_NE(fs_->BootId(), "");
  EXPECT_EQ(fs_->BootId(), fs_->BootId());
}

TEST_P(FileSystemContract, SendToWorksExactlyWhereThereAreDescriptors) {
  const auto file = MakeFile("a", "content");
  EXPECT_EQ(file->Descriptor() >= 0, GetParam().has_descriptors);
  if (!GetParam().has_descriptors) {
    EXPECT_THAT(file->SendTo(0, 0, 1), StatusIs(StatusCode::kUnimplemented, HasSubstr(Path("a"))));
  }
}

INSTANTIATE_TEST_SUITE_P(All, FileSystemContract, ::testing::ValuesIn(AllFileSystemKinds()),
                         [](const auto& kind) { return kind.param.name; });

}  // namespace
}  // namespace varve
