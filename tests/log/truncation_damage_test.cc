// Truncation of a log that is damaged, or that has deleted a prefix: what is not asked for stays.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/path.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "segment/segment_files.h"
#include "varve/log_reader.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/verify.h"

namespace varve {
namespace {

using internal::AsBytes;
using internal::JoinPath;
using internal::PartitionState;
using internal::PendingOperation;
using internal::SegmentFileKind;
using internal::SegmentFileName;
using testing_support::AppendMany;
using testing_support::AppendNext;
using testing_support::ExpectRecords;
using testing_support::kPartition;
using testing_support::LegacyMessage;
using testing_support::OpenLog;
using testing_support::ReadFile;
using testing_support::StatusIs;
using testing_support::ValueAt;

constexpr int64_t kRecords = 70;
constexpr int64_t kHeaderBytes = 61;

class TruncationDamageTest : public testing_support::LogTest {
 protected:
  TruncationDamageTest() {
    options_.io_mode = IoMode::kWrite;
    options_.segment_bytes = 2048;  // some twenty batches, an index entry for every second
  }

  // A closed log of kRecords records. Tells where each batch lies.
  void WriteLog() {
    const auto log = Open();
    AppendMany(log.get(), kRecords);
    for (int64_t offset = 0; offset < kRecords; ++offset) {
      VARVE_ASSERT_OK_AND_ASSIGN(const auto found, log->NewReader().Find(offset, Isolation::kLogEnd));
      positions_.push_back(found->position);
    }
    for (const LogSegmentInfo& segment : log->segments()) bases_.push_back(segment.base_offset);
    ASSERT_GE(bases_.size(), 3u);
    VARVE_ASSERT_OK(log->Close());
  }

  std::string LogPath(int64_t offset) const {
    int64_t base = 0;
    for (const int64_t candidate : bases_) base = candidate <= offset ? candidate : base;
    return JoinPath(directory_, SegmentFileName(base, SegmentFileKind::kLog));
  }

  // Writes over the batch at `offset`, from its byte `from` on.
  void WriteOver(int64_t offset, int64_t from, const std::string& bytes) {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file, memory_.Open(LogPath(offset), OpenMode::kReadWrite));
    VARVE_ASSERT_OK(
        file->WriteAt(static_cast<uint64_t>(positions_.at(static_cast<size_t>(offset)) + from), AsBytes(bytes)));
    VARVE_ASSERT_OK(file->SyncData());
  }

  // The offsets in [0, kRecords) that are served, with their right value.
  static std::vector<int64_t> Served(const Log& log) {
    std::vector<int64_t> served;
    for (int64_t offset = 0; offset < kRecords; ++offset) {
      const auto batch = log.NewReader().ReadBatch(offset, Isolation::kLogEnd);
      if (!batch.ok() || !batch->has_value() || (*batch)->base_offset() != offset) continue;
      DecodeBuffer scratch;
      RecordCursor cursor(**batch, &scratch);
      RecordView record;
      if (cursor.Next(&record) && record.value() == ValueAt(offset)) served.push_back(offset);
    }
    return served;
  }

  static std::vector<int64_t> Offsets(int64_t from, int64_t to, std::optional<int64_t> without = std::nullopt) {
    std::vector<int64_t> offsets;
    for (int64_t offset = from; offset < to; ++offset) {
      if (offset != without) offsets.push_back(offset);
    }
    return offsets;
  }

  bool HasCutFile() {
    const auto names = memory_.List(directory_);
    EXPECT_TRUE(names.ok());
    return std::any_of(names->begin(), names->end(), [](const auto& name) { return name.starts_with("varve.cut-"); });
  }

  std::vector<int64_t> positions_;
  std::vector<int64_t> bases_;
};

TEST_F(TruncationDamageTest, DeletedRecordsDoNotComeBack) {
  for (const bool from_closed : {false, true}) {
    directory_ = from_closed ? "closed-0" : "open-0";
    auto log = Open();
    AppendMany(log.get(), kRecords);
    VARVE_ASSERT_OK(log->DeleteBefore(30));
    ASSERT_LT(log->segments().front().base_offset, 30);
    if (from_closed) {
      VARVE_ASSERT_OK(log->Close());
      log = Open();
    }
    VARVE_ASSERT_OK(log->TruncateTo(60));
    EXPECT_EQ(log->log_start_offset(), 30);
    ExpectRecords(*log, 30, 60);
    VARVE_ASSERT_OK(log->Close());
    log = Open();
    EXPECT_EQ(log->log_start_offset(), 30);
    ExpectRecords(*log, 30, 60);
  }
}

TEST_F(TruncationDamageTest, ReadsTheSegmentThatIsCutAndNoOther) {
  WriteLog();
  FaultyFileSystem watched(&memory_);
  options_.file_system = &watched;
  int64_t progress_calls = 0;
  options_.recover_all = true;
  options_.recovery_progress = [&](int64_t, int64_t) { ++progress_calls; };
  std::set<std::string> read;  // by the log's end, too
  const auto log = Open();
  ASSERT_EQ(progress_calls, static_cast<int64_t>(bases_.size()));
  watched.SetObserver([&](const FileCall& call) {
    const bool reads = call.operation == FileOperation::kRead || call.operation == FileOperation::kMap;
    if (reads && call.path.ends_with(".log")) read.emplace(call.path);
  });
  VARVE_ASSERT_OK(log->TruncateTo(kRecords - 2));
  EXPECT_THAT(read, ::testing::ElementsAre(LogPath(kRecords - 3)));
  EXPECT_EQ(progress_calls, static_cast<int64_t>(bases_.size()));
  EXPECT_EQ(log->durable_offset(), kRecords - 2);
}

// It is about the opening: what that found is asked for when the log has been used for long.
TEST_F(TruncationDamageTest, TheReportOfTheOpeningStays) {
  WriteLog();
  const std::string path = JoinPath(directory_, "varve.report");
  {
    const auto log = Open();
    VARVE_ASSERT_OK(log->TruncateTo(kRecords - 1));
    EXPECT_THAT(memory_.Info(path), StatusIs(absl::StatusCode::kNotFound)) << "there was nothing to report";
    VARVE_ASSERT_OK(log->Close());
  }
  WriteOver(5, kHeaderBytes + 8, "X");
  options_.recover_all = true;
  const auto log = Open();
  const std::string report = ReadFile(&memory_, path);
  ASSERT_THAT(report, ::testing::HasSubstr("checksum"));
  VARVE_ASSERT_OK(log->TruncateTo(40));
  EXPECT_EQ(ReadFile(&memory_, path), report);
  VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(100));
  EXPECT_EQ(ReadFile(&memory_, path), report);
}

TEST_F(TruncationDamageTest, DamageInASegmentThatStaysCostsItsBatchOnly) {
  WriteLog();
  WriteOver(5, kHeaderBytes + 8, "X");
  for (const bool known : {false, true}) {
    const auto disk = memory_.CloneAfterProcessDeath();
    options_.file_system = disk.get();
    options_.recover_all = known;
    {
      const auto log = Open();
      VARVE_ASSERT_OK(log->TruncateTo(60));
      EXPECT_EQ(log->log_end_offset(), 60);
      EXPECT_EQ(log->durable_offset(), 60);
      AppendNext(log.get());
      VARVE_ASSERT_OK(log->Close());
    }
    options_.recover_all = true;
    const auto log = Open();
    EXPECT_EQ(Served(*log), Offsets(0, 61, 5));
    ASSERT_EQ(log->damage().size(), 1u);
    EXPECT_EQ(log->damage()[0].first_offset, 5);
  }
}

TEST_F(TruncationDamageTest, GoodRecordsBetweenDamageAndTheTargetStay) {
  options_.segment_bytes = 1 << 20;
  const auto whole = Open();
  AppendMany(whole.get(), kRecords);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto found, whole->NewReader().Find(5, Isolation::kLogEnd));
  VARVE_ASSERT_OK(whole->Close());
  positions_.assign(6, found->position);
  WriteOver(5, 0, std::string(kHeaderBytes, '\0'));
  options_.recover_all = true;
  for (const int64_t target : {6, 7, 33, 60}) {
    SCOPED_TRACE(target);
    const auto disk = memory_.CloneAfterProcessDeath();
    options_.file_system = disk.get();
    for (int opening = 0; opening < 2; ++opening) {
      const auto log = Open();
      if (opening == 0) {
        VARVE_ASSERT_OK(log->TruncateTo(target));
      }
      EXPECT_EQ(log->log_end_offset(), target);
      EXPECT_EQ(log->durable_offset(), target);
      EXPECT_EQ(Served(*log), Offsets(0, target, 5));
      ASSERT_EQ(log->damage().size(), 1u);
      EXPECT_EQ(log->damage()[0].first_offset, 5);
      EXPECT_EQ(log->damage()[0].last_offset, 5);
    }
  }
}

TEST_F(TruncationDamageTest, ToTheFirstDamagedOffsetTheDamageGoes) {
  WriteLog();
  WriteOver(5, kHeaderBytes + 8, "X");
  options_.recover_all = true;
  const auto log = Open();
  ASSERT_EQ(log->damage().size(), 1u);
  VARVE_ASSERT_OK(log->TruncateTo(5));
  EXPECT_TRUE(log->damage().empty());
  ExpectRecords(*log, 0, 5);
  AppendMany(log.get(), 3);
  ExpectRecords(*log, 0, 8);
}

// A damaged range of several offsets: no cut inside it can be proved.
TEST_F(TruncationDamageTest, InsideADamagedRangeIsRefusedBeforeAnythingIsAnnounced) {
  WriteLog();
  const int64_t size_bytes = positions_[7] - positions_[5];
  WriteOver(5, 0, std::string(static_cast<size_t>(size_bytes), '\0'));
  options_.recover_all = true;
  const auto log = Open();
  ASSERT_EQ(log->damage().size(), 1u);
  ASSERT_EQ(log->damage()[0].first_offset, 5);
  ASSERT_GE(log->damage()[0].last_offset, 6);
  EXPECT_THAT(log->TruncateTo(6), StatusIs(absl::StatusCode::kDataLoss));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Peek(&memory_, directory_));
  EXPECT_EQ(state->pending, PendingOperation::kNone);
  AppendMany(log.get(), 1);
  EXPECT_EQ(log->log_end_offset(), kRecords + 1);
}

// Damage that nobody has met yet, in the way of a truncation.
TEST_F(TruncationDamageTest, AFlippedMagicIsNoMessageOfAnOldFormat) {
  for (const int64_t target : {4, 40}) {
    for (const int bit : {2, 3}) {
      SCOPED_TRACE(::testing::Message() << target << ", magic " << (bit == 2 ? 0 : 1));
      directory_ = "orders-" + std::to_string(target * 10 + bit);
      positions_.clear();
      bases_.clear();
      WriteLog();
      WriteOver(3, 16, std::string(1, static_cast<char>(bit == 2 ? 0 : 1)));
      {
        const auto log = Open();
        VARVE_ASSERT_OK(log->TruncateTo(target));
      }
      options_.recover_all = true;
      const auto log = Open();
      options_.recover_all = false;
      ASSERT_NE(log, nullptr);
      EXPECT_EQ(Served(*log), Offsets(0, target));
    }
  }
}

// Believed unread after a clean stop; a truncation would make the log read it and refuse to open for ever.
TEST_F(TruncationDamageTest, AMessageOfAnOldFormatIsFoundBeforeAnythingIsAnnounced) {
  WriteLog();
  const int64_t second = bases_[1];
  const auto index = static_cast<size_t>(second);
  const auto size_bytes = static_cast<size_t>(positions_[index + 1] - positions_[index]);
  const size_t overhead = LegacyMessage(1, second, "").size();
  WriteOver(second, 0, LegacyMessage(1, second, std::string(size_bytes - overhead, 'v')));
  const auto log = Open();
  EXPECT_THAT(log->TruncateTo(second + 9), StatusIs(absl::StatusCode::kUnimplemented));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Peek(&memory_, directory_));
  EXPECT_EQ(state->pending, PendingOperation::kNone);
  AppendMany(log.get(), 1);
  VARVE_ASSERT_OK(log->Close());
  EXPECT_EQ(Open()->log_end_offset(), kRecords + 1);
}

// To be judged, a segment that does not hold what its index says is read: short of memory that is put off, and nothing is
// announced.
TEST_F(TruncationDamageTest, AReadThatCannotBeDoneIsToldOfBeforeAnythingIsAnnounced) {
  WriteLog();
  const int64_t base = bases_[1];
  const int64_t damaged = base + 3;
  WriteOver(damaged, 16, std::string(1, '\x7f'));
  const std::string path = LogPath(damaged);
  for (const int64_t target : {damaged + 1, damaged + 2, damaged + 3, damaged + 4}) {
    SCOPED_TRACE(target);
    bool announced = false;
    for (uint64_t nth = 1; !announced; ++nth) {
      const auto disk = memory_.CloneAfterProcessDeath();
      FaultyFileSystem faulty(disk.get());
      options_.file_system = &faulty;
      const auto log = Open();
      faulty.SetObserver([&](const FileCall& call) {
        announced |= call.operation == FileOperation::kWrite && call.path.ends_with(PartitionState::kFileName);
      });
      const size_t rule = faulty.AddRule({.operation = FileOperation::kRead,
                                          .path_part = path,
                                          .nth = nth,
                                          .status = absl::ResourceExhaustedError("no memory")});
      const absl::Status truncated = log->TruncateTo(target);
      if (announced) continue;
      ASSERT_EQ(faulty.faults_fired(rule), 1u);
      ASSERT_THAT(truncated, StatusIs(absl::StatusCode::kResourceExhausted)) << "read " << nth;
      EXPECT_EQ(log->log_end_offset(), kRecords);
      VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Peek(disk.get(), directory_));
      EXPECT_EQ(state->pending, PendingOperation::kNone);
      VARVE_ASSERT_OK(log->TruncateTo(target));
      EXPECT_EQ(log->log_end_offset(), target);
      EXPECT_EQ(Served(*log), Offsets(0, target)) << "mended on the way";
    }
  }
}

// What this process has appended nobody judges: no cut behind damage there can be proved.
TEST_F(TruncationDamageTest, BehindDamageInWhatWasAppendedSinceItIsRefusedBeforeAnythingIsAnnounced) {
  options_.segment_bytes = 1 << 20;
  const auto log = Open();
  AppendMany(log.get(), kRecords);
  constexpr int64_t kDamaged = 40;
  VARVE_ASSERT_OK_AND_ASSIGN(const auto found, log->NewReader().Find(kDamaged, Isolation::kLogEnd));
  bases_ = {0};
  positions_.assign(kDamaged + 1, found->position);
  WriteOver(kDamaged, 16, std::string(1, '\x7f'));
  for (const int64_t target : {kDamaged + 1, kDamaged + 2}) {
    EXPECT_THAT(log->TruncateTo(target), StatusIs(absl::StatusCode::kDataLoss,
                                                  ::testing::HasSubstr("position " + std::to_string(found->position))))
        << target;
    EXPECT_EQ(log->log_end_offset(), kRecords);
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Peek(&memory_, directory_));
  EXPECT_EQ(state->pending, PendingOperation::kNone);
  VARVE_ASSERT_OK(log->TruncateTo(kDamaged - 1));
  ExpectRecords(*log, 0, kDamaged - 1);
}

TEST_F(TruncationDamageTest, AGapBeforeTheTargetIsNoDamage) {
  const auto source = OpenLog("source-0", options_);
  AppendMany(source.get(), kRecords);
  const auto log = Open();
  for (int64_t offset = 0; offset < kRecords; ++offset) {
    if (offset >= 20 && offset < 25) continue;
    VARVE_ASSERT_OK_AND_ASSIGN(const auto batch, source->NewReader().ReadBatch(offset, Isolation::kLogEnd));
    VARVE_ASSERT_OK(log->AppendAsFollower(batch->bytes(), 0).status());
  }
  for (const int64_t target : {60, 25, 24, 20}) {
    SCOPED_TRACE(target);
    const auto disk = memory_.CloneAfterProcessDeath();
    options_.file_system = disk.get();
    for (int opening = 0; opening < 2; ++opening) {
      const auto copy = Open();
      if (opening == 0) {
        VARVE_ASSERT_OK(copy->TruncateTo(target));
      }
      EXPECT_TRUE(copy->damage().empty());
      EXPECT_EQ(copy->log_end_offset(), target > 25 ? target : 20);
      std::vector<int64_t> expected = Offsets(0, 20);
      for (int64_t offset = 25; offset < target; ++offset) expected.push_back(offset);
      EXPECT_EQ(Served(*copy), expected);
      EXPECT_FALSE(HasCutFile());
    }
  }
}

TEST_F(TruncationDamageTest, AFreshStartForgetsTheLeaderEpochs) {
  for (const int64_t start : {0, 5, 100}) {
    const auto log = Open();
    VARVE_ASSERT_OK(log->AssignLeaderEpoch(3));
    AppendMany(log.get(), 10);
    ASSERT_FALSE(log->leader_epochs().empty());
    VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(start));
    EXPECT_TRUE(log->leader_epochs().empty()) << start;
    VARVE_ASSERT_OK(log->Close());
    EXPECT_TRUE(Open()->leader_epochs().empty()) << start;
  }
}

}  // namespace
}  // namespace varve
