// A byte that changed, anywhere in the .log files of a log that is opened after its process died: it costs the batch it
// is in, or nothing, and no answer is wrong.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/path.h"
#include "log/log_places.h"
#include "segment/segment_files.h"

namespace varve {
namespace {

using testing_support::AppendMany;
using testing_support::OpenLog;
using testing_support::ValueAt;

constexpr int64_t kRecords = 16;

class FlippedByteTest : public testing_support::LogTest {
 protected:
  // The log as another process finds it, with one bit of a byte turned.
  std::unique_ptr<MemoryFileSystem> Flipped(const std::string& path, uint64_t position) {
    auto left = memory_.CloneAfterProcessDeath();
    const auto file = left->Open(path, OpenMode::kReadWrite);
    EXPECT_TRUE(file.ok()) << file.status();
    std::byte byte{};
    EXPECT_TRUE((*file)->ReadAt(position, std::span(&byte, 1)).ok());
    byte ^= std::byte{1} << (position % 8);
    EXPECT_TRUE((*file)->WriteAt(position, std::span(&byte, 1)).ok());
    return left;
  }

  // Every record but the one that was hit is served; that one is served as it was, or is damage.
  void ExpectOneLostAtMost(FileSystem* file_system, int64_t hit_offset) {
    LogOptions options = options_;
    options.file_system = file_system;
    const auto log = OpenLog(directory_, options);
    ASSERT_NE(log, nullptr);
    EXPECT_EQ(log->log_end_offset(), kRecords);
    for (int64_t offset = 0; offset < kRecords; ++offset) {
      LogScan scan = log->Scan(offset);
      const auto first = scan.begin();
      if (first != scan.end()) {
        ASSERT_EQ(first->offset(), offset);
        ASSERT_EQ(first->value(), ValueAt(offset));
      } else {
        ASSERT_EQ(offset, hit_offset) << scan.status();
        ASSERT_TRUE(absl::IsDataLoss(scan.status())) << scan.status();
      }
    }
  }
};

TEST_F(FlippedByteTest, CostsItsBatchAtMost) {
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  ASSERT_GT(log->segments().size(), 2u);
  LogReader reader = log->NewReader();
  for (int64_t offset = 0; offset < kRecords; ++offset) {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto found, reader.Find(offset));
    const std::string path =
        internal::JoinPath(directory_, internal::SegmentFileName(found->segment, internal::SegmentFileKind::kLog));
    for (int64_t position = found->position; position < found->position + found->size_bytes; ++position) {
      SCOPED_TRACE(testing::Message() << path << " position " << position << ", offset " << offset);
      const auto left = Flipped(path, static_cast<uint64_t>(position));
      ASSERT_NO_FATAL_FAILURE(ExpectOneLostAtMost(left.get(), offset));
    }
  }
}

}  // namespace
}  // namespace varve
