// Bad sectors that the device reads again after a while: what is taken for damage meanwhile has no consequences that stay.
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>

#include "log/bad_sectors.h"
#include "log/log_places.h"
#include "segment/reference_segment.h"
#include "varve/time_index.h"

namespace varve {
namespace {

using testing_support::FileSystemWithBadSectors;
using testing_support::IsOk;
using testing_support::IsOkAndHolds;
using testing_support::OpenLog;
using testing_support::StatusIs;

constexpr int64_t kSegmentRecords = 10;
constexpr int64_t kSegments = 3;
constexpr int64_t kEnd = kSegmentRecords * kSegments;
// So that a bad sector, which takes its page with it, touches one record.
constexpr size_t kValueBytes = 9000;

class PassingDamageTest : public testing_support::LogTest {
 protected:
  PassingDamageTest() {
    options_.segment_bytes = 1 << 20;
    options_.index_interval_bytes = 1 << 20;
    options_.max_open_segments = 1;
  }

  // One record a batch, a segment for every ten; `timestamp_of` an offset.
  template <typename TimestampOf>
  void Write(TimestampOf timestamp_of) {
    const auto log = Open();
    for (int64_t offset = 0; offset < kEnd; ++offset) {
      const absl::Status rolled = offset > 0 && offset % kSegmentRecords == 0 ? log->Roll() : absl::OkStatus();
      VARVE_ASSERT_OK(rolled);
      const std::string value(kValueBytes, 'v');
      VARVE_ASSERT_OK(log->Append({{.key = "key", .value = value, .timestamp_ms = timestamp_of(offset)}}).status());
    }
    VARVE_ASSERT_OK(log->Close());
  }

  // Opens the log on a device that cannot read a byte of the record at this offset of the first segment.
  std::unique_ptr<Log> OpenWithBadRecord(int64_t offset) {
    options_.file_system = &memory_;
    {
      const auto log = Open();
      const auto found = log->NewReader().Find(offset);
      EXPECT_TRUE(found.ok() && found->has_value());
      if (!found.ok() || !found->has_value()) return nullptr;
      position_ = static_cast<uint64_t>((*found)->position) + 200;
      EXPECT_THAT(log->Close(), IsOk());
    }
    bad_.emplace(&memory_, testing_support::SegmentPath(directory_, 0, internal::SegmentFileKind::kLog), position_, 1);
    bad_->LetMap();
    options_.file_system = &*bad_;
    return Open();
  }
  void Mend() { bad_->Mend(position_); }

  std::optional<FileSystemWithBadSectors> bad_;
  uint64_t position_ = 0;
};

absl::StatusOr<int64_t> OffsetAt(LogReader* reader, int64_t timestamp_ms) {
  absl::StatusOr<std::optional<TimestampLookup>> found = reader->OffsetForTimestamp(timestamp_ms);
  if (!found.ok()) return found.status();
  return found->has_value() ? (*found)->offset : -1;
}

// What cannot be read may be the youngest of the segment.
TEST_F(PassingDamageTest, RetentionDoesNotGoByWhatIsLeftToRead) {
  constexpr int64_t kHourMs = 3'600'000;
  const int64_t now_ms = clock_.WallMs();
  Write([now_ms](int64_t offset) { return offset < kSegmentRecords - 1 ? now_ms - 5 * kHourMs : now_ms - 1; });
  for (const bool held : {false, true}) {
    const auto log = OpenWithBadRecord(kSegmentRecords - 1);
    ASSERT_NE(log, nullptr);
    LogReader reader = log->NewReader();
    if (held) {
      EXPECT_THAT(reader.ReadBatch(kSegmentRecords - 1), StatusIs(absl::StatusCode::kDataLoss));
    }
    VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult now, log->ApplyRetention({.retention_ms = kHourMs}));
    EXPECT_TRUE(now.deleted.empty());
    Mend();
    VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult mended, log->ApplyRetention({.retention_ms = kHourMs}));
    EXPECT_TRUE(mended.deleted.empty());
    VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult later, log->PlanRetention({.retention_ms = 0}));
    EXPECT_EQ(later.deleted.size(), size_t{kSegments});
    VARVE_EXPECT_OK(reader.ReadBatch(kSegmentRecords - 1).status());
    VARVE_ASSERT_OK(log->Close());
  }
}

TEST_F(PassingDamageTest, ATimeIsFoundOnceItsRecordCanBeRead) {
  Write([](int64_t offset) { return 1000 + offset + (offset == kSegmentRecords - 1 ? kEnd : 0); });
  const auto log = OpenWithBadRecord(kSegmentRecords - 1);
  ASSERT_NE(log, nullptr);
  LogReader reader = log->NewReader();
  constexpr int64_t kLargest = 1000 + kSegmentRecords - 1 + kEnd;
  EXPECT_THAT(OffsetAt(&reader, 1000 + kSegmentRecords - 1), IsOkAndHolds(kSegmentRecords));
  EXPECT_THAT(OffsetAt(&reader, kMaxTimestamp), IsOkAndHolds(kEnd - 1));
  EXPECT_THAT(OffsetAt(&reader, kLargest), IsOkAndHolds(-1));
  Mend();
  EXPECT_THAT(OffsetAt(&reader, kLargest), IsOkAndHolds(kSegmentRecords - 1));
  EXPECT_THAT(OffsetAt(&reader, 1000 + kSegmentRecords - 1), IsOkAndHolds(kSegmentRecords - 1));
  EXPECT_THAT(OffsetAt(&reader, kMaxTimestamp), IsOkAndHolds(kSegmentRecords - 1));
}

// What a scan holds may be more than what the cache keeps.
TEST_F(PassingDamageTest, AScanPassesItsDamageThoughTheCacheHasLetGoOfIt) {
  constexpr int64_t kBad = 5;
  Write([](int64_t offset) { return 1000 + offset; });
  const auto log = OpenWithBadRecord(kBad);
  ASSERT_NE(log, nullptr);
  LogScan scan = log->Scan(0);
  ASSERT_TRUE(scan.Next()) << scan.status();
  VARVE_ASSERT_OK(log->NewReader().Find(kSegmentRecords).status());
  while (scan.Next()) {
  }
  EXPECT_THAT(scan.status(), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(scan.next_offset(), kBad + 1);
  Mend();
  LogScan anew = log->Scan(kBad);
  ASSERT_TRUE(anew.Next()) << anew.status();
  EXPECT_EQ(anew.record().offset(), kBad);
}

}  // namespace
}  // namespace varve
