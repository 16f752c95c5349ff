// Batches of a leader epoch that nobody would believe: brought down in place, and what is no batch is told of.
#include "log/leader_epoch_limit.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using ::testing::HasSubstr;
using testing_support::BatchBytes;
using testing_support::IsOkAndHolds;
using testing_support::ReadFile;
using testing_support::StatusIs;
using testing_support::WriteFile;

constexpr char kLog[] = "log";

// Offset 0 of epoch 1, 1 and 2 of epoch 4, 3 of epoch 7.
std::string Batches(int32_t max_epoch) {
  std::string bytes;
  int64_t offset = 0;
  for (const int32_t epoch : {1, 4, 4, 7}) {
    bytes += BatchBytes({.base_offset = offset++, .leader_epoch = epoch < max_epoch ? epoch : max_epoch});
  }
  return bytes;
}

class LimitBatchEpochsTest : public ::testing::Test {
 protected:
  absl::StatusOr<int64_t> Limit(FileSystem* file_system, int32_t max_epoch) {
    const absl::StatusOr<std::unique_ptr<File>> file = file_system->Open(kLog, OpenMode::kReadWrite);
    VARVE_EXPECT_OK(file.status());
    return LimitBatchEpochs(file->get(), max_epoch);
  }

  MemoryFileSystem memory_;
};

TEST_F(LimitBatchEpochsTest, WhatIsAboveTheLimitBecomesTheLimit) {
  struct Case {
    int32_t max_epoch;
    int64_t stamped;
  };
  for (const Case& c : {Case{7, 0}, Case{6, 1}, Case{4, 1}, Case{3, 3}, Case{0, 4}}) {
    SCOPED_TRACE(c.max_epoch);
    WriteFile(&memory_, kLog, Batches(7));
    EXPECT_THAT(Limit(&memory_, c.max_epoch), IsOkAndHolds(c.stamped));
    EXPECT_EQ(ReadFile(&memory_, kLog), Batches(c.max_epoch));
  }
}

TEST_F(LimitBatchEpochsTest, BytesThatAreNoBatchAreToldOf) {
  const std::string log = Batches(7);
  WriteFile(&memory_, kLog, log + "torn");
  EXPECT_THAT(Limit(&memory_, 3),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("log: position " + std::to_string(log.size()))));
}

TEST_F(LimitBatchEpochsTest, ACallThatFailsIsToldOf) {
  for (uint64_t nth = 1;; ++nth) {
    WriteFile(&memory_, kLog, Batches(7));
    FaultyFileSystem faulty(&memory_);
    const absl::StatusOr<std::unique_ptr<File>> file = faulty.Open(kLog, OpenMode::kReadWrite);
    VARVE_ASSERT_OK(file);
    faulty.AddRule({.nth = nth, .status = absl::ResourceExhaustedError("no room")});
    const absl::StatusOr<int64_t> stamped = LimitBatchEpochs(file->get(), 3);
    if (faulty.faults_fired() == 0) {
      EXPECT_THAT(stamped, IsOkAndHolds(3));
      EXPECT_GT(nth, 4u);
      break;
    }
    ASSERT_THAT(stamped, StatusIs(absl::StatusCode::kResourceExhausted)) << "call " << nth;
  }
}

}  // namespace
}  // namespace varve::internal
