// How many descriptors a log holds: none for a segment that is sealed and synced.
#include <sys/resource.h>

#include <cstddef>
#include <filesystem>
#include <string>

#include "log/log_places.h"

namespace varve {
namespace {

using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::ExpectRecords;

// Lowers the number of files this process may have open, while it lives.
class OpenFilesLimit {
 public:
  explicit OpenFilesLimit(rlim_t files) {
    EXPECT_EQ(::getrlimit(RLIMIT_NOFILE, &before_), 0);
    const rlimit limit = {.rlim_cur = files, .rlim_max = before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  }
  ~OpenFilesLimit() { EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &before_), 0); }
  OpenFilesLimit(const OpenFilesLimit&) = delete;
  OpenFilesLimit& operator=(const OpenFilesLimit&) = delete;

 private:
  rlimit before_ = {};
};

size_t OpenDescriptors() {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) count += entry.exists() ? 1 : 0;
  return count;
}

class LogDescriptorsTest : public testing_support::LogTest, public ::testing::WithParamInterface<IoMode> {
 protected:
  LogDescriptorsTest() {
    options_.io_mode = GetParam();
    options_.file_system = FileSystem::Default();
    directory_ = temporary_.path() + "/" + testing_support::kPartition;
    options_.segment_bytes = 100;  // a record each
  }

 private:
  testing_support::TemporaryDirectory temporary_;
};

INSTANTIATE_TEST_SUITE_P(, LogDescriptorsTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

// Flushed now and then, or never: 128 segments at most wait for their syncs.
TEST_P(LogDescriptorsTest, MoreRollsThanDescriptors) {
  const OpenFilesLimit limit(160);
  const auto log = Open();
  constexpr int64_t kRecords = 500;
  for (int64_t offset = 0; offset < kRecords; ++offset) {
    ASSERT_NO_FATAL_FAILURE(AppendNext(log.get()));
    if (offset < kRecords / 2 && offset % 50 == 0) {
      VARVE_ASSERT_OK(log->Flush());
    }
  }
  EXPECT_EQ(log->segments().size(), static_cast<size_t>(kRecords));
  ExpectRecords(*log, 0, kRecords);
}

TEST_P(LogDescriptorsTest, ASealedAndSyncedSegmentHoldsNone) {
  const auto log = Open();
  AppendMany(log.get(), 1);
  VARVE_ASSERT_OK(log->Flush());
  const size_t with_one_segment = OpenDescriptors();
  AppendMany(log.get(), 20);
  EXPECT_EQ(OpenDescriptors(), with_one_segment + 20);  // unsynced: a later sync must be by the same descriptor
  VARVE_ASSERT_OK(log->Flush());
  EXPECT_EQ(OpenDescriptors(), with_one_segment);
  ExpectRecords(*log, 0, 21);
  EXPECT_EQ(OpenDescriptors(), with_one_segment);
}

}  // namespace
}  // namespace varve
