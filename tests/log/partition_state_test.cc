#include "log/partition_state.h"

#include <cstdint>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::internal {
namespace {

using testing_support::IsOk;
using testing_support::kDirectory;
using testing_support::Partition;
using testing_support::ReadFile;
using testing_support::StatusIs;
using testing_support::WriteFile;

constexpr char kPath[] = "orders-0/varve.state";
constexpr size_t kSlotBytes = 512;

PartitionStateValues FullValues(int64_t offset) {
  PartitionStateValues values{
      .clean = true,
      .boot_id = "0123456789abcdef0123456789abcdef0123",
      .active = {.device = 1, .mount = 2, .inode = 3, .birth_ns = -4},
      .durable = {.offset = offset, .segment = 5, .position = 6, .batch_position = 7, .batch_crc = 0xFEDCBA98},
      .log_start_offset = 8,
      .index_interval_bytes = 9,
      .pending = PendingOperation::kDeleteBefore,
      .pending_offset = 10,
      .pending_end = {.segment = 12, .position = 13},
      .first_dirty_offset = 14,
      .superseded_log_start = 15};
  values.lineage.fill(11);
  return values;
}

class PartitionStateTest : public ::testing::Test {
 protected:
  std::unique_ptr<PartitionState> Open() {
    auto state = PartitionState::Open(partition_.fs.get(), kDirectory);
    EXPECT_THAT(state, IsOk());
    return state.ok() ? *std::move(state) : nullptr;
  }
  std::optional<PartitionStateValues> Peek() {
    auto values = PartitionState::Peek(partition_.fs.get(), kDirectory);
    EXPECT_THAT(values, IsOk());
    return values.ok() ? *values : std::nullopt;
  }

  Partition partition_;
};

TEST_F(PartitionStateTest, IsAbsentUntilTheFirstStore) {
  EXPECT_EQ(Peek(), std::nullopt);
  const auto state = Open();
  EXPECT_FALSE(state->stored());
  EXPECT_EQ(Peek(), std::nullopt);
  EXPECT_NE(Open()->values().lineage, state->values().lineage) << "a fresh lineage each time";
}

TEST_F(PartitionStateTest, KeepsEveryValue) {
  for (int64_t offset = 0; offset < 5; ++offset) {
    Open()->Store(FullValues(offset));
    EXPECT_EQ(Peek(), FullValues(offset));
    EXPECT_EQ(Open()->values(), FullValues(offset));
    EXPECT_TRUE(Open()->stored());
  }
}

// A store may be torn at any byte, or leave garbage at any byte, of the slot it writes: then the one before counts.
TEST_F(PartitionStateTest, ATornSlotLeavesTheOneBefore) {
  for (const int64_t stores : {2, 3}) {
    const auto state = Open();
    for (int64_t offset = 0; offset < stores; ++offset) state->Store(FullValues(100 + offset));
  }
  const std::string whole = ReadFile(partition_.fs.get(), kPath);
  ASSERT_EQ(whole.size(), 2 * kSlotBytes);
  const auto newest = Peek();
  ASSERT_EQ(newest, FullValues(102));
  int told = 0;
  for (size_t slot = 0; slot < 2; ++slot) {
    for (size_t byte = 0; byte < kSlotBytes; ++byte) {
      std::string torn = whole;
      torn[slot * kSlotBytes + byte] = static_cast<char>(torn[slot * kSlotBytes + byte] ^ 0x10);
      WriteFile(partition_.fs.get(), kPath, torn);
      const auto values = Peek();
      ASSERT_TRUE(values == FullValues(102) || values == FullValues(101)) << "slot " << slot << ", byte " << byte;
      if (values == FullValues(101)) ++told;
    }
  }
  EXPECT_EQ(told, static_cast<int>(kSlotBytes)) << "every byte of the newest slot counts";
}

TEST_F(PartitionStateTest, TwoInvalidSlotsAreNone) {
  {
    const auto state = Open();
    state->Store(FullValues(1));
    state->Store(FullValues(2));
  }
  std::string content = ReadFile(partition_.fs.get(), kPath);
  content[100] = static_cast<char>(content[100] ^ 1);
  content[kSlotBytes + 100] = static_cast<char>(content[kSlotBytes + 100] ^ 1);
  WriteFile(partition_.fs.get(), kPath, content);
  EXPECT_EQ(Peek(), std::nullopt);
  EXPECT_FALSE(Open()->stored());
}

TEST_F(PartitionStateTest, AFileCutShortHoldsNothingAndIsMadeWhole) {
  Open()->Store(FullValues(1));
  const std::string whole = ReadFile(partition_.fs.get(), kPath);
  for (const size_t size : {size_t{0}, size_t{100}, kSlotBytes}) {
    WriteFile(partition_.fs.get(), kPath, whole.substr(0, size));
    EXPECT_EQ(Peek(), std::nullopt);
    Open()->Store(FullValues(2));
    EXPECT_EQ(Peek(), FullValues(2));
  }
}

TEST_F(PartitionStateTest, ASyncedStoreSurvivesACrashAndALaterTornOneDoesNotHideIt) {
  const auto state = Open();
  for (int64_t offset = 0; offset < 6; ++offset) {
    state->Store(FullValues(2 * offset));
    VARVE_ASSERT_OK(state->Sync());
    state->Store(FullValues(2 * offset + 1));
    for (uint64_t seed = 0; seed < 10; ++seed) {
      const auto crashed = partition_.fs->CloneAfterCrash({.seed = seed});
      VARVE_ASSERT_OK_AND_ASSIGN(const auto values, PartitionState::Peek(crashed.get(), kDirectory));
      ASSERT_TRUE(values == FullValues(2 * offset) || values == FullValues(2 * offset + 1)) << "seed " << seed;
    }
    VARVE_ASSERT_OK(state->Sync());
  }
}

// A full copy-on-write file system may refuse to rewrite a block that it holds already: that is a status, not a signal,
// and the slot that counts stays, whichever store comes next.
TEST_F(PartitionStateTest, AStoreThatFailsLeavesTheOneBeforeAndIsToldBySync) {
  Open()->Store(FullValues(1));
  FaultyFileSystem faulty(partition_.fs.get());
  const auto opened = PartitionState::Open(&faulty, kDirectory);
  ASSERT_THAT(opened, IsOk());
  PartitionState* const state = opened->get();
  EXPECT_EQ(faulty.operation_count(FileOperation::kMap), 0u);
  for (int64_t offset = 2; offset < 6; ++offset) {
    faulty.AddRule(
        {.operation = FileOperation::kWrite, .status = absl::ResourceExhaustedError("full"), .partial_bytes = 300});
    state->Store(FullValues(100));
    EXPECT_EQ(Peek(), FullValues(offset - 1));
    EXPECT_EQ(state->values(), FullValues(offset - 1));
    EXPECT_THAT(state->Sync(), StatusIs(absl::StatusCode::kResourceExhausted));
    state->Store(FullValues(offset));
    EXPECT_EQ(Peek(), FullValues(offset));
    EXPECT_THAT(state->Sync(), IsOk());
  }
  EXPECT_EQ(faulty.faults_fired(), 4u);
}

// The device fails for a moment, between two looks at the file: what the first one told stays, whatever happens next.
TEST_F(PartitionStateTest, WhatWasKnownOfAFileThatCannotBeReadStays) {
  for (const bool for_ever : {false, true}) {
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(::testing::Message() << "operation " << nth << (for_ever ? " and all later ones" : ""));
      Partition partition;
      VARVE_ASSERT_OK_AND_ASSIGN(const auto before, PartitionState::Open(partition.fs.get(), kDirectory));
      before->Store(FullValues(1));
      VARVE_ASSERT_OK(before->Sync());
      FaultyFileSystem faulty(partition.fs.get());
      const size_t unreadable =
          faulty.AddRule({.operation = FileOperation::kRead, .status = absl::InternalError("EIO")});
      faulty.AddRule({.nth = nth, .for_ever = for_ever, .status = absl::ResourceExhaustedError("stopped")});
      const auto state = PartitionState::Open(&faulty, kDirectory, FullValues(1));
      if (state.ok()) {
        EXPECT_EQ((*state)->values(), FullValues(1));
        EXPECT_TRUE((*state)->stored());
      }
      for (uint64_t seed = 0; seed < 5; ++seed) {
        const auto crashed = partition.fs->CloneAfterCrash({.seed = seed});
        VARVE_ASSERT_OK_AND_ASSIGN(const auto values, PartitionState::Peek(crashed.get(), kDirectory));
        ASSERT_EQ(values, FullValues(1)) << "seed " << seed;
      }
      if (nth <= faulty.operation_count()) continue;
      EXPECT_EQ(faulty.faults_fired(unreadable), 1u);
      EXPECT_GT(nth, 8u);
      break;
    }
  }
}

TEST_F(PartitionStateTest, WhatWasKnownOfAFileThatIsGoneIsStoredAgain) {
  VARVE_ASSERT_OK(PartitionState::Open(partition_.fs.get(), kDirectory, FullValues(1)));
  const auto crashed = partition_.fs->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  VARVE_ASSERT_OK_AND_ASSIGN(const auto values, PartitionState::Peek(crashed.get(), kDirectory));
  EXPECT_EQ(values, FullValues(1));
  FaultyFileSystem faulty(partition_.fs.get());
  VARVE_ASSERT_OK(partition_.fs->Remove(kPath));
  faulty.AddRule({.operation = FileOperation::kSync, .status = absl::ResourceExhaustedError("full")});
  EXPECT_THAT(PartitionState::Open(&faulty, kDirectory, FullValues(1)), StatusIs(absl::StatusCode::kResourceExhausted));
}

// It tells nothing, and nothing is lost: what was not synced yet must not be taken for damage.
TEST_F(PartitionStateTest, AFirstStoreThatIsCutShortWasNone) {
  for (const size_t stored_bytes : {1U, 100U, 507U}) {
    SCOPED_TRACE(stored_bytes);
    (void)partition_.fs->Remove(kPath);
    FaultyFileSystem faulty(partition_.fs.get());
    VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Open(&faulty, kDirectory));
    faulty.AddRule(
        {.operation = FileOperation::kWrite, .status = absl::InternalError("EIO"), .partial_bytes = stored_bytes});
    state->Store(FullValues(1));
    EXPECT_FALSE(state->Sync().ok());
    std::string fault;
    VARVE_ASSERT_OK_AND_ASSIGN(const auto values, PartitionState::Peek(partition_.fs.get(), kDirectory, &fault));
    EXPECT_EQ(values, std::nullopt);
    EXPECT_EQ(fault, "");
  }
}

TEST_F(PartitionStateTest, AStoreThatIsCutShortLeavesTheOneBeforeThoughPowerIsLost) {
  FaultyFileSystem faulty(partition_.fs.get());
  VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Open(&faulty, kDirectory));
  state->Store(FullValues(1));
  VARVE_ASSERT_OK(state->Sync());
  state->Store(FullValues(2));  // in the cache alone
  faulty.AddRule({.operation = FileOperation::kWrite, .status = absl::InternalError("EIO"), .partial_bytes = 70});
  state->Store(FullValues(3));
  EXPECT_FALSE(state->Sync().ok());
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto after = partition_.fs->CloneAfterCrash({.seed = seed});
    VARVE_ASSERT_OK_AND_ASSIGN(const auto values, PartitionState::Peek(after.get(), kDirectory));
    EXPECT_EQ(values, FullValues(2));
  }
  // An error of that sync is not passed over.
  faulty.AddRule({.operation = FileOperation::kWrite, .status = absl::ResourceExhaustedError("quota")});
  faulty.AddRule({.operation = FileOperation::kSync, .status = absl::InternalError("EIO")});
  state->Store(FullValues(3));
  EXPECT_THAT(state->store_status(), StatusIs(absl::StatusCode::kInternal));
}

// Nobody may take the file that stands in for it for one that was never stored.
TEST_F(PartitionStateTest, AFileThatCannotBeReadAndOfWhichNothingIsKnownIsLost) {
  Open()->Store(FullValues(1));
  FaultyFileSystem faulty(partition_.fs.get());
  faulty.AddRule({.operation = FileOperation::kRead, .status = absl::InternalError("EIO")});
  VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Open(&faulty, kDirectory));
  EXPECT_FALSE(state->stored());
  const auto crashed = partition_.fs->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  std::string fault;
  VARVE_ASSERT_OK_AND_ASSIGN(const auto values, PartitionState::Peek(crashed.get(), kDirectory, &fault));
  EXPECT_EQ(values, std::nullopt);
  EXPECT_FALSE(fault.empty());
  state->Store(FullValues(2));
  EXPECT_EQ(Peek(), FullValues(2));
}

}  // namespace
}  // namespace varve::internal
