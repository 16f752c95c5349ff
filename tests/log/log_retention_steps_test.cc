// Retention in calls that are short: so many segments at once, and their files later, for so long at once.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "log/log_places.h"
#include "support/hooked_file_system.h"

namespace varve {
namespace {

using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing_support::AppendMany;
using testing_support::ExpectRecords;
using testing_support::HookedFileSystem;
using testing_support::IsOkAndHolds;
using testing_support::LogTest;
using testing_support::StatusIs;

constexpr int64_t kRecords = 24;

class LogRetentionStepsTest : public LogTest {
 protected:
  LogRetentionStepsTest() { options_.file_system = &hooked_; }

  std::vector<std::string> DeletedNames() {
    std::vector<std::string> names = memory_.List(directory_).value();
    std::erase_if(names, [](const std::string& name) { return !name.ends_with(".deleted"); });
    return names;
  }

  HookedFileSystem hooked_{&memory_};
};

TEST_F(LogRetentionStepsTest, OneSegmentAtATimeComesToTheSameEnd) {
  options_.file_delete_delay_ms = 0;
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  const size_t segments = log->segments().size();
  ASSERT_GE(segments, 4u);
  for (size_t gone = 1; gone <= segments; ++gone) {
    SCOPED_TRACE(gone);
    const uint64_t removals = hooked_.operation_count(FileOperation::kRemove);
    VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result, log->ApplyRetention({.max_segments = 1}));
    EXPECT_THAT(result.deleted, SizeIs(1));
    EXPECT_EQ(result.more_due, gone < segments);
    EXPECT_EQ(result.log_start_offset, result.deleted.front().next_offset);
    EXPECT_EQ(log->segments().front().base_offset, result.log_start_offset);
    EXPECT_EQ(hooked_.operation_count(FileOperation::kRemove), removals) << "files go by RemoveDeletedFiles";
    EXPECT_EQ(result.files_left, static_cast<int64_t>(DeletedNames().size()));
    ExpectRecords(*log, result.log_start_offset, kRecords);
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult nothing, log->ApplyRetention({.max_segments = 1}));
  EXPECT_THAT(nothing.deleted, IsEmpty());
  EXPECT_FALSE(nothing.more_due);
}

TEST_F(LogRetentionStepsTest, TheLogStartNeedNotWaitForTheSegmentsBelowIt) {
  {
    const auto log = Open();
    AppendMany(log.get(), kRecords);
    VARVE_ASSERT_OK_AND_ASSIGN(RetentionResult result,
                               log->ApplyRetention({.retention_ms = -1, .before_offset = kRecords, .max_segments = 1}));
    EXPECT_THAT(result.deleted, SizeIs(1));
    EXPECT_TRUE(result.more_due);
    EXPECT_EQ(log->log_start_offset(), kRecords);
    EXPECT_GT(log->segments().size(), 2u);
    EXPECT_THAT(log->Read(result.deleted.front().next_offset), StatusIs(absl::StatusCode::kOutOfRange));
    VARVE_ASSERT_OK(log->Close());
  }
  const auto log = Open();
  EXPECT_EQ(log->log_start_offset(), kRecords);
  while (true) {
    VARVE_ASSERT_OK_AND_ASSIGN(const RetentionResult result,
                               log->ApplyRetention({.retention_ms = -1, .max_segments = 1}));
    if (result.deleted.empty()) break;
  }
  EXPECT_THAT(log->segments(), SizeIs(1));
  EXPECT_EQ(log->log_start_offset(), kRecords);
}

TEST_F(LogRetentionStepsTest, FilesGoWhenTheirTimeHasComeAndForSoLongAtOnce) {
  options_.file_delete_delay_ms = 5000;
  const auto log = Open();
  EXPECT_THAT(log->RemoveDeletedFiles(), IsOkAndHolds(FileRemovalResult{}));
  AppendMany(log.get(), kRecords);
  VARVE_ASSERT_OK(log->ApplyRetention({.max_segments = 1}));
  const auto first = static_cast<int64_t>(DeletedNames().size());
  ASSERT_EQ(first, 3);  // and no snapshot
  clock_.AdvanceMs(1000);
  VARVE_ASSERT_OK(log->ApplyRetention({.max_segments = 1}));
  const auto both = static_cast<int64_t>(DeletedNames().size());
  ASSERT_GT(both, first);
  EXPECT_THAT(log->RemoveDeletedFiles(), IsOkAndHolds(FileRemovalResult{.left = both, .next_due_ms = 4000}));

  clock_.AdvanceMs(4000);
  hooked_.around_change = [this] { clock_.AdvanceNs(500); };  // a removal takes a microsecond
  EXPECT_THAT(log->RemoveDeletedFiles(std::chrono::nanoseconds(0)),
              IsOkAndHolds(FileRemovalResult{.left = both, .next_due_ms = 0}));
  EXPECT_THAT(log->RemoveDeletedFiles(std::chrono::nanoseconds(1)),
              IsOkAndHolds(FileRemovalResult{.removed = 1, .left = both - 1, .next_due_ms = 0}));
  EXPECT_THAT(log->RemoveDeletedFiles(std::chrono::nanoseconds(1001)),
              IsOkAndHolds(FileRemovalResult{.removed = 2, .left = both - 3, .next_due_ms = 1000}))
      << "the oldest first";
  hooked_.around_change = nullptr;
  EXPECT_EQ(log->RemoveDeletedFiles()->removed, 0);
  EXPECT_THAT(DeletedNames(), Not(IsEmpty()));
  clock_.AdvanceMs(1000);
  EXPECT_EQ(log->RemoveDeletedFiles()->removed, both - first);
  EXPECT_THAT(DeletedNames(), IsEmpty());
}

TEST_F(LogRetentionStepsTest, AFileThatCannotBeRemovedIsNotSaidToBeDue) {
  options_.file_delete_delay_ms = 0;
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  VARVE_ASSERT_OK(log->ApplyRetention({.max_segments = 1}));
  const auto files = static_cast<int64_t>(DeletedNames().size());
  hooked_.AddRule({.operation = FileOperation::kRemove, .path_part = ".log.deleted", .for_ever = true});
  EXPECT_THAT(log->RemoveDeletedFiles(), IsOkAndHolds(FileRemovalResult{.removed = files - 1, .left = 1}));
  hooked_.ClearRules();
  EXPECT_THAT(log->RemoveDeletedFiles(), IsOkAndHolds(FileRemovalResult{.removed = 1}));
}

TEST_F(LogRetentionStepsTest, WhoMayNotWriteRemovesNothing) {
  const auto log = Open();
  options_.read_only = true;
  EXPECT_THAT(Open()->RemoveDeletedFiles(), StatusIs(absl::StatusCode::kFailedPrecondition));
  VARVE_ASSERT_OK(log->Close());
  EXPECT_THAT(log->RemoveDeletedFiles(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace varve
