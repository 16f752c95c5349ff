// What recovery makes of batches in an order that no log has: it says so, at whichever index meets it first.
#include "segment/index_rebuilder.h"

#include <cstdint>

#include "gtest/gtest.h"
#include "support/status_matchers.h"

namespace varve::internal {
namespace {

using testing_support::IsOk;
using testing_support::StatusIs;

constexpr int64_t kIntervalBytes = 100;
constexpr int64_t kIndexBytes = 1024;

BatchHeader Header(int64_t last_offset, int64_t max_timestamp_ms, size_t size_bytes) {
  BatchHeader header{};
  header.base_offset = last_offset;
  header.max_timestamp_ms = max_timestamp_ms;
  header.size_bytes = size_bytes;
  return header;
}

TEST(IndexRebuilderTest, AnOffsetBelowTheLastEntryIsRefused) {
  IndexRebuilder rebuilder(0, kIntervalBytes, kIndexBytes);
  ASSERT_THAT(rebuilder.Add(Header(10, 1000, 200), 0), IsOk());
  ASSERT_THAT(rebuilder.Add(Header(20, 2000, 200), 200), IsOk());
  EXPECT_THAT(rebuilder.Add(Header(15, 3000, 200), 400), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(IndexRebuilderTest, ALargestTimestampBelowTheLastEntrysOffsetIsRefused) {
  for (const bool finish : {false, true}) {
    IndexRebuilder rebuilder(0, kIntervalBytes, kIndexBytes);
    ASSERT_THAT(rebuilder.Add(Header(10, 1000, 200), 0), IsOk());
    ASSERT_THAT(rebuilder.Add(Header(20, 2000, 50), 200), IsOk());
    ASSERT_THAT(rebuilder.Add(Header(15, 3000, 60), 250), IsOk());  // between two entries
    const absl::Status status = finish ? rebuilder.Finish() : rebuilder.Add(Header(30, 2000, 10), 310);
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace varve::internal
