// The parts of the command that can be judged without running it.

#include <cstdint>
#include <fstream>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/exit_status.h"
#include "cli/line_reader.h"
#include "cli/log_file_walk.h"
#include "cli/progress_bar.h"
#include "cli/quantities.h"
#include "cli/segment_picture.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/errors.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::cli {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Le;
using ::testing::StartsWith;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;
using testing_support::TemporaryDirectory;

TEST(QuantitiesTest, WholeNumbersAreDecimal) {
  EXPECT_THAT(ParseWholeNumber("010"), IsOkAndHolds(10));
  EXPECT_THAT(ParseWholeNumber("-9223372036854775808"), IsOkAndHolds(std::numeric_limits<int64_t>::min()));
  EXPECT_THAT(ParseWholeNumber("9223372036854775807"), IsOkAndHolds(std::numeric_limits<int64_t>::max()));
  for (const std::string_view text : {"", "-", "+1", " 1", "1 ", "0x10", "1e3", "1.0", "true", "9223372036854775808",
                                      "-9223372036854775809", "18446744073709551617"}) {
    EXPECT_THAT(ParseWholeNumber(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("found '" + std::string(text))));
  }
}

TEST(QuantitiesTest, TimesAreMillisecondsOrRfc3339) {
  EXPECT_THAT(ParseTime("0"), IsOkAndHolds(0));
  EXPECT_THAT(ParseTime("1769860800000"), IsOkAndHolds(1769860800000));
  EXPECT_THAT(ParseTime("2026-01-31T12:00:00Z"), IsOkAndHolds(1769860800000));
  EXPECT_THAT(ParseTime("2026-01-31T12:00:00.123456Z"), IsOkAndHolds(1769860800123));
  EXPECT_THAT(ParseTime("2026-01-31T07:00:00-05:00"), IsOkAndHolds(1769860800000));
  for (const std::string_view text :
       {"", "-1", "1.5", "2026-01-31", "2026-01-31T12:00:00", "2026-02-30T12:00:00Z", "infinite-future",
        "infinite-past", "1969-12-31T23:59:59Z", "9223372036854775808", "latest", " 1"}) {
    EXPECT_THAT(ParseTime(text),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("found '" + std::string(text))));
  }
}

TEST(QuantitiesTest, LookupTimesHaveAliases) {
  EXPECT_THAT(ParseLookupTime("latest"), IsOkAndHolds(-1));
  EXPECT_THAT(ParseLookupTime("earliest"), IsOkAndHolds(-2));
  EXPECT_THAT(ParseLookupTime("max"), IsOkAndHolds(-3));
  EXPECT_THAT(ParseLookupTime("-3"), IsOkAndHolds(-3));
  EXPECT_THAT(ParseLookupTime("7"), IsOkAndHolds(7));
  EXPECT_THAT(ParseLookupTime("-4"), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseLookupTime("last"), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(QuantitiesTest, AmountsAreReadable) {
  EXPECT_EQ(FormatBytes(0), "0 bytes");
  EXPECT_EQ(FormatBytes(9'999), "9999 bytes");
  EXPECT_EQ(FormatBytes(10'240), "10.0 KiB");
  EXPECT_EQ(FormatBytes(int64_t{1} << 30), "1.0 GiB");
  EXPECT_EQ(FormatBytes(std::numeric_limits<int64_t>::max()), "8192.0 PiB");
  EXPECT_EQ(FormatCount(0), "0");
  EXPECT_EQ(FormatCount(999), "999");
  EXPECT_EQ(FormatCount(1'000), "1,000");
  EXPECT_EQ(FormatCount(-1'234'567), "-1,234,567");
  EXPECT_EQ(FormatTime(1769860800007), "2026-01-31T12:00:00.007Z");
  EXPECT_EQ(FormatTime(-1), "no time");
  EXPECT_EQ(FormatTime(-2), "-2");
  EXPECT_EQ(FormatTime(std::numeric_limits<int64_t>::max()), "9223372036854775807");
}

TEST(ProgressLineTest, HasRatePercentAndTimeLeft) {
  EXPECT_THAT(ProgressLine("verify", 50 << 20, 200 << 20, 2'000'000'000),
              AllOf(HasSubstr(" 25 %"), HasSubstr("25.0 MiB/s"), EndsWith("0:06 left")));
  EXPECT_THAT(ProgressLine("verify", 200 << 20, 200 << 20, 2'000'000'000),
              AllOf(HasSubstr("100 %"), HasSubstr("0:00")));
  // More than was promised, and nothing yet.
  EXPECT_THAT(ProgressLine("verify", 300, 200, 1'000'000), HasSubstr("100 %"));
  EXPECT_THAT(ProgressLine("verify", 0, 200, 1'000'000), AllOf(HasSubstr("  0 %"), HasSubstr("0:00 left")));
}

TEST(ProgressLineTest, WithoutATotalThereIsOnlyARate) {
  EXPECT_EQ(ProgressLine("append", 50 << 20, 0, 1'000'000'000), "append  50.0 MiB  50.0 MiB/s");
}

TEST(SegmentPictureTest, BarsAreAsLongAsTheirShare) {
  EXPECT_EQ(DrawBar(0, 8, false), "");
  EXPECT_EQ(DrawBar(1, 3, false), "███");
  EXPECT_EQ(DrawBar(0.5, 3, false), "█▌");
  EXPECT_EQ(DrawBar(0.0001, 8, false), "▏");  // never invisible
  EXPECT_EQ(DrawBar(2, 2, false), "██");
  EXPECT_EQ(DrawBar(0.5, 4, true), "▒▒");
}

// Columns of a line: bytes of UTF-8 that begin a character.
size_t ColumnsOf(std::string_view line) {
  return static_cast<size_t>(std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

TEST(SegmentPictureTest, FitsIntoAHundredColumnsAndLeavesTheMiddleOfManyOut) {
  std::vector<SegmentSummary> segments(200);
  for (size_t i = 0; i < segments.size(); ++i) {
    segments[i].base_offset = 9'007'199'254'740'000 + static_cast<int64_t>(i);
    segments[i].log_bytes = (int64_t{1} << 31) - 1;
    segments[i].batches = 100'000'000;
    segments[i].index_entries = 1;
    segments[i].max_timestamp_ms = 1'700'000'000'000;
  }
  const std::string picture = DrawSegments(segments);
  std::vector<size_t> columns;
  for (size_t begin = 0; begin < picture.size();) {
    const size_t end = picture.find('\n', begin);
    columns.push_back(ColumnsOf(std::string_view(picture).substr(begin, end - begin)));
    begin = end + 1;
  }
  EXPECT_THAT(columns, Each(Le(100u)));
  EXPECT_EQ(columns.size(), kPictureSegments + 2);  // a heading, and a line for those left out
  EXPECT_THAT(picture, HasSubstr("in 140 more segments"));
  EXPECT_THAT(picture, HasSubstr("9007199254740029 "));
  EXPECT_THAT(picture, ::testing::Not(HasSubstr("9007199254740030 ")));
  EXPECT_THAT(picture, HasSubstr("9007199254740170 "));
}

TEST(LineReaderTest, LinesAcrossReadsAndALongOne) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/lines";
  std::vector<std::string> lines;
  for (size_t i = 0; i < 5000; ++i) lines.emplace_back(i % 997, static_cast<char>('a' + i % 26));
  lines.emplace_back(3'000'000, 'z');
  lines.emplace_back("last");
  {
    std::ofstream out(path, std::ios::binary);
    for (size_t i = 0; i < lines.size(); ++i) out << lines[i] << (i + 1 < lines.size() ? "\n" : "");
  }
  VARVE_ASSERT_OK_AND_ASSIGN(LineReader reader, LineReader::Open(path, 3'000'000));
  std::string_view line;
  for (const std::string& expected : lines) {
    ASSERT_THAT(reader.Next(&line), IsOkAndHolds(true));
    ASSERT_EQ(line, expected);
  }
  EXPECT_THAT(reader.Next(&line), IsOkAndHolds(false));
  EXPECT_EQ(reader.line_number(), 5002);
  EXPECT_EQ(reader.bytes_read(), LineReader::SizeOf(path));
}

TEST(LineReaderTest, ALineAboveTheLimitIsRefusedBeforeItsEnd) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/lines";
  std::ofstream(path, std::ios::binary) << "ok\n" << std::string(2'000'000, 'x') << "\n";
  VARVE_ASSERT_OK_AND_ASSIGN(LineReader reader, LineReader::Open(path, 1'000'000));
  std::string_view line;
  ASSERT_THAT(reader.Next(&line), IsOkAndHolds(true));
  EXPECT_THAT(reader.Next(&line), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(path + " line 2")));
}

TEST(ExitStatusTest, EveryCodeHasOne) {
  EXPECT_EQ(ExitStatusOf(absl::OkStatus()), ExitStatus::kDone);
  for (const auto& [code, status] : std::vector<std::pair<absl::StatusCode, ExitStatus>>{
           {absl::StatusCode::kInvalidArgument, ExitStatus::kUsage},
           {absl::StatusCode::kAlreadyExists, ExitStatus::kUsage},
           {absl::StatusCode::kOutOfRange, ExitStatus::kDataWrong},
           {absl::StatusCode::kDataLoss, ExitStatus::kDataWrong},
           {absl::StatusCode::kUnimplemented, ExitStatus::kDataWrong},
           {absl::StatusCode::kNotFound, ExitStatus::kSystem},
           {absl::StatusCode::kPermissionDenied, ExitStatus::kSystem},
           {absl::StatusCode::kFailedPrecondition, ExitStatus::kSystem},
           {absl::StatusCode::kUnavailable, ExitStatus::kSystem},
           {absl::StatusCode::kAborted, ExitStatus::kSystem},
           {absl::StatusCode::kDeadlineExceeded, ExitStatus::kSystem},
           {absl::StatusCode::kResourceExhausted, ExitStatus::kSystem},
           {absl::StatusCode::kInternal, ExitStatus::kSystem}}) {
    EXPECT_EQ(ExitStatusOf(absl::Status(code, "x")), status) << absl::StatusCodeToString(code);
  }
}

class LogFileWalkTest : public ::testing::Test {
 protected:
  static std::vector<std::byte> Batch(int64_t base_offset, size_t value_bytes) {
    RecordBatchBuilder builder({.base_offset = base_offset});
    EXPECT_TRUE(builder.Add({.value = std::string(value_bytes, 'v'), .timestamp_ms = 1}).ok());
    const absl::StatusOr<std::span<const std::byte>> batch = builder.Build();
    EXPECT_TRUE(batch.ok());
    return {batch->begin(), batch->end()};
  }

  // Writes the bytes to a file and walks it; the base offsets met.
  std::vector<int64_t> Walk(const std::vector<std::byte>& bytes) {
    const std::string path = directory_.path() + "/00000000000000000000.log";
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    file_ = *FileSystem::Default()->Open(path, OpenMode::kRead);
    walk_.emplace(file_.get());
    std::vector<int64_t> offsets;
    for (;;) {
      const absl::StatusOr<bool> more = walk_->Next();
      status_ = more.status();
      if (!more.ok() || !*more) return offsets;
      offsets.push_back(walk_->batch().base_offset());
    }
  }

  static void Append(std::vector<std::byte> more, std::vector<std::byte>* bytes) {
    bytes->insert(bytes->end(), more.begin(), more.end());
  }

  TemporaryDirectory directory_;
  std::unique_ptr<File> file_;
  std::optional<LogFileWalk> walk_;
  absl::Status status_;
};

TEST_F(LogFileWalkTest, WalksSmallAndLargeBatchesToTheEnd) {
  std::vector<std::byte> bytes;
  Append(Batch(0, 10), &bytes);
  Append(Batch(1, 5'000'000), &bytes);
  for (int64_t offset = 2; offset < 3000; ++offset) Append(Batch(offset, 1000), &bytes);
  const std::vector<int64_t> offsets = Walk(bytes);
  EXPECT_EQ(offsets.size(), 3000u);
  EXPECT_TRUE(std::is_sorted(offsets.begin(), offsets.end()));
  EXPECT_EQ(walk_->end(), WalkEnd::kEndOfFile);
  EXPECT_EQ(walk_->bytes_left(), 0);
}

TEST_F(LogFileWalkTest, TellsWhyItStops) {
  struct Case {
    std::vector<std::byte> tail;
    WalkEnd end;
  };
  std::vector<std::byte> torn = Batch(1, 100);
  torn.resize(80);
  std::vector<std::byte> garbage(200, std::byte{0x55});
  std::vector<std::byte> late_garbage(3 << 20);
  late_garbage.back() = std::byte{1};
  for (const Case& c : std::vector<Case>{{{}, WalkEnd::kEndOfFile},
                                         {std::vector<std::byte>(5, std::byte{9}), WalkEnd::kTorn},
                                         {torn, WalkEnd::kTorn},
                                         {std::vector<std::byte>(3 << 20), WalkEnd::kZeros},
                                         {late_garbage, WalkEnd::kNoBatch}}) {
    std::vector<std::byte> bytes = Batch(0, 10);
    const auto batch_bytes = static_cast<int64_t>(bytes.size());
    Append(c.tail, &bytes);
    EXPECT_THAT(Walk(bytes), ElementsAre(0));
    VARVE_EXPECT_OK(status_);
    EXPECT_EQ(walk_->end(), c.end);
    EXPECT_EQ(walk_->next_position(), batch_bytes);
    EXPECT_EQ(walk_->bytes_left(), static_cast<int64_t>(c.tail.size()));
    EXPECT_EQ(walk_->reason().empty(), c.end == WalkEnd::kEndOfFile);
  }
}

TEST_F(LogFileWalkTest, OldMagicIsNamedAndNothingElse) {
  std::vector<std::byte> bytes = Batch(0, 10);
  std::vector<std::byte> old = Batch(1, 10);
  old[16] = std::byte{1};
  const auto position = bytes.size();
  Append(old, &bytes);
  EXPECT_THAT(Walk(bytes), ElementsAre(0));
  EXPECT_THAT(status_, StatusIs(absl::StatusCode::kUnimplemented,
                                AllOf(HasSubstr(file_->path()), HasSubstr(fmt::format("position {}", position)))));
}

TEST_F(LogFileWalkTest, AReadErrorIsPassedOn) {
  std::vector<std::byte> bytes = Batch(0, 10);
  (void)Walk(bytes);
  for (const FileOperation operation : {FileOperation::kRead, FileOperation::kInfo}) {
    FaultyFileSystem faulty(FileSystem::Default());
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file, faulty.Open(file_->path(), OpenMode::kRead));
    faulty.AddRule({.operation = operation, .status = absl::InternalError("EIO")});
    LogFileWalk walk(file.get());
    EXPECT_THAT(walk.Next(), StatusIs(absl::StatusCode::kInternal));
    EXPECT_EQ(faulty.faults_fired(), 1u);
  }
}

}  // namespace
}  // namespace varve::cli
