// An active segment in memory, and how to append to it; its files and its answers against a reference.
#ifndef VARVE_TESTS_SEGMENT_ACTIVE_SEGMENT_FIXTURE_H_
#define VARVE_TESTS_SEGMENT_ACTIVE_SEGMENT_FIXTURE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "segment/active_segment.h"
#include "segment/reference_segment.h"
#include "segment/segment_lookup.h"
#include "support/status_matchers.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::testing_support {

// Through Reserve and Commit, as an append of records does.
inline absl::Status Put(internal::ActiveSegment* active, std::span<const std::byte> bytes) {
  auto place = active->Reserve(static_cast<int64_t>(bytes.size()), /*durable_acks=*/false);
  if (!place.ok()) return place.status();
  std::memcpy(*place, bytes.data(), bytes.size());
  return active->Commit(SummaryOf(bytes));
}

// Through Append, as a ready-made batch goes.
inline absl::Status Append(internal::ActiveSegment* active, std::span<const std::byte> bytes) {
  return active->Append(bytes, SummaryOf(bytes), /*durable_acks=*/false);
}

inline std::vector<std::byte> LargeBatch(int64_t base_offset, int64_t size_bytes, int64_t timestamp_ms = 1000) {
  const size_t overhead =
      MakeBatch(
          {.base_offset = base_offset, .timestamps_ms = {timestamp_ms}, .value = std::string(size_t{70} * 1024, 'x')})
          .size() -
      size_t{70} * 1024;
  return MakeBatch({.base_offset = base_offset,
                    .timestamps_ms = {timestamp_ms},
                    .value = std::string(static_cast<size_t>(size_bytes) - overhead, 'x')});
}

class ActiveSegmentTest : public ::testing::Test {
 protected:
  ActiveSegmentTest() : memory_(std::make_shared<MemoryFileSystem>()) {
    VARVE_EXPECT_OK(memory_->CreateDirectory("orders-0"));
    options_ = {.file_system = memory_,
                .clock = &clock_,
                .directory = "orders-0",
                .segment_bytes = 4 << 20,
                .segment_index_bytes = 10 << 20,
                .index_interval_bytes = 512};
  }

  std::unique_ptr<internal::ActiveSegment> Create(int64_t base_offset = 0) {
    auto active = internal::ActiveSegment::Create(options_, base_offset);
    EXPECT_TRUE(active.ok()) << active.status();
    return *std::move(active);
  }

  std::vector<std::byte> FileBytes(internal::SegmentFileKind kind, int64_t base_offset = 0) {
    return ReadWholeFile(options_.file_system.get(), SegmentPath(options_.directory, base_offset, kind));
  }

  // The sealed files are those of the same batches written in one go.
  void ExpectSealedFiles(const ReferenceSegment& expected) {
    EXPECT_TRUE(FileBytes(internal::SegmentFileKind::kLog, expected.base_offset()) == expected.log());
    const ReferenceSegment::Indexes indexes = expected.MakeIndexes(options_.index_interval_bytes, 1);
    EXPECT_EQ(FileBytes(internal::SegmentFileKind::kOffsetIndex, expected.base_offset()), indexes.offsets);
    EXPECT_EQ(FileBytes(internal::SegmentFileKind::kTimeIndex, expected.base_offset()), indexes.times);
  }

  // Every published record is found and no other.
  static void ExpectReads(const internal::ActiveSegment& active, const ReferenceSegment& expected) {
    const internal::OpenSegment& open = *active.open();
    ASSERT_EQ(open.published(), expected.end());
    for (const ReferenceSegment::Batch& batch : expected.batches()) {
      const auto found = internal::FindBatch(open, batch.last_offset, open.published());
      ASSERT_TRUE(found.ok() && found->has_value()) << found.status();
      ASSERT_EQ((*found)->position, batch.position);
      ASSERT_TRUE(std::equal(open.log() + batch.position, open.log() + batch.position + batch.size_bytes,
                             expected.BytesOf(batch).begin()));
    }
    const auto behind = internal::FindBatch(open, expected.next_offset(), open.published());
    ASSERT_TRUE(behind.ok());
    ASSERT_FALSE(behind->has_value());
  }

  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  const std::shared_ptr<MemoryFileSystem> memory_;
  internal::ActiveSegmentOptions options_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_SEGMENT_ACTIVE_SEGMENT_FIXTURE_H_
