// A device that cannot read a small file beside the segments, or a segment that the marks vouch for, stops no opening:
// what the file told is told by the segments, or is reported as lost.
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/bad_sectors.h"
#include "log/live_line.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/verify.h"

namespace varve::internal {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing_support::AppendMany;
using testing_support::ExpectRecords;
using testing_support::FileSystemWithBadSectors;
using testing_support::IsOk;
using testing_support::kDirectory;
using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::ReadFile;
using testing_support::ReadFiles;
using testing_support::StatusIs;
using testing_support::WriteFile;

constexpr int64_t kEnd = 30;

class BadSmallFileTest : public LogTest {
 protected:
  void SetUp() override {
    const std::unique_ptr<Log> log = Open();
    ASSERT_THAT(log->AssignLeaderEpoch(3), IsOk());
    AppendMany(log.get(), kEnd / 2);
    ASSERT_THAT(log->AssignLeaderEpoch(4), IsOk());
    AppendMany(log.get(), kEnd / 2);
    epochs_ = log->leader_epochs();
    ASSERT_EQ(epochs_.size(), 2u);
    ASSERT_GT(log->segments().size(), 3u);
  }

  LogOptions OptionsOn(FileSystem* file_system) const {
    LogOptions options = options_;
    options.file_system = file_system;
    return options;
  }

  std::string NewestSnapshot() {
    std::string newest;
    for (const auto& [name, content] : ReadFiles(&memory_, kDirectory)) {
      if (name.ends_with(".snapshot")) newest = name;
    }
    return newest;
  }

  std::vector<LeaderEpoch> epochs_;
};

// As long as it is the same file, nothing of it can be read.
TEST_F(BadSmallFileTest, StopsNoOpeningAndNoReading) {
  for (const std::string& name : {std::string(PartitionState::kFileName), std::string(LiveLine::kFileName),
                                  std::string("leader-epoch-checkpoint"), NewestSnapshot()}) {
    for (const bool read_only : {false, true}) {
      SCOPED_TRACE(name + (read_only ? " read-only" : ""));
      const std::unique_ptr<MemoryFileSystem> files = memory_.CloneAfterProcessDeath();
      FileSystemWithBadSectors bad(files.get(), std::string(kDirectory) + "/" + name, 0, 1 << 20);
      LogOptions options = OptionsOn(&bad);
      options.read_only = read_only;
      const std::unique_ptr<Log> log = OpenLog(directory_, options);
      ASSERT_NE(log, nullptr);
      ExpectRecords(*log, 0, kEnd);
      EXPECT_EQ(log->leader_epochs(), epochs_);
      if (name == PartitionState::kFileName) {
        EXPECT_THAT(log->recovery_report().findings,
                    Contains(AllOf(Field(&RecoveryFinding::action, RecoveryAction::kIgnored),
                                   Field(&RecoveryFinding::file, PartitionState::kFileName))));
      }
      EXPECT_THAT(log->Close(), IsOk());
      if (read_only) continue;
      // Whatever was not replaced by then is not needed.
      options.file_system = files.get();
      const std::unique_ptr<Log> next = OpenLog(directory_, options);
      ExpectRecords(*next, 0, kEnd);
      EXPECT_TRUE(next->recovery_report().clean);
    }
  }
}

// Bits that rot in both slots are no crash's doing: what they told is not forgotten without a word.
TEST_F(BadSmallFileTest, AStateOfRottenBitsIsReported) {
  const std::string path = std::string(kDirectory) + "/varve.state";
  std::string state = ReadFile(&memory_, path);
  ASSERT_EQ(state.size(), 1024u);
  state[100] = static_cast<char>(state[100] ^ 1);
  state[700] = static_cast<char>(state[700] ^ 1);
  WriteFile(&memory_, path, state);
  const auto told = Contains(AllOf(Field(&RecoveryFinding::action, RecoveryAction::kIgnored),
                                   Field(&RecoveryFinding::file, "varve.state"),
                                   Field(&RecoveryFinding::evidence, HasSubstr("what they told is lost"))));
  VARVE_ASSERT_OK_AND_ASSIGN(const VerifyReport verified, Verify(&memory_, kDirectory));
  EXPECT_THAT(verified.notes, Contains(HasSubstr("what they told is lost")));
  {
    const std::unique_ptr<Log> log = Open();
    EXPECT_THAT(log->recovery_report().findings, told);
    ExpectRecords(*log, 0, kEnd);
  }
  EXPECT_THAT(Open()->recovery_report().findings, Not(told));
}

// Nobody knows any more what was durable: damage is kept, as below the durable point, and costs nothing behind it.
TEST_F(BadSmallFileTest, AStateThatIsLostCostsNoGoodBatchBehindDamage) {
  WriteFile(&memory_, std::string(kDirectory) + "/varve.state", std::string(1024, 'x'));
  const std::string first_log = std::string(kDirectory) + "/00000000000000000000.log";
  std::string damaged = ReadFile(&memory_, first_log);
  damaged[75] = static_cast<char>(damaged[75] ^ 1);
  WriteFile(&memory_, first_log, damaged);
  const std::unique_ptr<Log> log = Open();
  EXPECT_EQ(log->log_end_offset(), kEnd);
  EXPECT_THAT(log->damage(), ElementsAre(Field(&DamagedRange::last_offset, 0)));
  ExpectRecords(*log, 1, kEnd);
}

TEST_F(BadSmallFileTest, AStateThatWasNeverStoredIsNoFinding) {
  WriteFile(&memory_, std::string(kDirectory) + "/varve.state", std::string(1024, '\0'));
  const std::unique_ptr<Log> log = Open();
  for (const RecoveryFinding& finding : log->recovery_report().findings) {
    EXPECT_NE(finding.action, RecoveryAction::kIgnored) << finding.ToString();
  }
}

// Segments that are believed unread are walked only to bring producers or epochs up to date. What the device cannot
// read there, or a magic that was flipped, ends the walk; a message of magic 0 with its own checksum still refuses.
TEST_F(BadSmallFileTest, AWalkOverABelievedSegmentEndsAtWhatItCannotRead) {
  const std::string first_log = std::string(kDirectory) + "/00000000000000000000.log";
  const std::string snapshot = std::string(kDirectory) + "/" + NewestSnapshot();
  for (const auto& [name, content] : ReadFiles(&memory_, kDirectory)) {
    const std::string path = std::string(kDirectory) + "/" + name;
    if (name.ends_with(".snapshot") && path != snapshot) {
      ASSERT_THAT(memory_.Remove(path), IsOk());
    }
  }
  for (const std::string& unusable : {snapshot, std::string(kDirectory) + "/leader-epoch-checkpoint"}) {
    const std::unique_ptr<MemoryFileSystem> files = memory_.CloneAfterProcessDeath();
    WriteFile(files.get(), unusable, "no such thing");
    {
      const std::unique_ptr<MemoryFileSystem> copy = files->CloneAfterProcessDeath();
      FaultyFileSystem faulty(copy.get());
      faulty.AddRule({.operation = FileOperation::kRead, .path_part = first_log, .for_ever = true});
      EXPECT_THAT(Log::Open(directory_, OptionsOn(&faulty)), IsOk());
      EXPECT_GT(faulty.faults_fired(), 0u);
    }
    for (const char magic : {'\0', '\1'}) {
      const std::unique_ptr<MemoryFileSystem> copy = files->CloneAfterProcessDeath();
      std::string log = ReadFile(copy.get(), first_log);
      log[16] = magic;
      WriteFile(copy.get(), first_log, log);
      EXPECT_THAT(Log::Open(directory_, OptionsOn(copy.get())), IsOk());
    }
  }
}

}  // namespace
}  // namespace varve::internal
