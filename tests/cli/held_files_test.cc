// Files held while a writer changes their names, and what is said where they cannot be held.
#include "cli/held_files.h"

#include <array>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cli/partition_contents.h"
#include "gtest/gtest.h"
#include "log/log_places.h"
#include "support/hooked_file_system.h"
#include "varve/checkpoint.h"

namespace varve::cli {
namespace {

using ::testing::HasSubstr;
using testing_support::AppendMany;
using testing_support::HookedFileSystem;
using testing_support::StatusIs;

constexpr int64_t kRecords = 24;
constexpr char kFirstLog[] = "/00000000000000000000.log";

std::vector<int64_t> BaseOffsets(const Log& log) {
  std::vector<int64_t> base_offsets;
  for (const LogSegmentInfo& segment : log.segments()) base_offsets.push_back(segment.base_offset);
  return base_offsets;
}

class HeldFilesTest : public testing_support::LogTest {
 protected:
  // Reads all that a dump reads, and expects one segment behind the other, with indexes of their own.
  void ExpectWhole(FileSystem* files, std::vector<int64_t> base_offsets, int64_t end_offset) {
    VARVE_ASSERT_OK_AND_ASSIGN(PartitionContents contents, PartitionContents::OfDirectory(files, directory_));
    VARVE_ASSERT_OK_AND_ASSIGN(const PartitionSummary summary, contents.Summarize());
    base_offsets.push_back(end_offset);
    ASSERT_EQ(summary.segments.size() + 1, base_offsets.size());
    for (size_t i = 0; i < summary.segments.size(); ++i) {
      EXPECT_EQ(summary.segments[i].base_offset, base_offsets[i]);
      EXPECT_EQ(summary.segments[i].next_offset, base_offsets[i + 1]);
    }
    int64_t batches = 0;
    for (const PartitionFile& file : contents.Files(PartitionFileKind::kLog)) {
      VARVE_ASSERT_OK(
          contents.VisitBatches(file, /*check_crc=*/true, [&](int64_t, const RecordBatchView&, bool crc_matches) {
            ++batches;
            return crc_matches;
          }));
    }
    EXPECT_EQ(batches, summary.batches);
    for (const PartitionFile& file : contents.Files(PartitionFileKind::kOffsetIndex)) {
      VARVE_EXPECT_OK(contents.LoadOffsetIndex(file));
    }
    for (const PartitionFile& file : contents.Files(PartitionFileKind::kTimeIndex)) {
      VARVE_EXPECT_OK(contents.LoadTimeIndex(file));
    }
    for (const PartitionFile& file : contents.Files(PartitionFileKind::kSnapshot)) {
      VARVE_EXPECT_OK(LoadProducerSnapshot(files, contents.PathOf(file)));
    }
    EXPECT_EQ(contents.faults(), std::vector<std::string>{});
  }

  struct Change {
    const char* name;
    std::function<absl::Status(Log*)> make;
  };
  const std::vector<Change> changes_ = {
      {"deletes segments", [](Log* log) { return log->DeleteBefore(13); }},
      {"goes back to an earlier segment", [](Log* log) { return log->TruncateTo(7); }},
      {"starts anew", [](Log* log) { return log->TruncateFullyAndStartAt(1000); }},
      {"rolls", [](Log* log) { return log->Roll(); }},
      {"compacts", [](Log* log) { return log->Compact({.force = true, .delete_retention_ms = 0}).status(); }}};
};

TEST_F(HeldFilesTest, WhatIsHeldStaysWhateverBecomesOfItsName) {
  options_.cleanup_policy = CleanupPolicy::kCompactAndDelete;
  for (const Change& change : changes_) {
    SCOPED_TRACE(change.name);
    const auto writer = Open();
    VARVE_ASSERT_OK(writer->TruncateFullyAndStartAt(0));
    AppendMany(writer.get(), kRecords);
    VARVE_ASSERT_OK(writer->Roll());  // the active segment would be truncated in place
    const std::vector<int64_t> base_offsets = BaseOffsets(*writer);
    VARVE_ASSERT_OK_AND_ASSIGN(const auto files, HeldFiles::OfPartition(&memory_, directory_));
    VARVE_ASSERT_OK(change.make(writer.get()));
    ExpectWhole(files.get(), base_offsets, kRecords);
  }
}

TEST_F(HeldFilesTest, WhatIsAppendedLaterIsNotSeen) {
  options_.io_mode = IoMode::kWrite;
  const auto writer = Open();
  AppendMany(writer.get(), kRecords);
  const std::vector<int64_t> base_offsets = BaseOffsets(*writer);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto files, HeldFiles::OfPartition(&memory_, directory_));
  AppendMany(writer.get(), kRecords);
  ExpectWhole(files.get(), base_offsets, kRecords);
}

// The writer acts once, before the n-th file is opened: at every one of them, until none is left.
TEST_F(HeldFilesTest, TheWriterActsWhileFilesAreOpened) {
  options_.cleanup_policy = CleanupPolicy::kCompactAndDelete;
  for (const Change& change : changes_) {
    int opens = 0;
    for (int nth = 1;; ++nth) {
      SCOPED_TRACE(testing::Message() << change.name << " before open " << nth);
      const auto writer = Open();
      VARVE_ASSERT_OK(writer->TruncateFullyAndStartAt(0));
      AppendMany(writer.get(), kRecords);
      HookedFileSystem hooked(&memory_);
      opens = 0;
      hooked.before_open = [&](const std::string&) {
        if (++opens != nth) return;
        VARVE_ASSERT_OK(change.make(writer.get()));
      };
      VARVE_ASSERT_OK_AND_ASSIGN(const auto files, HeldFiles::OfPartition(&hooked, directory_));
      hooked.before_open = nullptr;
      if (opens < nth) break;
      VARVE_ASSERT_OK_AND_ASSIGN(const PartitionContents contents,
                                 PartitionContents::OfDirectory(files.get(), directory_));
      std::vector<int64_t> base_offsets;
      for (const PartitionFile& file : contents.Files(PartitionFileKind::kLog)) base_offsets.push_back(file.offset);
      EXPECT_EQ(base_offsets, BaseOffsets(*writer));
      VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, files->List(directory_));
      for (const std::string& name : names) {
        VARVE_EXPECT_OK(files->Open(directory_ + "/" + name, OpenMode::kRead));
      }
    }
    EXPECT_GT(opens, 10);
  }
}

TEST_F(HeldFilesTest, AWriterThatNeverStopsIsToldOf) {
  const auto writer = Open();
  AppendMany(writer.get(), 5);
  HookedFileSystem hooked(&memory_);
  hooked.before_open = [&](const std::string& path) {
    if (!path.ends_with(kFirstLog)) return;
    VARVE_ASSERT_OK(writer->Roll());
    AppendMany(writer.get(), 1);
  };
  EXPECT_THAT(HeldFiles::OfPartition(&hooked, directory_),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("orders-0: files came, went or were replaced")));
}

// Another file of the same name: nothing but its identity tells.
TEST_F(HeldFilesTest, AFileThatIsReplacedWhileOthersAreOpenedIsOpenedAnew) {
  AppendMany(Open().get(), 2);
  HookedFileSystem hooked(&memory_);
  int opened = 0;
  hooked.before_open = [&](const std::string& path) {
    if (!path.ends_with(".timeindex") || ++opened > 1) return;
    VARVE_ASSERT_OK_AND_ASSIGN(const auto other, memory_.Open("other", OpenMode::kCreate));
    VARVE_ASSERT_OK(memory_.Rename("other", directory_ + kFirstLog));
  };
  VARVE_ASSERT_OK_AND_ASSIGN(const auto files, HeldFiles::OfPartition(&hooked, directory_));
  EXPECT_EQ(opened, 2);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto log, files->Open(directory_ + kFirstLog, OpenMode::kRead));
  EXPECT_THAT(log->Size(), testing_support::IsOkAndHolds(0u));
}

// While a swap is under way, the segments that go have lost their names and the one that comes has not its own yet.
TEST_F(HeldFilesTest, ASwapUnderWayIsWaitedFor) {
  AppendMany(Open().get(), kRecords);
  const std::string swap = directory_ + kFirstLog + ".swap";
  VARVE_ASSERT_OK(memory_.Rename(directory_ + kFirstLog, swap));
  HookedFileSystem hooked(&memory_);
  int opened = 0;
  hooked.before_open = [&](const std::string& path) {
    if (path != swap || ++opened < 2) return;
    VARVE_ASSERT_OK(memory_.Rename(swap, directory_ + kFirstLog));
  };
  VARVE_ASSERT_OK_AND_ASSIGN(const auto files, HeldFiles::OfPartition(&hooked, directory_));
  EXPECT_EQ(opened, 2);
  VARVE_EXPECT_OK(files->Open(directory_ + kFirstLog, OpenMode::kRead));
}

TEST_F(HeldFilesTest, WhatACrashLeftHalfSwappedIsShown) {
  AppendMany(Open().get(), kRecords);
  const std::string swap = directory_ + kFirstLog + ".swap";
  VARVE_ASSERT_OK(memory_.Rename(directory_ + kFirstLog, swap));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto files, HeldFiles::OfPartition(&memory_, directory_));
  VARVE_EXPECT_OK(files->Open(swap, OpenMode::kRead));
}

// The process may have fewer files open than there are: each must be the same when its turn comes.
TEST_F(HeldFilesTest, WhereNotAllCanBeHeldEachMustBeTheSameStill) {
  const auto writer = Open();
  AppendMany(writer.get(), kRecords);
  FaultyFileSystem faulty(&memory_);
  faulty.AddRule({.operation = FileOperation::kOpen, .nth = 5, .status = absl::ResourceExhaustedError("too many")});
  VARVE_ASSERT_OK_AND_ASSIGN(const auto files, HeldFiles::OfPartition(&faulty, directory_));
  EXPECT_EQ(faulty.faults_fired(), 1u);
  ExpectWhole(files.get(), BaseOffsets(*writer), kRecords);
  const int64_t second = BaseOffsets(*writer)[1];
  VARVE_ASSERT_OK(writer->DeleteBefore(second));
  EXPECT_THAT(files->Open(directory_ + kFirstLog, OpenMode::kRead),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("gone or replaced since")));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto another, memory_.Open(directory_ + kFirstLog, OpenMode::kCreate));
  EXPECT_THAT(files->Open(directory_ + kFirstLog, OpenMode::kRead),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("gone or replaced since")));
}

TEST_F(HeldFilesTest, ASingleFileIsHeldToo) {
  AppendMany(Open().get(), 2);
  const std::string path = directory_ + kFirstLog;
  VARVE_ASSERT_OK_AND_ASSIGN(const auto files, HeldFiles::OfFile(&memory_, path));
  VARVE_ASSERT_OK(memory_.Remove(path));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, files->Open("./" + path, OpenMode::kRead));
  std::array<std::byte, 61> header{};
  EXPECT_THAT(file->ReadAt(0, header), testing_support::IsOkAndHolds(header.size()));
  EXPECT_THAT(HeldFiles::OfFile(&memory_, path), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(HeldFilesTest, ANameThatComesLaterIsNotThere) {
  AppendMany(Open().get(), 2);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto files, HeldFiles::OfPartition(&memory_, directory_ + "/"));
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, files->List(directory_));
  const std::string late = directory_ + "/00000000000000000002.log";
  VARVE_ASSERT_OK(memory_.Open(late, OpenMode::kCreate));
  VARVE_ASSERT_OK(memory_.Open("beside", OpenMode::kCreate));
  EXPECT_THAT(files->Open(late, OpenMode::kRead), StatusIs(absl::StatusCode::kNotFound, HasSubstr(late)));
  EXPECT_THAT(files->Info(late), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(files->List(directory_), testing_support::IsOkAndHolds(names));
  VARVE_EXPECT_OK(files->Open("beside", OpenMode::kRead));
  VARVE_EXPECT_OK(files->Info("beside"));
  VARVE_EXPECT_OK(files->List("."));
}

TEST_F(HeldFilesTest, NothingCanBeChanged) {
  AppendMany(Open().get(), 2);
  const std::string path = directory_ + kFirstLog;
  VARVE_ASSERT_OK_AND_ASSIGN(const auto files, HeldFiles::OfPartition(&memory_, directory_));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, files->Open(path, OpenMode::kRead));
  const absl::Status refusals[] = {files->Open(path, OpenMode::kReadWrite).status(),
                                   files->Rename(path, "other"),
                                   files->Remove(path),
                                   files->CreateDirectory("other"),
                                   files->RemoveDirectory(directory_),
                                   files->SyncDirectory(directory_),
                                   files->Lock(path, LockKind::kShared).status(),
                                   file->WriteAt(0, {}),
                                   file->Truncate(0),
                                   file->Allocate(0, 1),
                                   file->SyncData(),
                                   file->Map(1, Access::kReadWrite).status(),
                                   file->CopyPrefixFrom(*file, 1)};
  for (const absl::Status& refusal : refusals) {
    EXPECT_THAT(refusal, StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("for reading only")));
  }
}

// Each operation fails once: it is told, at once or by whoever reads the file.
TEST_F(HeldFilesTest, EveryFailingOperationIsToldOrCostsNothing) {
  const auto writer = Open();
  AppendMany(writer.get(), kRecords);
  uint64_t told = 0;
  for (uint64_t nth = 1;; ++nth) {
    FaultyFileSystem faulty(&memory_);
    faulty.AddRule({.nth = nth, .status = absl::InternalError("injected")});
    const auto files = HeldFiles::OfPartition(&faulty, directory_);
    if (faulty.faults_fired() == 0) break;
    if (files.ok()) {
      ExpectWhole(files->get(), BaseOffsets(*writer), kRecords);
    } else {
      EXPECT_THAT(files, StatusIs(absl::StatusCode::kInternal, HasSubstr("injected")));
      ++told;
    }
  }
  EXPECT_GT(told, 10u);
}

}  // namespace
}  // namespace varve::cli
