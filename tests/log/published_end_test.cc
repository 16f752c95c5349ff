// What a process that died had published, as its live line tells: to the next opening, where the page cache survived,
// it is as good as durable. Nothing of it is taken for an append that was cut short.
#include <cstdint>
#include <memory>
#include <string>

#include "log/live_line.h"
#include "log/log_loader.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::internal {
namespace {

using testing_support::AppendMany;
using testing_support::ExpectRecords;
using testing_support::IsOk;
using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::ReadFile;
using testing_support::StatusIs;

constexpr int64_t kEnd = 10;
constexpr char kLog[] = "orders-0/00000000000000000000.log";

// Records that are written and not synced; then the process dies, and some bytes of the last batch go.
class PublishedEndTest : public LogTest {
 protected:
  void SetUp() override {
    options_.io_mode = IoMode::kWrite;
    options_.segment_bytes = 1 << 20;
    const std::unique_ptr<Log> log = Open();
    AppendMany(log.get(), kEnd);
    ASSERT_LT(log->durable_offset(), kEnd);
    dead_ = memory_.CloneAfterProcessDeath();
    options_.file_system = dead_.get();
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file, dead_->Open(kLog, OpenMode::kReadWrite));
    VARVE_ASSERT_OK_AND_ASSIGN(const uint64_t size_bytes, file->Size());
    VARVE_ASSERT_OK(file->Truncate(size_bytes - 10));
    left_ = ReadFile(dead_.get(), kLog);
  }

  // The last batch is known to be lost, and what is left of it is kept.
  void ExpectLastIsDamage() {
    const std::unique_ptr<Log> log = Open();
    ASSERT_NE(log, nullptr);
    EXPECT_EQ(log->log_end_offset(), kEnd);
    ASSERT_EQ(log->damage().size(), 1u);
    EXPECT_EQ(log->damage()[0].first_offset, kEnd - 1);
    EXPECT_EQ(log->damage()[0].last_offset, kEnd - 1);
    EXPECT_EQ(log->recovery_report().bytes_cut, 0);
    EXPECT_EQ(ReadFile(dead_.get(), kLog), left_);
  }

  std::unique_ptr<MemoryFileSystem> dead_;
  std::string left_;
};

TEST_F(PublishedEndTest, ALastBatchCutShortIsDamageAndNoTornTail) { ExpectLastIsDamage(); }

// Without the line nobody knows that the batch was published.
TEST_F(PublishedEndTest, WithoutTheLineItIsATornTail) {
  VARVE_ASSERT_OK(dead_->Remove("orders-0/varve.live"));
  const std::unique_ptr<Log> log = Open();
  ASSERT_NE(log, nullptr);
  ExpectRecords(*log, 0, kEnd - 1);
  EXPECT_TRUE(log->damage().empty());
}

// The line has no checksum: it moves no batch, and makes up no lost one.
class WrongLineTest : public LogTest {};

TEST_F(WrongLineTest, MovesNothingAndLosesNothing) {
  constexpr uint64_t kActiveBase = 16;
  constexpr uint64_t kEndPosition = 24;
  constexpr uint64_t kEndOffset = 32;
  options_.segment_bytes = 1 << 16;
  for (const IoMode io_mode : {IoMode::kMapped, IoMode::kWrite}) {
    MemoryFileSystem fresh;
    options_.file_system = &fresh;
    options_.io_mode = io_mode;
    const std::unique_ptr<Log> log = Open();
    AppendMany(log.get(), kEnd);
    for (const uint64_t word : {kActiveBase, kEndPosition, kEndOffset}) {
      for (uint64_t bit = 0; bit < 64; ++bit) {
        SCOPED_TRACE(testing::Message() << "word at " << word << ", bit " << bit);
        const auto dead = fresh.CloneAfterProcessDeath();
        VARVE_ASSERT_OK_AND_ASSIGN(const auto line, dead->Open("orders-0/varve.live", OpenMode::kReadWrite));
        std::byte byte{};
        VARVE_ASSERT_OK(line->ReadAt(word + bit / 8, {&byte, 1}));
        byte ^= std::byte{1} << bit % 8;
        VARVE_ASSERT_OK(line->WriteAt(word + bit / 8, {&byte, 1}));
        LogOptions options = options_;
        options.file_system = dead.get();
        const std::unique_ptr<Log> found = OpenLog(directory_, options);
        ASSERT_NE(found, nullptr);
        ASSERT_EQ(found->log_end_offset(), kEnd);
        ASSERT_TRUE(found->damage().empty());
        ASSERT_NO_FATAL_FAILURE(ExpectRecords(*found, 0, kEnd));
      }
    }
  }
}

// A process without a descriptor to spare must not judge as if there were no line.
TEST_F(PublishedEndTest, ALineThatCannotBeOpenedNowIsAnError) {
  for (const FileOperation operation : {FileOperation::kOpen, FileOperation::kInfo, FileOperation::kMap}) {
    for (const auto code : {absl::StatusCode::kResourceExhausted, absl::StatusCode::kPermissionDenied}) {
      FaultyFileSystem faulty(dead_.get());
      faulty.AddRule({.operation = operation,
                      .path_part = LiveLine::kFileName,
                      .for_ever = true,
                      .status = absl::Status(code, "not now")});
      EXPECT_THAT(LoadLog(&faulty, directory_, options_), StatusIs(code));
      EXPECT_EQ(ReadFile(dead_.get(), kLog), left_);
    }
  }
  ExpectLastIsDamage();
}

}  // namespace
}  // namespace varve::internal
