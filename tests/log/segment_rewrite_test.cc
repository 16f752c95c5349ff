#include "log/segment_rewrite.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/bad_sectors.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using ::testing::HasSubstr;
using testing_support::FileSystemWithBadSectors;
using testing_support::IsOkAndHolds;
using testing_support::ReadFile;
using testing_support::StatusIs;
using testing_support::WriteFile;

// Of five pages one cannot be read. Everything else from the position on is written again, wherever that lies in its
// page: bytes that are passed over and called durable all the same would be lost.
TEST(SegmentRewriteTest, PassesOverNothingButTheBadPage) {
  constexpr int64_t kPage = 4096;
  constexpr int64_t kSize = 5 * kPage - 100;
  for (int64_t bad_page = 0; bad_page < 5; ++bad_page) {
    for (const int64_t position :
         {int64_t{0}, int64_t{1}, int64_t{1000}, kPage - 1, kPage, kPage + 1, 2 * kPage + 700}) {
      SCOPED_TRACE(testing::Message() << "page " << bad_page << ", from " << position);
      MemoryFileSystem memory;
      WriteFile(&memory, "log", std::string(kSize, 'x'));
      FileSystemWithBadSectors bad(&memory, "log", static_cast<uint64_t>(bad_page * kPage), kPage);
      const int64_t bad_begin = std::max(position, bad_page * kPage);
      const int64_t bad_end = std::min(kSize, (bad_page + 1) * kPage);
      EXPECT_THAT(RewriteInPlace(&bad, "log", position),
                  IsOkAndHolds(kSize - position - std::max<int64_t>(0, bad_end - bad_begin)));
    }
  }
}

// Whatever is copied around a bad sector, and by whatever buffer, one page of zeros is all it costs.
TEST(SegmentRewriteTest, CopiesEveryPageButTheBadOne) {
  constexpr int64_t kPage = 4096;
  constexpr int64_t kPages = 600;  // more than two of the buffers that bytes are copied by
  std::string content;
  for (int64_t page = 0; page < kPages; ++page) content.append(kPage - 1, static_cast<char>('a' + page % 26)) += '|';
  content.resize(content.size() - 100);
  const auto size_bytes = static_cast<int64_t>(content.size());
  for (const int64_t bad_page : {int64_t{0}, int64_t{1}, int64_t{255}, int64_t{256}, int64_t{400}, kPages - 1}) {
    for (const int64_t from : {int64_t{0}, int64_t{1000}, 255 * kPage + 1}) {
      for (const int64_t bytes : {size_bytes - from, size_bytes - from - 3 * kPage - 5}) {
        SCOPED_TRACE(testing::Message() << "page " << bad_page << ", " << bytes << " bytes from " << from);
        MemoryFileSystem memory;
        WriteFile(&memory, "log", content);
        FileSystemWithBadSectors bad(&memory, "log", static_cast<uint64_t>(bad_page * kPage + 512), 512);
        VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> source, bad.Open("log", OpenMode::kRead));
        VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> copy, bad.Open("copy", OpenMode::kTruncate));
        if (from == 0) {
          VARVE_ASSERT_OK(CopyPrefix(*source, bytes, copy.get()));
        } else {
          VARVE_ASSERT_OK(CopyRange(*source, from, copy.get(), 0, bytes));
        }
        std::string expected = content;
        const auto bad_begin = static_cast<size_t>(bad_page * kPage);
        const size_t bad_bytes = std::min(static_cast<size_t>(kPage), content.size() - bad_begin);
        expected.replace(bad_begin, bad_bytes, bad_bytes, '\0');
        expected = expected.substr(static_cast<size_t>(from), static_cast<size_t>(bytes));
        EXPECT_TRUE(ReadFile(&memory, "copy") == expected);
      }
    }
  }
}

// Somebody has cut the file since its size was told.
TEST(SegmentRewriteTest, AFileThatEndsBeforeWhatIsCopiedIsSaidSo) {
  MemoryFileSystem memory;
  WriteFile(&memory, "log", "0123456789");
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> source, memory.Open("log", OpenMode::kRead));
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> copy, memory.Open("copy", OpenMode::kTruncate));
  EXPECT_THAT(CopyRange(*source, 3, copy.get(), 0, 8),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("the file ends")));
  FaultyFileSystem faulty(&memory);
  faulty.AddRule({.operation = FileOperation::kRead, .status = absl::InternalError("bad sector")});
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> unreadable, faulty.Open("log", OpenMode::kRead));
  std::vector<std::byte> out(4);
  EXPECT_THAT(ReadPastBadSectors(*unreadable, 12, out), IsOkAndHolds(0u));
}

// A bad sector is passed over; where there is no memory nobody knows what is there.
TEST(SegmentRewriteTest, AReadThatCannotBeDoneBesideABadSectorIsToldOf) {
  MemoryFileSystem memory;
  WriteFile(&memory, "log", std::string(10'000, 'x'));
  for (uint64_t nth = 2; nth <= 4; ++nth) {
    FaultyFileSystem faulty(&memory);
    faulty.AddRule({.operation = FileOperation::kRead, .status = absl::InternalError("bad sector")});
    faulty.AddRule(
        {.operation = FileOperation::kRead, .nth = nth, .status = absl::ResourceExhaustedError("no memory")});
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file, faulty.Open("log", OpenMode::kRead));
    std::vector<std::byte> out(10'000);
    EXPECT_THAT(ReadPastBadSectors(*file, 0, out), StatusIs(absl::StatusCode::kResourceExhausted)) << "read " << nth;
  }
}

TEST(SegmentRewriteTest, OfAFileThatIsCutMeanwhileTheRestIsLeftOut) {
  MemoryFileSystem memory;
  WriteFile(&memory, "log", "0123456789");
  FaultyFileSystem faulty(&memory);
  faulty.AddRule({.operation = FileOperation::kRead, .status = absl::OkStatus(), .partial_bytes = 4});
  faulty.AddRule({.operation = FileOperation::kRead, .nth = 2, .status = absl::OkStatus(), .partial_bytes = 0});
  EXPECT_THAT(RewriteInPlace(&faulty, "log", 0), IsOkAndHolds(4));
}

TEST(SegmentRewriteTest, PatchesOnlyWhatIsKept) {
  MemoryFileSystem memory;
  VARVE_ASSERT_OK(memory.CreateDirectory("orders-0"));
  WriteFile(&memory, "orders-0/log", "0123456789");
  const std::vector<FileExtent> kept = {{.position = 0, .bytes = 3}, {.position = 6, .bytes = 4}};
  const std::vector<FilePatch> patches = {{.position = 1, .bytes = {std::byte{'a'}}},
                                          {.position = 4, .bytes = {std::byte{'b'}}},
                                          {.position = 7, .bytes = {std::byte{'c'}}}};
  VARVE_ASSERT_OK(RewriteFile(&memory, "orders-0", "log", kept, patches));
  EXPECT_EQ(ReadFile(&memory, "orders-0/log"), "0a26c89");
}

}  // namespace
}  // namespace varve::internal
