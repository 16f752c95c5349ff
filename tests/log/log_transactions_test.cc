// Transactions in a log: where committed readers stop (format notes §8.4).
#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "log/log_places.h"
#include "state/producer_batches.h"

namespace varve {
namespace {

using testing_support::DataBatch;
using testing_support::LogTest;
using testing_support::MarkerBatch;
using testing_support::OpenLog;

class LogTransactionsTest : public LogTest {
 protected:
  // Offsets 0 to 2: two batches of a transaction and its marker.
  static void AppendTransaction(Log* log, ControlType end, int64_t producer_id = 7) {
    const int64_t first = log->log_end_offset();
    AppendData(log, producer_id, 0);
    AppendData(log, producer_id, 1);
    Take(log, MarkerBatch(end, first + 2, producer_id));
  }

  static void AppendData(Log* log, int64_t producer_id, int32_t sequence) {
    Take(log, DataBatch({.base_offset = log->log_end_offset(),
                         .producer_id = producer_id,
                         .base_sequence = sequence,
                         .transactional = true}));
  }

  static void Take(Log* log, const std::vector<std::byte>& batches) {
    const auto result = log->AppendAsFollower(batches, 0);
    ASSERT_TRUE(result.ok()) << result.status();
  }

  // The last stable offset, as it is told of and as a committed reader meets it.
  static int64_t LastStable(const Log& log) {
    const int64_t told = log.offsets().last_stable_offset;
    int64_t next_offset = log.log_start_offset();
    LogReader reader = log.NewReader();
    for (;;) {
      const auto batch = reader.ReadBatch(next_offset, Isolation::kCommitted);
      EXPECT_TRUE(batch.ok()) << batch.status();
      if (!batch.ok() || !batch->has_value()) break;
      next_offset = (*batch)->last_offset() + 1;
    }
    EXPECT_EQ(next_offset, told);
    return told;
  }
};

TEST_F(LogTransactionsTest, AFinishedTransactionHoldsNobodyBack) {
  for (const ControlType end : {ControlType::kCommit, ControlType::kAbort}) {
    const auto log = OpenLog(end == ControlType::kCommit ? "orders-1" : "orders-2", options_);
    for (int64_t number = 0; number < 3; ++number) {
      AppendData(log.get(), 7, static_cast<int32_t>(2 * number));
      EXPECT_EQ(LastStable(*log), 3 * number);
      AppendData(log.get(), 7, static_cast<int32_t>(2 * number + 1));
      EXPECT_EQ(LastStable(*log), 3 * number);
      Take(log.get(), MarkerBatch(end, 3 * number + 2, 7));
      EXPECT_EQ(LastStable(*log), 3 * number + 3);
    }
  }
}

TEST_F(LogTransactionsTest, DataAndMarkerMayComeTogether) {
  const auto log = Open();
  std::vector<std::byte> batches = DataBatch({.base_offset = 0, .producer_id = 7, .transactional = true});
  const std::vector<std::byte> marker = MarkerBatch(ControlType::kCommit, 1, 7);
  batches.insert(batches.end(), marker.begin(), marker.end());
  Take(log.get(), batches);
  EXPECT_EQ(LastStable(*log), 2);
}

TEST_F(LogTransactionsTest, TheOldestOpenTransactionCounts) {
  const auto log = Open();
  AppendData(log.get(), 7, 0);
  AppendData(log.get(), 8, 0);
  AppendData(log.get(), 9, 0);
  Take(log.get(), MarkerBatch(ControlType::kCommit, 3, 8));
  EXPECT_EQ(LastStable(*log), 0);
  Take(log.get(), MarkerBatch(ControlType::kAbort, 4, 7));
  EXPECT_EQ(LastStable(*log), 2);
  Take(log.get(), MarkerBatch(ControlType::kCommit, 5, 9));
  EXPECT_EQ(LastStable(*log), 6);
}

TEST_F(LogTransactionsTest, OpeningKnowsFinishedTransactionsFromOpenOnes) {
  const auto log = Open();
  AppendTransaction(log.get(), ControlType::kCommit);
  AppendTransaction(log.get(), ControlType::kAbort, 8);
  LogOptions options = options_;
  const auto expect_last_stable = [&](int64_t offset) {
    for (const bool read_only : {true, false}) {
      SCOPED_TRACE(read_only);
      const auto killed = memory_.CloneAfterProcessDeath();
      options.file_system = killed.get();
      options.read_only = read_only;
      EXPECT_EQ(LastStable(*OpenLog(directory_, options)), offset);
    }
  };
  expect_last_stable(6);
  AppendData(log.get(), 9, 0);
  expect_last_stable(6);
  Take(log.get(), MarkerBatch(ControlType::kCommit, 7, 9));
  expect_last_stable(8);
  VARVE_ASSERT_OK(log->Close());
  expect_last_stable(8);
}

// A marker counts once it is committed itself.
TEST_F(LogTransactionsTest, TheHighWatermarkOfTheHostMustPassTheMarker) {
  const auto log = Open();
  log->SetHighWatermark(0);
  AppendTransaction(log.get(), ControlType::kCommit);
  AppendTransaction(log.get(), ControlType::kCommit, 8);
  for (const auto& [high_watermark, last_stable] : {std::pair{0, 0}, {1, 0}, {2, 0}, {3, 3}, {4, 3}, {5, 3}, {6, 6}}) {
    log->SetHighWatermark(high_watermark);
    EXPECT_EQ(LastStable(*log), last_stable) << high_watermark;
  }
}

// The marker is not committed, and may go yet; the snapshot that a truncation above it begins with knows it closed.
TEST_F(LogTransactionsTest, ATruncationAboveAMarkerThatIsNotCommittedDecidesNothing) {
  const auto log = Open();
  log->SetHighWatermark(0);
  AppendTransaction(log.get(), ControlType::kCommit);
  VARVE_ASSERT_OK(log->Roll());
  for (int64_t offset = 3; offset < 9; ++offset) Take(log.get(), DataBatch({.base_offset = offset}));
  log->SetHighWatermark(2);
  EXPECT_EQ(LastStable(*log), 0);
  VARVE_ASSERT_OK(log->TruncateTo(7));
  EXPECT_EQ(LastStable(*log), 0);
  log->SetHighWatermark(3);
  EXPECT_EQ(LastStable(*log), 3);
  VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(3));
  EXPECT_EQ(LastStable(*log), 3);
}

TEST_F(LogTransactionsTest, WhereDurabilityCommitsTheMarkerMustBeDurable) {
  options_.visibility = Visibility::kDurable;
  const auto log = Open();
  AppendTransaction(log.get(), ControlType::kCommit);
  EXPECT_EQ(LastStable(*log), 0);
  VARVE_ASSERT_OK(log->WaitDurable(3));
  EXPECT_EQ(LastStable(*log), 3);
  AppendData(log.get(), 8, 0);
  AppendData(log.get(), 8, 1);
  VARVE_ASSERT_OK(log->Flush());
  EXPECT_EQ(log->high_watermark(), 5);
  Take(log.get(), MarkerBatch(ControlType::kCommit, 5, 8));
  EXPECT_EQ(LastStable(*log), 3);
  VARVE_ASSERT_OK(log->Flush());
  EXPECT_EQ(LastStable(*log), 6);
}

TEST_F(LogTransactionsTest, ATransactionWhoseMarkerIsTruncatedIsOpenAgain) {
  const auto log = Open();
  AppendTransaction(log.get(), ControlType::kCommit);
  EXPECT_EQ(LastStable(*log), 3);
  VARVE_ASSERT_OK(log->TruncateTo(2));
  EXPECT_EQ(LastStable(*log), 0);
  Take(log.get(), MarkerBatch(ControlType::kAbort, 2, 7));
  EXPECT_EQ(LastStable(*log), 3);
}

}  // namespace
}  // namespace varve
