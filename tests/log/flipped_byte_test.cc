// A byte that changed, anywhere in the files of a log that is opened after its process died, or after a clean stop, when
// opening reads next to nothing: it costs the batch it is in, or nothing, and no answer is wrong.
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
  std::unique_ptr<MemoryFileSystem> Flipped(const std::string& path, uint64_t position, int bit) {
    auto left = memory_.CloneAfterProcessDeath();
    const auto file = left->Open(path, OpenMode::kReadWrite);
    EXPECT_TRUE(file.ok()) << file.status();
    std::byte byte{};
    EXPECT_TRUE((*file)->ReadAt(position, std::span(&byte, 1)).ok());
    byte ^= std::byte{1} << bit;
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

// Where the record at an offset lies in its file.
struct RecordPlace {
  std::string path;
  int64_t position = 0;
  int64_t size_bytes = 0;
};

RecordPlace PlaceOf(const Log& log, int64_t offset) {
  LogReader reader = log.NewReader();
  const auto found = reader.Find(offset);
  EXPECT_TRUE(found.ok() && found->has_value()) << found.status();
  if (!found.ok() || !found->has_value()) return {};
  const std::string name = internal::SegmentFileName((*found)->segment, internal::SegmentFileKind::kLog);
  return {internal::JoinPath(log.directory(), name), (*found)->position, (*found)->size_bytes};
}

class FlippedBytesOfTest : public FlippedByteTest, public ::testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(, FlippedBytesOfTest, ::testing::Bool(),
                         [](const auto& param) { return param.param ? "ACleanStop" : "AProcessThatDied"; });

TEST_P(FlippedBytesOfTest, CostItsBatchAtMost) {
  const bool closed = GetParam();
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  ASSERT_GT(log->segments().size(), 2u);
  std::vector<RecordPlace> places;
  for (int64_t offset = 0; offset < kRecords; ++offset) places.push_back(PlaceOf(*log, offset));
  const absl::Status stopped = closed ? log->Close() : absl::OkStatus();
  VARVE_ASSERT_OK(stopped);
  for (int64_t offset = 0; offset < kRecords; ++offset) {
    const RecordPlace& place = places[static_cast<size_t>(offset)];
    for (int64_t position = place.position; position < place.position + place.size_bytes; ++position) {
      SCOPED_TRACE(testing::Message() << place.path << " position " << position << ", offset " << offset);
      const auto left = Flipped(place.path, static_cast<uint64_t>(position), static_cast<int>(position % 8));
      ASSERT_NO_FATAL_FAILURE(ExpectOneLostAtMost(left.get(), offset));
    }
  }
}

// The last segment's indexes are loaded, not made, where the log was closed.
TEST_F(FlippedByteTest, OfAnIndexChangesNoAnswerAfterACleanStop) {
  {
    const auto log = Open();
    AppendMany(log.get(), kRecords);
    VARVE_ASSERT_OK(log->Close());
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, memory_.List(directory_));
  size_t bits = 0;
  for (const std::string& name : names) {
    if (!name.ends_with("index")) continue;
    const std::string path = internal::JoinPath(directory_, name);
    VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo info, memory_.Info(path));
    for (uint64_t bit = 0; bit < 8 * info.size; ++bit, ++bits) {
      SCOPED_TRACE(testing::Message() << path << " bit " << bit);
      const auto left = Flipped(path, bit / 8, static_cast<int>(bit % 8));
      ASSERT_NO_FATAL_FAILURE(ExpectOneLostAtMost(left.get(), /*hit_offset=*/-1));
      LogOptions options = options_;
      options.file_system = left.get();
      options.read_only = true;
      const auto log = OpenLog(directory_, options);
      ASSERT_NE(log, nullptr);
      ASSERT_TRUE(log->damage().empty());
      for (int64_t offset = 0; offset < kRecords; ++offset) {
        VARVE_ASSERT_OK_AND_ASSIGN(const auto found, log->OffsetForTimestamp(1'000'000 + offset));
        ASSERT_TRUE(found.has_value());
        ASSERT_EQ(found->offset, offset);
      }
    }
  }
  EXPECT_GT(bits, 200u);
}

// A log in which one bit of the first batch's length leads over the beginning of the next to a batch in its last header,
// which ends where it does: their headers alone show nothing.
class FlippedLengthTest : public FlippedByteTest {
 protected:
  static constexpr size_t kLeap = 256;

  // The log's files with this bit turned.
  std::unique_ptr<MemoryFileSystem> FlippedLength(bool sealed) {
    const std::string inner = BatchOf(1, {.value = "inner", .timestamp_ms = 1'000'001});
    const Header header{.key = "h", .value = inner};
    std::string key;
    const auto outer = [&] {
      return Record{.key = key, .value = "outer", .timestamp_ms = 1'000'001, .headers = {&header, 1}};
    };
    while (BatchOf(1, outer()).find(inner) < kLeap) key += 'k';
    EXPECT_EQ(BatchOf(1, outer()).find(inner), kLeap);
    options_.segment_bytes = 4096;
    options_.index_interval_bytes = 400;  // behind these two
    const auto log = Open();
    EXPECT_TRUE(log->Append({{.value = "first", .timestamp_ms = 1'000'000}}).ok());
    const Record record = outer();
    EXPECT_TRUE(log->Append({&record, 1}).ok());
    EXPECT_TRUE(log->Append({{.value = "third", .timestamp_ms = 1'000'002}}).ok());
    const RecordPlace first = PlaceOf(*log, 0);
    EXPECT_EQ((first.size_bytes - 12) & int64_t{kLeap}, 0);
    EXPECT_TRUE(!sealed || log->Roll().ok());
    EXPECT_TRUE(log->Append({{.value = "behind", .timestamp_ms = 1'000'003}}).ok());
    EXPECT_TRUE(log->Close().ok());
    return Flipped(first.path, 10, 0);  // of the length, the byte of 256
  }

  static std::string BatchOf(int64_t base_offset, const Record& record) {
    RecordBatchBuilder builder({.base_offset = base_offset, .leader_epoch = 0});
    EXPECT_TRUE(builder.Add(record).ok());
    const auto bytes = builder.Build();
    EXPECT_TRUE(bytes.ok());
    return std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  }

  static void ExpectTheFirstLost(const Log& log) {
    LogScan scan = log.Scan(0);
    EXPECT_EQ(scan.begin(), scan.end());
    EXPECT_TRUE(absl::IsDataLoss(scan.status())) << scan.status();
    EXPECT_EQ(scan.next_offset(), 1);
    std::vector<std::string> values;
    for (const RecordView& record : log.Scan(1)) values.emplace_back(*record.value());
    EXPECT_EQ(values, (std::vector<std::string>{"outer", "third", "behind"}));
  }

  void ExpectTheFirstLostWhenItIsRead(bool sealed) {
    const auto left = FlippedLength(sealed);
    options_.file_system = left.get();
    const auto log = Open();
    ASSERT_NE(log, nullptr);
    ASSERT_TRUE(log->damage().empty()) << "nobody has read it";
    ExpectTheFirstLost(*log);
    ASSERT_EQ(log->damage().size(), 1u);
    EXPECT_EQ(log->damage()[0].last_offset, 0);
  }
};

TEST_F(FlippedLengthTest, InventsNoRecordOfABatchInAValue) { ExpectTheFirstLostWhenItIsRead(/*sealed=*/true); }

TEST_F(FlippedLengthTest, InventsNoneInTheSegmentThatIsWritten) { ExpectTheFirstLostWhenItIsRead(/*sealed=*/false); }

// It walks the headers of what the writer has published, before it reads.
TEST_F(FlippedLengthTest, InventsNoneForAFollowerEither) {
  const auto left = FlippedLength(/*sealed=*/false);
  options_.file_system = left.get();
  const auto writer = Open();
  ASSERT_NE(writer, nullptr);
  LogOptions options = options_;
  options.read_only = true;
  const auto follower = OpenLog(directory_, options);
  ASSERT_NE(follower, nullptr);
  ExpectTheFirstLost(*follower);
}

}  // namespace
}  // namespace varve
