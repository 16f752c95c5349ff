// A full disk takes nothing from a log and stops no more than what needs space: with space again it goes on, without
// being opened anew.
#include <memory>

#include "log/log_places.h"

namespace varve {
namespace {

using testing_support::AppendMany;
using testing_support::ExpectRecords;
using testing_support::StatusIs;

class LogFullDiskTest : public testing_support::LogTest {
 protected:
  void FillDisk() { memory_.set_capacity_bytes(memory_.used_bytes()); }
  void FreeDisk() { memory_.set_capacity_bytes(std::nullopt); }
};

// A deletion inside the first segment frees nothing, and the epochs' checkpoint is written anew.
TEST_F(LogFullDiskTest, ADeletionIsDoneAndAppendsGoOn) {
  {
    const auto log = Open();
    AppendMany(log.get(), 2, {.leader_epoch = 3});
    AppendMany(log.get(), 22, {.leader_epoch = 4});
    FillDisk();
    VARVE_ASSERT_OK(log->DeleteBefore(1));
    EXPECT_EQ(log->log_start_offset(), 1);
    VARVE_ASSERT_OK(log->DeleteBefore(4));
    EXPECT_EQ(log->log_start_offset(), 4);
    ExpectRecords(*log, 4, 24);
    FreeDisk();
    AppendMany(log.get(), 3, {.leader_epoch = 4});
    ExpectRecords(*log, 4, 27);
    VARVE_EXPECT_OK(log->Close());
  }
  const auto log = Open();
  EXPECT_TRUE(log->recovery_report().clean);
  EXPECT_EQ(log->log_start_offset(), 4);
  EXPECT_EQ(log->leader_epochs(), (std::vector<LeaderEpoch>{{.epoch = 4, .start_offset = 4}}));
  ExpectRecords(*log, 4, 27);
}

// The kept part of a segment is copied before the truncation is announced.
TEST_F(LogFullDiskTest, ATruncationWithoutRoomForItsCopyHasNotBegun) {
  const auto log = Open();
  AppendMany(log.get(), 24);
  for (int64_t offset = 23; offset > 0; offset -= 7) {
    SCOPED_TRACE(offset);
    FillDisk();
    const absl::Status full = log->TruncateTo(offset);
    EXPECT_THAT(full, StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_EQ(log->log_end_offset(), offset == 23 ? 24 : offset + 10);
    ExpectRecords(*log, 0, log->log_end_offset());
    FreeDisk();
    AppendMany(log.get(), 3);
    VARVE_ASSERT_OK(log->TruncateTo(offset));
    ExpectRecords(*log, 0, offset);
    AppendMany(log.get(), 3);
  }
}

}  // namespace
}  // namespace varve
