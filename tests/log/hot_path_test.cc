// The hot paths ask the kernel nothing and allocate nothing: counted, not timed.
#include <sys/mman.h>

#include <cstdint>
#include <random>
#include <string>

#include "support/allocation_counter.h"
#include "support/status_matchers.h"
#include "support/system_call_counter.h"
#include "support/temporary_directory.h"
#include "varve/log.h"

namespace varve {
namespace {

using testing_support::AllocationCount;
using testing_support::CountSystemCalls;
using testing_support::MarkSystemCalls;
using testing_support::TemporaryDirectory;

constexpr int64_t kRecords = 10'000'000;
constexpr int64_t kTimestampMs = 1'700'000'000'000;

// A number that a traced child leaves for its parent.
class SharedNumber {
 public:
  SharedNumber()
      : page_(static_cast<int64_t*>(
            ::mmap(nullptr, sizeof(int64_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))) {}
  ~SharedNumber() { ::munmap(page_, sizeof(int64_t)); }
  SharedNumber(const SharedNumber&) = delete;
  SharedNumber& operator=(const SharedNumber&) = delete;
  int64_t& value() { return *page_; }

 private:
  int64_t* page_;
};

// 10 million records of 100 bytes, one by one, make about 1.8 GB in two segments. Calls and allocations are those of
// steps of the write window, index pages and one roll.
TEST(HotPathTest, AppendInMappedModeMakesNoSystemCallAndNoAllocationPerRecord) {
  const TemporaryDirectory directory;
  const std::string value(100, 'v');
  SharedNumber allocations;
  const std::optional<int64_t> calls = CountSystemCalls([&] {
    auto log = Log::Open(directory.path() + "/hot-0", {.io_mode = IoMode::kMapped});
    if (!log.ok()) return false;
    const Record record{.key = "12345678", .value = value, .timestamp_ms = kTimestampMs};
    const int64_t before = AllocationCount();
    MarkSystemCalls();
    for (int64_t number = 0; number < kRecords; ++number) {
      if (!(*log)->Append(std::span(&record, 1)).ok()) return false;
    }
    MarkSystemCalls();
    allocations.value() = AllocationCount() - before;
    return (*log)->log_end_offset() == kRecords;
  });
  ASSERT_TRUE(calls.has_value());
  RecordProperty("system_calls", std::to_string(*calls));
  RecordProperty("allocations", std::to_string(allocations.value()));
  EXPECT_LT(*calls, kRecords / 1000) << "system calls";
  EXPECT_LT(allocations.value(), kRecords / 1000) << "allocations";
}

TEST(HotPathTest, LookupInOneGibibyteMakesNoSystemCallAndNoAllocation) {
  const TemporaryDirectory directory;
  const std::string value(100, 'v');
  constexpr int64_t kLookups = 100'000;
  SharedNumber allocations;
  const std::optional<int64_t> calls = CountSystemCalls([&] {
    auto log = Log::Open(directory.path() + "/hot-0", {.io_mode = IoMode::kMapped});
    if (!log.ok()) return false;
    const Record record{.key = "12345678", .value = value, .timestamp_ms = kTimestampMs};
    while ((*log)->segments().size() == 1) {  // until the first segment's 1 GiB is full
      for (int number = 0; number < 1000; ++number) {
        if (!(*log)->Append(std::span(&record, 1)).ok()) return false;
      }
    }
    LogReader reader = (*log)->NewReader();
    const int64_t end_offset = (*log)->log_end_offset();
    if (!reader.Read(0).ok() || !reader.Read(end_offset - 1).ok()) return false;  // opens the segments
    std::mt19937_64 random(1);
    const int64_t before = AllocationCount();
    MarkSystemCalls();
    for (int64_t number = 0; number < kLookups; ++number) {
      const int64_t offset = static_cast<int64_t>(random() % static_cast<uint64_t>(end_offset));
      const auto batch = reader.ReadBatch(offset);
      if (!batch.ok() || !batch->has_value() || (*batch)->base_offset() != offset) return false;
      const auto range = reader.Read(offset, {.max_bytes = 64 * 1024});
      if (!range.ok() || range->base_offset() != offset) return false;
    }
    MarkSystemCalls();
    allocations.value() = AllocationCount() - before;
    return true;
  });
  ASSERT_TRUE(calls.has_value());
  EXPECT_EQ(*calls, 0);
  EXPECT_EQ(allocations.value(), 0);
}

// Looks at the writer's lock, every 2 ms at most, are all that asks the kernel.
TEST(HotPathTest, FollowingAWriterRecordByRecordMakesNoSystemCallAndNoAllocationPerRecord) {
  const TemporaryDirectory directory;
  constexpr int64_t kFollowed = 100'000;
  SharedNumber allocations;
  const std::optional<int64_t> calls = CountSystemCalls([&] {
    auto log = Log::Open(directory.path() + "/hot-0", {.io_mode = IoMode::kMapped});
    if (!log.ok()) return false;
    auto follower = Log::Open(directory.path() + "/hot-0", {.read_only = true});
    if (!follower.ok()) return false;
    LogReader reader = (*follower)->NewReader();
    const Record record{.key = "12345678", .value = "value", .timestamp_ms = kTimestampMs};
    const int64_t before = AllocationCount();
    MarkSystemCalls();
    for (int64_t number = 0; number < kFollowed; ++number) {
      if (!(*follower)->Refresh().ok() || (*follower)->log_end_offset() != number) return false;
      if (!(*log)->Append(std::span(&record, 1)).ok() || !(*follower)->Refresh().ok()) return false;
      const auto batch = reader.ReadBatch(number);
      if (!batch.ok() || !batch->has_value() || (*batch)->base_offset() != number) return false;
    }
    MarkSystemCalls();
    allocations.value() = AllocationCount() - before;
    return true;
  });
  ASSERT_TRUE(calls.has_value());
  EXPECT_LT(*calls, kFollowed / 4) << "system calls";
  EXPECT_LT(allocations.value(), kFollowed / 4) << "allocations";
}

}  // namespace
}  // namespace varve
