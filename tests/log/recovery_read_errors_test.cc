// A recovery that cannot get on says so, wherever in its reading that happens: it judges no byte that it has not seen.
// (A device that cannot read is another matter: those bytes are damage, recovery_faults_test.cc.)
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "segment/reference_segment.h"
#include "segment/segment_recovery.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using testing_support::BatchSpec;
using testing_support::LegacyMessage;
using testing_support::ReferenceSegment;
using testing_support::StatusIs;

constexpr char kLog[] = "log";
constexpr int64_t kBaseOffset = 100;
constexpr int64_t kBatches = 6;
constexpr int64_t kOffsetsOfABatch = 2;
constexpr size_t kDamaged = 2;  // the number of the batch that is

class TakesAll : public BatchVisitor {
 public:
  absl::Status Visit(const BatchHeader& /*header*/, std::span<const std::byte> bytes) override {
    taken_bytes_ += static_cast<int64_t>(bytes.size());
    return absl::OkStatus();
  }
  [[nodiscard]] int64_t taken_bytes() const { return taken_bytes_; }

 private:
  int64_t taken_bytes_ = 0;
};

// Cannot take its nth batch.
class TakesAllBut : public BatchVisitor {
 public:
  explicit TakesAllBut(int nth) : left_(nth) {}

  absl::Status Visit(const BatchHeader& /*header*/, std::span<const std::byte> /*bytes*/) override {
    return --left_ == 0 ? absl::ResourceExhaustedError("no memory") : absl::OkStatus();
  }
  [[nodiscard]] bool failed() const { return left_ <= 0; }

 private:
  int left_;
};

// What is known of a segment beside its bytes.
struct Knowledge {
  const char* name;
  std::function<void(const ReferenceSegment&, SegmentRecoveryInput*)> tell;
};

void Nothing(const ReferenceSegment& /*segment*/, SegmentRecoveryInput* /*input*/) {}

void LiveCache(const ReferenceSegment& /*segment*/, SegmentRecoveryInput* input) { input->cache_survived = true; }

void NextSegment(const ReferenceSegment& segment, SegmentRecoveryInput* input) {
  input->durable_position = input->size_bytes;
  input->next_segment_base_offset = segment.next_offset();
}

void IndexEntries(const ReferenceSegment& segment, SegmentRecoveryInput* input) {
  NextSegment(segment, input);
  for (const ReferenceSegment::Batch& batch : segment.batches()) {
    if (batch.position > 0) input->index_entries.push_back({batch.last_offset, batch.position});
  }
}

void DurablePoint(const ReferenceSegment& segment, SegmentRecoveryInput* input) {
  const ReferenceSegment::Batch& batch = segment.batches()[kDamaged + 2];
  input->durable_position = batch.position;
  input->durable_offset = batch.base_offset;
  input->durable_point_is_boundary = true;
  input->excises_damage = true;
}

// The durable point was known once, and no longer is.
void LostPoint(const ReferenceSegment& /*segment*/, SegmentRecoveryInput* input) {
  input->durable_point_is_lost = true;
}

// A live line tells where the log ended.
void Hint(const ReferenceSegment& segment, SegmentRecoveryInput* input) {
  LiveCache(segment, input);
  const ReferenceSegment::Batch& batch = segment.batches()[kDamaged];
  input->durable_position = input->size_bytes;
  input->durable_offset = batch.base_offset;
  input->durable_point_is_boundary = true;
  input->durable_point_is_hint = true;
}

class RecoveryReadErrorsTest : public ::testing::TestWithParam<Knowledge> {
 protected:
  // Batches larger than what is read at once, and one that is small; values that hold batches of their own.
  RecoveryReadErrorsTest() : segment_(kBaseOffset) {
    const std::vector<std::byte> inner = testing_support::MakeBatch({.base_offset = kBaseOffset + 3});
    const std::string_view batch(reinterpret_cast<const char*>(inner.data()), inner.size());
    for (int64_t number = 0; number < kBatches; ++number) {
      const std::string between(number == 4 ? 10 : 20'000 + static_cast<size_t>(number) * 5'000, 'x');
      const std::string value = between + std::string(batch) + between + std::string(batch);
      segment_.Add(BatchSpec{
          .base_offset = kBaseOffset + number * kOffsetsOfABatch, .timestamps_ms = {1000, 2000}, .value = value});
    }
    bytes_.assign(reinterpret_cast<const char*>(segment_.log().data()), segment_.log().size());
  }

  [[nodiscard]] size_t PositionOf(size_t batch) const {
    return static_cast<size_t>(segment_.batches()[batch].position);
  }

  [[nodiscard]] SegmentRecoveryInput InputOf(const std::string& bytes) const {
    SegmentRecoveryInput input;
    input.base_offset = kBaseOffset;
    input.size_bytes = static_cast<int64_t>(bytes.size());
    GetParam().tell(segment_, &input);
    return input;
  }

  // Each read in turn cannot be done; then all can.
  void ExpectToldOfEachRead(const std::string& bytes) {
    MemoryFileSystem memory;
    testing_support::WriteFile(&memory, kLog, bytes);
    const SegmentRecoveryInput input = InputOf(bytes);
    TakesAll visitor;
    for (uint64_t nth = 1;; ++nth) {
      FaultyFileSystem faulty(&memory);
      faulty.AddRule(
          {.operation = FileOperation::kRead, .nth = nth, .status = absl::ResourceExhaustedError("no memory")});
      VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> log, faulty.Open(kLog, OpenMode::kRead));
      const absl::Status status = RecoverSegment(*log, input, visitor).status();
      if (faulty.faults_fired() == 0) {
        EXPECT_FALSE(absl::IsResourceExhausted(status)) << status;
        return;
      }
      ASSERT_THAT(status, StatusIs(absl::StatusCode::kResourceExhausted)) << "read " << nth;
    }
  }

  // Each read in turn meets a bad sector, once or twice: every byte up to the end is of a batch, or called damaged.
  void ExpectDamageAtMost(const std::string& bytes) {
    for (const uint64_t times : {uint64_t{1}, uint64_t{2}}) {
      SCOPED_TRACE(::testing::Message() << times << " times");
      ASSERT_NO_FATAL_FAILURE(ExpectDamageAtMost(bytes, times));
    }
  }
  void ExpectDamageAtMost(const std::string& bytes, uint64_t times) {
    MemoryFileSystem memory;
    testing_support::WriteFile(&memory, kLog, bytes);
    const SegmentRecoveryInput input = InputOf(bytes);
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(::testing::Message() << "read " << nth);
      FaultyFileSystem faulty(&memory);
      for (uint64_t bad = nth; bad < nth + times; ++bad) {
        faulty.AddRule({.operation = FileOperation::kRead, .nth = bad, .status = absl::InternalError("bad sector")});
      }
      VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> log, faulty.Open(kLog, OpenMode::kRead));
      TakesAll visitor;
      VARVE_ASSERT_OK_AND_ASSIGN(const SegmentRecovery recovered, RecoverSegment(*log, input, visitor));
      int64_t damaged_bytes = 0;
      for (const DamagedRange& range : recovered.damage) damaged_bytes += range.bytes;
      ASSERT_EQ(visitor.taken_bytes() + damaged_bytes, recovered.end_position);
      if (input.next_segment_base_offset.has_value()) {
        ASSERT_EQ(recovered.log_end, LogEnd::kNowhere);
        ASSERT_EQ(recovered.next_offset, segment_.next_offset());
      }
      if (faulty.faults_fired() == 0) break;
    }
  }

  ReferenceSegment segment_;
  std::string bytes_;
};

INSTANTIATE_TEST_SUITE_P(, RecoveryReadErrorsTest,
                         ::testing::Values(Knowledge{"Nothing", Nothing}, Knowledge{"LiveCache", LiveCache},
                                           Knowledge{"NextSegment", NextSegment},
                                           Knowledge{"IndexEntries", IndexEntries},
                                           Knowledge{"DurablePoint", DurablePoint}, Knowledge{"LostPoint", LostPoint},
                                           Knowledge{"Hint", Hint}),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(RecoveryReadErrorsTest, SoundBatches) {
  ExpectToldOfEachRead(bytes_);
  ExpectDamageAtMost(bytes_);
}

TEST_P(RecoveryReadErrorsTest, ABatchWithoutItsHeader) {
  for (const bool both : {false, true}) {
    SCOPED_TRACE(both ? "two batches" : "one batch");
    std::string damaged = bytes_;
    damaged.replace(PositionOf(kDamaged), kBatchHeaderBytes, kBatchHeaderBytes, '\0');
    if (both) damaged.replace(PositionOf(kDamaged + 1), kBatchHeaderBytes, kBatchHeaderBytes, '\0');
    ASSERT_NO_FATAL_FAILURE(ExpectToldOfEachRead(damaged));
    ASSERT_NO_FATAL_FAILURE(ExpectDamageAtMost(damaged));
  }
}

TEST_P(RecoveryReadErrorsTest, AByteOfAHeader) {
  // Base offset, length, leader epoch, magic, checksum, attributes, last offset, times, number of records.
  for (const size_t byte : std::initializer_list<size_t>{0, 7, 8, 9, 10, 11, 12, 16, 17, 22, 23, 26, 34, 42, 57, 60}) {
    SCOPED_TRACE(byte);
    std::string damaged = bytes_;
    char& changed = damaged[PositionOf(kDamaged) + byte];
    changed = static_cast<char>(changed ^ 0x11);
    ASSERT_NO_FATAL_FAILURE(ExpectToldOfEachRead(damaged));
  }
}

TEST_P(RecoveryReadErrorsTest, ABatchThatItsVisitorCannotTake) {
  for (const size_t byte : std::initializer_list<size_t>{0, 7, 8, 11, 12, 1000}) {
    SCOPED_TRACE(byte);
    std::string damaged = bytes_;
    char& changed = damaged[PositionOf(kDamaged) + byte];
    changed = static_cast<char>(changed ^ 0x11);
    MemoryFileSystem memory;
    testing_support::WriteFile(&memory, kLog, damaged);
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> log, memory.Open(kLog, OpenMode::kRead));
    SegmentRecoveryInput input;
    input.base_offset = kBaseOffset;
    input.size_bytes = static_cast<int64_t>(damaged.size());
    GetParam().tell(segment_, &input);
    int nth = 0;
    bool failed = true;
    while (failed) {
      TakesAllBut visitor(++nth);
      const absl::Status status = RecoverSegment(*log, input, visitor).status();
      failed = visitor.failed();
      EXPECT_EQ(absl::IsResourceExhausted(status), failed) << status << ", batch " << nth;
    }
    EXPECT_GT(nth, static_cast<int>(kDamaged));
  }
}

// A batch behind a gap is looked at more closely than others.
TEST_P(RecoveryReadErrorsTest, ABatchBehindAGapThatItsVisitorCannotTake) {
  const std::string behind = bytes_.substr(PositionOf(kDamaged));
  const std::string gapped = bytes_.substr(0, PositionOf(kDamaged - 1)) + behind;
  MemoryFileSystem memory;
  testing_support::WriteFile(&memory, kLog, gapped);
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> log, memory.Open(kLog, OpenMode::kRead));
  SegmentRecoveryInput input;
  input.base_offset = kBaseOffset;
  input.size_bytes = static_cast<int64_t>(gapped.size());
  input.cache_survived = true;
  for (int nth = 1; nth < kBatches; ++nth) {
    TakesAllBut visitor(nth);
    EXPECT_THAT(RecoverSegment(*log, input, visitor), StatusIs(absl::StatusCode::kResourceExhausted)) << nth;
  }
  TakesAll visitor;
  VARVE_ASSERT_OK_AND_ASSIGN(const SegmentRecovery recovered, RecoverSegment(*log, input, visitor));
  EXPECT_EQ(recovered.batches, kBatches - 1);
  EXPECT_TRUE(recovered.damage.empty());
  ExpectToldOfEachRead(gapped);
}

TEST_P(RecoveryReadErrorsTest, AByteOfABody) {
  std::string damaged = bytes_;
  damaged[PositionOf(kDamaged) + 1000] ^= 1;
  ExpectToldOfEachRead(damaged);
  ExpectDamageAtMost(damaged);
}

TEST_P(RecoveryReadErrorsTest, ZerosInsteadOfBatches) {
  std::string damaged = bytes_;
  std::fill(damaged.begin() + static_cast<std::ptrdiff_t>(PositionOf(kDamaged)), damaged.end(), '\0');
  ExpectToldOfEachRead(damaged);
  std::copy_n(bytes_.end() - 1000, 1000, damaged.end() - 1000);
  ExpectToldOfEachRead(damaged);
}

TEST_P(RecoveryReadErrorsTest, ACutWithinABatch) {
  for (const size_t bytes : {size_t{1}, size_t{30}, size_t{61}, size_t{1000}}) {
    SCOPED_TRACE(bytes);
    ASSERT_NO_FATAL_FAILURE(ExpectToldOfEachRead(bytes_.substr(0, PositionOf(kBatches - 1) + bytes)));
  }
}

TEST_P(RecoveryReadErrorsTest, OffsetsThatTheNextBatchContradicts) {
  std::string damaged = bytes_;
  damaged[PositionOf(kDamaged) + 7] = static_cast<char>(kBaseOffset + 9);  // the base offset, which no checksum covers
  ExpectToldOfEachRead(damaged);
}

TEST_P(RecoveryReadErrorsTest, MessagesOfOtherFormats) {
  for (const size_t value_bytes : {size_t{1}, size_t{100'000}}) {
    SCOPED_TRACE(value_bytes);
    const std::string message = LegacyMessage(1, kBaseOffset + 4, std::string(value_bytes, 'v'));
    const std::string front = bytes_.substr(0, PositionOf(kDamaged));
    ASSERT_NO_FATAL_FAILURE(ExpectToldOfEachRead(front + message));
    ASSERT_NO_FATAL_FAILURE(ExpectToldOfEachRead(front + message + bytes_.substr(PositionOf(kDamaged))));
  }
  std::string newer = bytes_;
  for (size_t batch = kDamaged; batch < static_cast<size_t>(kBatches); ++batch) newer[PositionOf(batch) + 16] = 3;
  ExpectToldOfEachRead(newer);
}

}  // namespace
}  // namespace varve::internal
