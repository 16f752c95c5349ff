// The batches of an open log as the command reads them: by read calls, and around damage.

#include "cli/log_batches.h"

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::cli {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;
using testing_support::TemporaryDirectory;

constexpr int64_t kBatches = 6;
constexpr int64_t kRecords = 2;  // of a batch

class LogBatchesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log, Log::Open(directory_));
    for (int64_t i = 0; i < kBatches; ++i) {
      VARVE_ASSERT_OK(log->Append({{.value = "first", .timestamp_ms = 1}, {.value = "second", .timestamp_ms = 1}}));
    }
    batch_bytes_ = log->segments().front().size_bytes / kBatches;
    VARVE_ASSERT_OK(log->Close());
    VARVE_ASSERT_OK_AND_ASSIGN(log_, Log::Open(directory_, {.file_system = &faulty_, .read_only = true}));
  }

  // Flips a bit of the record data of a batch, under the open log.
  void Damage(int64_t batch) {
    std::fstream file(directory_ + "/00000000000000000000.log", std::ios::binary | std::ios::in | std::ios::out);
    file.seekg((batch + 1) * batch_bytes_ - 2);
    const int byte = file.get();
    file.seekp((batch + 1) * batch_bytes_ - 2);
    file.put(static_cast<char>(byte ^ 1));
    ASSERT_TRUE(file.good());
  }

  // The base offsets that a walk gives out, damage passed over.
  std::vector<int64_t> BaseOffsets(LogBatches batches) {
    std::vector<int64_t> offsets;
    for (;;) {
      const int64_t offset_before = batches.next_offset();
      const absl::StatusOr<bool> more = batches.Next();
      if (absl::IsDataLoss(more.status()) && batches.next_offset() > offset_before) continue;
      if (!more.ok() || !*more) return offsets;
      offsets.push_back(batches.batch().base_offset());
    }
  }

  const TemporaryDirectory temporary_;
  const std::string directory_ = temporary_.path() + "/t-0";
  FaultyFileSystem faulty_{FileSystem::Default()};
  std::unique_ptr<Log> log_;
  int64_t batch_bytes_ = 0;
};

TEST_F(LogBatchesTest, BatchesComeInOrderFromTheOneThatHoldsTheOffset) {
  EXPECT_THAT(BaseOffsets(LogBatches(log_.get(), Isolation::kLogEnd, 0)), ElementsAre(0, 2, 4, 6, 8, 10));
  EXPECT_THAT(BaseOffsets(LogBatches(log_.get(), Isolation::kLogEnd, 5, /*read_bytes=*/1)), ElementsAre(4, 6, 8, 10));
  EXPECT_THAT(BaseOffsets(LogBatches(log_.get(), Isolation::kLogEnd, kBatches * kRecords)), ElementsAre());
}

TEST_F(LogBatchesTest, ABatchWithAWrongChecksumIsNotGivenOutAndTheNextIs) {
  Damage(2);
  LogBatches batches(log_.get(), Isolation::kLogEnd, 4);
  EXPECT_THAT(batches.Next(),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("00000000000000000000.log: at position 172"), HasSubstr("offsets 4 to 5"),
                             HasSubstr("expected, computed"), HasSubstr("reading goes on at offset 6"))));
  EXPECT_EQ(batches.next_offset(), 6);
  EXPECT_THAT(batches.Next(), IsOkAndHolds(true));
  EXPECT_EQ(batches.batch().base_offset(), 6);
  for (const int64_t read_bytes : {1, 1 << 20}) {
    EXPECT_THAT(BaseOffsets(LogBatches(log_.get(), Isolation::kLogEnd, 0, read_bytes)), ElementsAre(0, 2, 6, 8, 10));
  }
}

TEST_F(LogBatchesTest, ABadSectorIsAStatus) {
  LogBatches batches(log_.get(), Isolation::kLogEnd, 0);
  faulty_.AddRule({.operation = FileOperation::kRead, .path_part = ".log", .status = absl::InternalError("EIO")});
  EXPECT_THAT(batches.Next(), StatusIs(absl::StatusCode::kInternal));
  EXPECT_EQ(faulty_.faults_fired(), 1u);
  EXPECT_EQ(batches.next_offset(), 0);
  EXPECT_THAT(batches.Next(), IsOkAndHolds(true));
}

}  // namespace
}  // namespace varve::cli
