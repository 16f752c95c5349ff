// A writer that keeps no line, as a broker does not, takes files away while a log is opened, read and verified.
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "record/batch_header.h"
#include "segment/segment_files.h"
#include "support/hooked_file_system.h"
#include "varve/partition_files.h"
#include "varve/verify.h"

namespace varve {
namespace {

using ::testing::HasSubstr;
using testing_support::AppendMany;
using testing_support::ExpectRecords;
using testing_support::HookedFileSystem;
using testing_support::OpenLog;
using testing_support::StatusIs;

constexpr int64_t kRecords = 40;
constexpr int64_t kNewBase = 1000;

class UnannouncedChangesTest : public testing_support::LogTest {
 protected:
  // A log that no varve.state tells of.
  void WriteForeignLog() {
    if (const auto names = memory_.List(directory_); names.ok()) {
      for (const std::string& name : *names) VARVE_ASSERT_OK(memory_.Remove(directory_ + "/" + name));
    }
    AppendMany(Open().get(), kRecords);
    for (const PartitionFile& file : Files()) {
      if (file.kind != PartitionFileKind::kOwn) continue;
      VARVE_ASSERT_OK(memory_.Remove(directory_ + "/" + file.name));
    }
    ASSERT_GE(BaseOffsets().size(), 6u);
  }

  std::vector<PartitionFile> Files() {
    const auto files = ListPartitionFiles(&memory_, directory_);
    EXPECT_TRUE(files.ok()) << files.status();
    return files.value_or(std::vector<PartitionFile>());
  }

  std::vector<int64_t> BaseOffsets() {
    std::vector<int64_t> base_offsets;
    for (const PartitionFile& file : Files()) {
      if (file.kind == PartitionFileKind::kLog) base_offsets.push_back(file.offset);
    }
    return base_offsets;
  }

  // As Kafka does it: renamed first.
  void DeleteSegment(int64_t base_offset) {
    for (const PartitionFile& file : Files()) {
      const std::string path = directory_ + "/" + file.name;
      if (file.offset != base_offset || file.kind == PartitionFileKind::kLeftover) continue;
      VARVE_ASSERT_OK(memory_.Rename(path, path + ".deleted"));
    }
  }

  // As Kafka's cleaner exchanges a segment alone for a copy, here one without its first batch.
  void CleanSegment(int64_t base_offset) {
    const std::string path = directory_ + "/" + internal::SegmentFileName(base_offset, internal::SegmentFileKind::kLog);
    const std::string log = testing_support::ReadFile(&memory_, path);
    const size_t first_bytes = internal::DecodeBatchHeader(internal::AsBytes(log).data()).size_bytes;
    testing_support::WriteFile(&memory_, path + ".swap", log.substr(first_bytes));
    DeleteSegment(base_offset);
    VARVE_ASSERT_OK(memory_.Rename(path + ".swap", path));
  }

  void StartAnew() {
    for (const int64_t base_offset : BaseOffsets()) DeleteSegment(base_offset);
    VARVE_ASSERT_OK(memory_.Open(directory_ + "/00000000000000001000.log", OpenMode::kCreate));
  }

  // `closed`: by a broker, whose marks tell so; then only the tail of the log is read when it is opened.
  std::unique_ptr<Log> Follow(FileSystem* file_system, bool closed = false) {
    LogOptions options = options_;
    if (closed) options.marks = {.clean = true, .recovery_point = kRecords};
    options.file_system = file_system;
    options.read_only = true;
    return OpenLog(directory_, options);
  }
};

// Once, before the n-th file is opened: at every one of them, until none is left.
TEST_F(UnannouncedChangesTest, FilesThatGoWhileALogIsOpenedAreLookedForAgain) {
  enum class Change { kOneGoes, kOneIsCleaned, kAllGo };
  for (const auto& [change, closed] :
       {std::pair(Change::kOneGoes, false), std::pair(Change::kAllGo, false), std::pair(Change::kOneIsCleaned, false),
        std::pair(Change::kOneIsCleaned, true)}) {
    int opens = 0;
    for (int nth = 1;; ++nth) {
      SCOPED_TRACE(testing::Message() << "change " << static_cast<int>(change) << (closed ? " of a closed log" : "")
                                      << " before open " << nth);
      WriteForeignLog();
      const int64_t second = BaseOffsets()[1];
      HookedFileSystem hooked(&memory_);
      opens = 0;
      hooked.before_open = [&, change = change](const std::string&) {
        if (++opens != nth) return;
        if (change == Change::kAllGo) return StartAnew();
        change == Change::kOneGoes ? DeleteSegment(0) : CleanSegment(0);
      };
      const auto follower = Follow(&hooked, closed);
      ASSERT_NE(follower, nullptr);
      hooked.before_open = nullptr;
      if (opens < nth) break;
      LogScan scan = follower->Scan(follower->log_start_offset());
      for (const RecordView& record : scan) ASSERT_EQ(record.value(), testing_support::ValueAt(record.offset()));
      EXPECT_TRUE(scan.status().ok() || absl::IsAborted(scan.status())) << scan.status();
      VARVE_ASSERT_OK(follower->Refresh());
      if (change == Change::kAllGo) {
        EXPECT_EQ(follower->log_end_offset(), kNewBase);
      } else {
        ExpectRecords(*follower, change == Change::kOneGoes ? second : 1, kRecords);
      }
    }
    EXPECT_GT(opens, closed ? 3 : 5);
  }
}

TEST_F(UnannouncedChangesTest, DamageOfAFileThatIsStillTheSameIsDamage) {
  WriteForeignLog();
  const auto follower = Follow(&memory_, /*closed=*/true);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto log,
                             memory_.Open(directory_ + "/00000000000000000000.log", OpenMode::kReadWrite));
  VARVE_ASSERT_OK(log->Truncate(10));
  EXPECT_THAT(follower->Read(0), StatusIs(absl::StatusCode::kDataLoss));
}

TEST_F(UnannouncedChangesTest, ASegmentThatWentBeforeItWasReadIsToldOf) {
  const std::function<absl::Status(Log*)> asks[] = {
      [](Log* log) { return log->Read(0).status(); },
      [](Log* log) { return log->OffsetForTimestamp(1'000'001).status(); },
  };
  for (const auto& ask : asks) {
    for (const bool cleaned : {false, true}) {
      WriteForeignLog();
      const int64_t second = BaseOffsets()[1];
      const auto follower = Follow(&memory_, /*closed=*/cleaned);
      cleaned ? CleanSegment(0) : DeleteSegment(0);
      EXPECT_THAT(ask(follower.get()), StatusIs(absl::StatusCode::kAborted, HasSubstr("Refresh")));
      VARVE_ASSERT_OK(follower->Refresh());
      ExpectRecords(*follower, cleaned ? 1 : second, kRecords);
    }
  }
}

// Before, behind and at the segment that was read just then.
TEST_F(UnannouncedChangesTest, ADirectoryThatChangedWhileItWasVerifiedIsVerifiedAgain) {
  const std::function<void(const std::vector<int64_t>&)> changes[] = {
      [this](const std::vector<int64_t>&) { DeleteSegment(0); },
      [this](const std::vector<int64_t>& base_offsets) {
        DeleteSegment(0);
        DeleteSegment(base_offsets[1]);
      },
      [this](const std::vector<int64_t>&) {  // compacted to nothing
        DeleteSegment(0);
        for (const char* const name : {"log", "index", "timeindex"}) {
          VARVE_ASSERT_OK(memory_.Open(directory_ + "/00000000000000000000." + name, OpenMode::kCreate));
        }
      }};
  for (const auto& change : changes) {
    WriteForeignLog();
    const std::vector<int64_t> base_offsets = BaseOffsets();
    bool changed = false;
    const auto change_once = [&](int64_t, int64_t) {
      if (!changed) change(base_offsets);
      changed = true;
    };
    VARVE_ASSERT_OK_AND_ASSIGN(const VerifyReport report, Verify(&memory_, directory_, {}, change_once));
    const int64_t first = BaseOffsets().front() == 0 ? base_offsets[1] : BaseOffsets().front();
    EXPECT_EQ(report.records, kRecords - first);
    EXPECT_THAT(report.damage, testing::IsEmpty());
  }
}

TEST_F(UnannouncedChangesTest, AWriterThatTakesAwayFilesDuringEveryReadingIsToldOf) {
  WriteForeignLog();
  int64_t done_before = std::numeric_limits<int64_t>::max();
  const auto delete_one = [&](int64_t done_bytes, int64_t) {
    if (done_bytes < done_before) DeleteSegment(BaseOffsets().front());
    done_before = done_bytes;
  };
  EXPECT_THAT(Verify(&memory_, directory_, {}, delete_one),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("during each of 4 readings")));
}

}  // namespace
}  // namespace varve
