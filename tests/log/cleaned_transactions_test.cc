#include "log/cleaned_transactions.h"

#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/cleaning_fixture.h"

namespace varve::internal {
namespace {

using testing_support::CleaningBatch;
using testing_support::CleaningMarker;
using testing_support::InTransaction;
using testing_support::StatusIs;

// What a batch is judged to be: "live" or "aborted" data, a marker that "stays", with "+entry" an abort's, or "can go".
std::string Judge(CleanedTransactions* transactions, const std::string& bytes) {
  const RecordBatchView batch(AsBytes(bytes));
  if (!batch.is_control()) return transactions->OnData(batch) ? "aborted" : "live";
  const auto marker = transactions->OnControl(batch);
  if (!marker.ok()) return marker.status().ToString();
  if (marker->discardable) return marker->aborted.has_value() ? "can go with an entry" : "can go";
  return marker->aborted.has_value() ? "stays+entry" : "stays";
}

std::string Data(int64_t offset, int64_t producer_id) {
  return CleaningBatch({{offset, "k", "v"}, {offset + 1, "l", "v"}}, InTransaction(producer_id));
}
std::string Emptied(int64_t offset, int64_t producer_id) {
  RecordBatchBuilderOptions options = InTransaction(producer_id);
  options.base_offset = offset;
  options.last_offset = offset + 1;
  RecordBatchBuilder builder(options);
  return std::string(AsText(*builder.Build()));
}
std::string Abort(int64_t offset, int64_t producer_id) {
  return CleaningMarker(offset, ControlType::kAbort, producer_id);
}
std::string Commit(int64_t offset, int64_t producer_id) {
  return CleaningMarker(offset, ControlType::kCommit, producer_id);
}
std::string EmptiedMarker(int64_t offset, int64_t producer_id) {
  RecordBatchBuilderOptions options = InTransaction(producer_id);
  options.base_offset = offset;
  options.last_offset = offset;
  options.control = true;
  RecordBatchBuilder builder(options);
  return std::string(AsText(*builder.Build()));
}
// Neither an abort nor a commit.
std::string LeaderChange(int64_t offset) {
  RecordBatchBuilder builder({.base_offset = offset, .control = true});
  EXPECT_TRUE(builder.Add({.key = std::string_view("\0\0\0\2", 4), .value = "leader", .timestamp_ms = 1}).ok());
  return std::string(AsText(*builder.Build()));
}

struct Step {
  std::string batch;
  std::string verdict;
};
struct Case {
  const char* what;
  std::vector<AbortedTransaction> aborted;
  std::vector<Step> steps;
};

AbortedTransaction Aborted(int64_t producer_id, int64_t first_offset, int64_t last_offset) {
  return {.producer_id = producer_id,
          .first_offset = first_offset,
          .last_offset = last_offset,
          .last_stable_offset = last_offset + 1};
}

TEST(CleanedTransactions, JudgesBatchesInOrder) {
  const Case cases[] = {
      {"a commit stays while its data is there", {}, {{Data(0, 7), "live"}, {Commit(2, 7), "stays"}}},
      {"an emptied batch is data, too", {}, {{Emptied(0, 7), "live"}, {Commit(2, 7), "stays"}}},
      {"a commit of nothing can go", {}, {{Data(0, 8), "live"}, {Commit(2, 7), "can go"}}},
      {"each commit has its own data", {}, {{Data(0, 7), "live"}, {Commit(2, 7), "stays"}, {Commit(3, 7), "can go"}}},
      {"data is aborted and its marker stays",
       {Aborted(7, 0, 4)},
       {{Data(0, 7), "aborted"}, {Data(2, 7), "aborted"}, {Abort(4, 7), "stays+entry"}, {Data(5, 7), "live"}}},
      {"an emptied batch of an aborted transaction keeps the marker",
       {Aborted(7, 0, 2)},
       {{Emptied(0, 7), "aborted"}, {Abort(2, 7), "stays+entry"}}},
      {"an abort of nothing can go, entry or not",
       {Aborted(7, 0, 2)},
       {{Abort(2, 7), "can go"}, {Abort(3, 8), "can go"}}},
      {"only that producer's data is aborted",
       {Aborted(7, 0, 6)},
       {{Data(0, 7), "aborted"}, {Data(2, 8), "live"}, {Commit(4, 8), "stays"}, {Abort(6, 7), "stays+entry"}}},
      {"transactions overlap",
       {Aborted(8, 2, 7), Aborted(7, 0, 6)},
       {{Data(0, 7), "aborted"},
        {Data(2, 8), "aborted"},
        {Data(4, 7), "aborted"},
        {Abort(6, 7), "stays+entry"},
        {Abort(7, 8), "stays+entry"}}},
      {"one aborted after the other",
       {Aborted(7, 0, 2), Aborted(7, 5, 7)},
       {{Data(0, 7), "aborted"},
        {Abort(2, 7), "stays+entry"},
        {Data(3, 7), "live"},
        {Data(5, 7), "aborted"},
        {Abort(7, 7), "stays+entry"}}},
      {"a pass may begin behind a marker", {Aborted(7, 0, 2)}, {{Data(3, 7), "live"}, {Commit(5, 7), "stays"}}},
      {"data without a transaction is live", {Aborted(7, 0, 4)}, {{CleaningBatch({{1, "k", "v"}}), "live"}}},
      {"an emptied marker can go", {Aborted(7, 0, 2)}, {{Data(0, 7), "aborted"}, {EmptiedMarker(2, 7), "can go"}}},
      {"other control records stay", {}, {{LeaderChange(0), "stays"}}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    CleanedTransactions transactions(c.aborted);
    for (const Step& step : c.steps) {
      EXPECT_EQ(Judge(&transactions, step.batch), step.verdict)
          << "offset " << RecordBatchView(AsBytes(step.batch)).base_offset();
    }
  }
}

TEST(CleanedTransactions, TellsTheEntryOfTheMarker) {
  CleanedTransactions transactions({Aborted(8, 0, 9), Aborted(7, 0, 2)});
  EXPECT_TRUE(transactions.OnData(RecordBatchView(AsBytes(Data(0, 7)))));
  const std::string abort = Abort(2, 7);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto marker, transactions.OnControl(RecordBatchView(AsBytes(abort))));
  EXPECT_EQ(marker.aborted, Aborted(7, 0, 2));
}

TEST(CleanedTransactions, RefusesControlRecordsThatItCannotRead) {
  CleanedTransactions transactions;
  RecordBatchBuilder builder({.base_offset = 3, .control = true});
  ASSERT_TRUE(builder.Add({.key = "abc", .timestamp_ms = 1}).ok());
  VARVE_ASSERT_OK_AND_ASSIGN(const auto batch, builder.Build());
  EXPECT_THAT(transactions.OnControl(RecordBatchView(batch)).status(), StatusIs(absl::StatusCode::kDataLoss));
}

}  // namespace
}  // namespace varve::internal
