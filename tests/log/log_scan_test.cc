// What a scan does that looks up many batches at once, when the log changes under it: include/varve/log_reader.h.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "log/log_places.h"

namespace varve {
namespace {

using testing_support::AppendMany;
using testing_support::StatusIs;
using testing_support::ValueAt;

class LogScanTest : public testing_support::LogTest {
 protected:
  LogScanTest() { options_.segment_bytes = 1 << 20; }

  // A scan of a log of this many records, of which it has given out some: by then it holds a run of others.
  LogScan Begun(Log* log, int64_t to_offset) {
    AppendMany(log, kRecords);
    LogScan scan = log->Scan(0, {.to_offset = to_offset});
    for (int64_t offset = 0; offset < kGivenOut; ++offset) {
      EXPECT_TRUE(scan.Next());
      EXPECT_EQ(scan.record().offset(), offset);
    }
    return scan;
  }

  static constexpr int kRecords = 40;
  static constexpr int64_t kGivenOut = 10;
};

TEST_F(LogScanTest, RecordsBehindATruncationAreThoseAppendedSince) {
  const auto log = Open();
  LogScan scan = Begun(log.get(), kRecords);
  constexpr int64_t kKept = 20;
  VARVE_ASSERT_OK(log->TruncateTo(kKept));
  for (int64_t offset = kKept; offset < kRecords; ++offset) {
    VARVE_ASSERT_OK(log->Append({{.key = "key", .value = "another"}}));
  }
  int64_t expected = kGivenOut;
  while (scan.Next()) {
    ASSERT_EQ(scan.record().offset(), expected);
    ASSERT_EQ(scan.record().value(), expected < kKept ? ValueAt(expected) : "another");
    ++expected;
  }
  VARVE_EXPECT_OK(scan.status());
  EXPECT_EQ(expected, kRecords);
}

TEST_F(LogScanTest, RecordsBelowALogStartThatHasMovedUpAreOutOfRange) {
  const auto log = Open();
  LogScan scan = Begun(log.get(), kRecords);
  VARVE_ASSERT_OK(log->DeleteBefore(30));
  EXPECT_FALSE(scan.Next());
  EXPECT_THAT(scan.status(), StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_EQ(scan.next_offset(), kGivenOut);
}

TEST_F(LogScanTest, RecordsAppendedWhileAScanRunsBelongToItUpToTheAskedEnd) {
  const auto log = Open();
  LogScan scan = Begun(log.get(), 2 * kRecords);
  AppendMany(log.get(), 2 * kRecords);
  int64_t expected = kGivenOut;
  for (; scan.Next(); ++expected) ASSERT_EQ(scan.record().value(), ValueAt(expected));
  VARVE_EXPECT_OK(scan.status());
  EXPECT_EQ(expected, 2 * kRecords);
}

TEST_F(LogScanTest, RecordsOfManyRunsComeOnceEach) {
  const auto log = Open();
  const std::string value(1000, 'v');
  constexpr int64_t kMany = 3'000;  // about 3 MB: segments and runs end in turn
  for (int64_t number = 0; number < kMany; ++number) {
    const std::string key = ValueAt(number);
    VARVE_ASSERT_OK(log->Append({{.key = key, .value = value}}));
  }
  int64_t expected = 0;
  LogScan scan = log->Scan(0);
  for (const RecordView& record : scan) {
    ASSERT_EQ(record.offset(), expected);
    ASSERT_EQ(record.key(), ValueAt(expected));
    ++expected;
  }
  VARVE_EXPECT_OK(scan.status());
  EXPECT_EQ(expected, kMany);
}

// A run is tested as a whole: where it cannot be judged, as the file is gone, what lies before the fault comes all the
// same.
TEST_F(LogScanTest, RecordsBeforeDamageThatCannotBeJudgedAreGivenOut) {
  constexpr int64_t kBad = 30;
  {
    const auto log = Open();
    AppendMany(log.get(), kRecords);
    VARVE_ASSERT_OK(log->Roll());
    VARVE_ASSERT_OK_AND_ASSIGN(const auto bad, log->NewReader().Find(kBad));
    VARVE_ASSERT_OK(log->Close());
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file,
                               memory_.Open(directory_ + "/00000000000000000000.log", OpenMode::kReadWrite));
    VARVE_ASSERT_OK(
        file->WriteAt(static_cast<uint64_t>(bad->position + bad->size_bytes - 2), std::vector<std::byte>(1)));
  }
  const auto log = Open();
  LogScan scan = log->Scan(0);
  ASSERT_TRUE(scan.Next());  // opens the file
  VARVE_ASSERT_OK(memory_.Remove(directory_ + "/00000000000000000000.log"));
  int64_t expected = 1;
  for (; scan.Next(); ++expected) ASSERT_EQ(scan.record().offset(), expected);
  EXPECT_THAT(scan.status(), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_GE(expected, kBad - 4);  // the entries of the index lie two batches apart
  EXPECT_LE(expected, kBad);
}

}  // namespace
}  // namespace varve
