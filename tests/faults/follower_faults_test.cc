// A log opened read-only beside a writer, and where nobody writes any more: each call that it makes of its file system
// fails in its turn. Whatever it answers, its readers get what the writer had put there at the last Refresh that
// succeeded, or an error; it changes nothing; and once nothing fails any more, one Refresh has all.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "faults/fault_share.h"
#include "gtest/gtest.h"
#include "log/log_places.h"
#include "model/possible_log.h"
#include "support/fault_runs.h"
#include "support/status_matchers.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::testing_support {
namespace {

constexpr int64_t kNowMs = 1'700'000'000'000;

class FollowedLog {
 public:
  FollowedLog(FaultInjector* faults, const LogOptions& options, ManualClock* clock)
      : faults_(faults), options_(options), clock_(clock) {
    options_.file_system = faults->disk();
  }

  // The writer's calls never fail.
  void OpenWriter() {
    VARVE_ASSERT_OK_AND_ASSIGN(writer_, Log::Open(kPartition, options_));
    Note();
  }
  void Write(const std::function<absl::Status(Log*)>& operation) {
    ASSERT_NE(writer_, nullptr);
    VARVE_ASSERT_OK(operation(writer_.get()));
    Note();
  }
  void Append(int64_t count, std::optional<int32_t> leader_epoch = std::nullopt) {
    for (int64_t number = 0; number < count; ++number) {
      const int32_t last_sequence = producers_.empty() ? -1 : producers_.front().last_sequence();
      const ProducerStamp stamp{.producer_id = 7, .producer_epoch = 0, .base_sequence = last_sequence + 1};
      Write([&](Log* log) {
        const int64_t offset = log->log_end_offset();
        const std::string key = "key " + std::to_string(offset % 3);
        const std::string value = ValueAt(offset);
        return log
            ->Append({{.key = key, .value = value, .timestamp_ms = kNowMs + offset}},
                     {.leader_epoch = leader_epoch, .producer = stamp})
            .status();
      });
    }
  }
  void CloseWriter() {
    VARVE_ASSERT_OK(writer_->Close());
    writer_.reset();
    is_taken_in_ = false;
  }

  // The follower, each of whose calls may fail. Nothing happens while it is not open.
  void Open() {
    LogOptions options = options_;
    options.file_system = faults_->file_system();
    options.read_only = true;
    absl::StatusOr<std::unique_ptr<Log>> opened = Log::Open(kPartition, options);
    if (Judge("open", opened.status())) follower_ = *std::move(opened);
    CheckReaders();
  }
  // It looks at the writer's lock once in a while, and at every other call here.
  void Refresh() {
    if (follower_ == nullptr) return;
    if (++refreshes_ % 2 == 0) clock_->AdvanceMs(10);
    Judge("refresh", follower_->Refresh());
    CheckReaders();
  }
  // Until it has all that the writer has written.
  void Wait() {
    if (follower_ == nullptr) return;
    Judge("wait", follower_->WaitForData(end_of_written_ - 1, std::chrono::seconds(10)));
    CheckReaders();
  }

  // The workload is over, and nothing fails any more.
  void CheckWhatIsLeft() {
    const FaultOutcome outcome = faults_->outcome();
    for (const FileOperation change :
         {FileOperation::kWrite, FileOperation::kTruncate, FileOperation::kAllocate, FileOperation::kSync,
          FileOperation::kCopy, FileOperation::kRename, FileOperation::kRemove, FileOperation::kCreateDirectory,
          FileOperation::kSyncDirectory}) {
      EXPECT_EQ(outcome.calls[static_cast<size_t>(change)], 0u) << static_cast<int>(change);
    }
    faults_->End();
    if (follower_ == nullptr) {
      Open();
    } else {
      Refresh();
    }
    ASSERT_NE(follower_, nullptr);
    EXPECT_TRUE(is_taken_in_ && is_undisturbed_);
    EXPECT_TRUE(follower_->damage().empty());
    if (writer_ != nullptr) {
      VARVE_ASSERT_OK(writer_->Append({{.key = "k", .value = "after all"}}));
      Note();
      Refresh();
      EXPECT_TRUE(is_taken_in_);
    }
    follower_.reset();
    writer_.reset();
    MemoryFileSystem* const disk = faults_->disk();
    EXPECT_EQ(disk->used_bytes(), disk->CloneAfterProcessDeath()->used_bytes()) << "a file was never closed";
  }

  [[nodiscard]] const LogOptions& options() const { return options_; }
  [[nodiscard]] const FoundLog& written() const { return written_; }
  // What the writer of another disk has left on this one.
  void GoesOnFrom(const FoundLog& written) {
    written_ = written;
    end_of_written_ = written.offsets.log_end_offset;
  }

 private:
  // What the writer has, which the follower may not know yet.
  void Note() {
    VARVE_ASSERT_OK_AND_ASSIGN(written_, FoundLog::Of(*writer_));
    producers_ = writer_->producers();
    end_of_written_ = written_.offsets.log_end_offset;
    is_taken_in_ = false;
  }

  bool Judge(const char* operation, const absl::Status& status) {
    if (status.ok()) {
      taken_in_ = written_;
      is_taken_in_ = true;
      is_undisturbed_ = faults_->fired() == fired_before_;
      return true;
    }
    EXPECT_GT(faults_->fired(), fired_before_) << operation << ": " << status;
    fired_before_ = faults_->fired();
    return false;
  }

  void CheckReaders() {
    if (follower_ == nullptr) return;
    const absl::StatusOr<FoundLog> found = FoundLog::Of(*follower_);
    const uint64_t fired = faults_->fired();
    if (!found.ok()) {
      const bool files_went = !is_taken_in_ && absl::IsAborted(found.status());
      // What could not be read when nobody wrote counts as damage until the next Refresh.
      const bool damaged = fired > 0 && absl::IsDataLoss(found.status()) && !follower_->damage().empty();
      EXPECT_TRUE(files_went || damaged || fired > fired_before_) << found.status();
    } else {
      EXPECT_EQ(found->records, taken_in_.records);
      EXPECT_EQ(found->offsets.log_start_offset, taken_in_.offsets.log_start_offset);
      EXPECT_EQ(found->offsets.log_end_offset, taken_in_.offsets.log_end_offset);
      // They are made anew from what can be read of the batches where their file cannot be read.
      EXPECT_TRUE(found->epochs == taken_in_.epochs || !is_undisturbed_);
    }
    const std::vector<ProducerStateEntry> producers = follower_->producers();
    if (!is_taken_in_ || writer_ == nullptr) {
      // Nobody knows.
    } else if (faults_->fired() > fired_before_) {
      ExpectAtMostWritten(producers);  // what could not be read is passed over
    } else {
      ASSERT_EQ(producers.size(), producers_.size());
      for (size_t index = 0; index < producers.size(); ++index) {
        EXPECT_EQ(producers[index].last_sequence(), producers_[index].last_sequence());
        EXPECT_EQ(producers[index].last_offset(), producers_[index].last_offset());
      }
    }
    fired_before_ = faults_->fired();
  }

  void ExpectAtMostWritten(const std::vector<ProducerStateEntry>& producers) const {
    for (const ProducerStateEntry& producer : producers) {
      const auto is_same = [&](const ProducerStateEntry& other) { return other.producer_id == producer.producer_id; };
      const auto written = std::ranges::find_if(producers_, is_same);
      if (written == producers_.end()) continue;
      EXPECT_LE(producer.last_offset(), written->last_offset());
    }
  }

  FaultInjector* faults_;
  LogOptions options_;
  ManualClock* const clock_;
  int64_t refreshes_ = 0;
  std::unique_ptr<Log> writer_;
  std::unique_ptr<Log> follower_;
  FoundLog written_;   // of the writer now
  FoundLog taken_in_;  // of the writer when a Refresh succeeded last
  std::vector<ProducerStateEntry> producers_;
  int64_t end_of_written_ = 0;
  bool is_taken_in_ = false;     // nothing has been written since
  bool is_undisturbed_ = false;  // nothing failed meanwhile
  uint64_t fired_before_ = 0;
};

struct Workload {
  const char* name;
  std::function<void(FollowedLog*)> prepare;  // nothing fails yet
  std::function<void(FollowedLog*)> act;
  bool writer_died = false;  // when it had prepared

  friend std::ostream& operator<<(std::ostream& out, const Workload& workload) { return out << workload.name; }
};

void OpenAndFill(FollowedLog* log) {
  log->OpenWriter();
  log->Append(14);
}

absl::Status Compact(Log* log) { return log->Compact({.force = true}).status(); }

std::vector<Workload> Workloads() {
  return {
      {.name = "AppendsAndRolls",
       .prepare = OpenAndFill,
       .act =
           [](FollowedLog* log) {
             log->Open();
             for (int32_t round = 0; round < 4; ++round) {
               log->Append(3, 2 + round);
               log->Refresh();
             }
             log->Write([](Log* writer) { return writer->Roll(); });
             log->Append(1);
             log->Wait();
           }},
      {.name = "Truncations",
       .prepare = OpenAndFill,
       .act =
           [](FollowedLog* log) {
             log->Open();
             log->Write([](Log* writer) { return writer->TruncateTo(12); });
             log->Refresh();
             log->Append(2, 3);
             log->Write([](Log* writer) { return writer->TruncateTo(4); });
             log->Refresh();
             log->Write([](Log* writer) { return writer->TruncateFullyAndStartAt(100); });
             log->Refresh();
             log->Append(2, 4);
             log->Refresh();
           }},
      {.name = "DeletionAndCompaction",
       .prepare = OpenAndFill,
       .act =
           [](FollowedLog* log) {
             log->Open();
             log->Write([](Log* writer) { return writer->DeleteBefore(6); });
             log->Refresh();
             log->Append(6);
             log->Write(Compact);
             log->Refresh();
           }},
      {.name = "WriterStopsAndComesBack",
       .prepare = OpenAndFill,
       .act =
           [](FollowedLog* log) {
             log->Open();
             log->CloseWriter();
             log->Refresh();
             log->OpenWriter();
             log->Append(2);
             log->Refresh();
             log->CloseWriter();
             log->Refresh();
           }},
      {.name = "WriterDied",
       .prepare = OpenAndFill,
       .act =
           [](FollowedLog* log) {
             log->Open();
             log->Refresh();
           },
       .writer_died = true},
  };
}

FaultOutcome RunFollowed(const Workload& workload, IoMode io_mode, const FaultPlan& plan) {
  ManualClock clock(kNowMs, 1'000'000'000'000);
  LogOptions options = TinyOptions(nullptr, &clock, io_mode);
  options.cleanup_policy = CleanupPolicy::kCompactAndDelete;
  options.file_delete_delay_ms = 0;
  MemoryFileSystem disk;
  FaultInjector faults(&disk, plan);
  FollowedLog log(&faults, options, &clock);
  workload.prepare(&log);
  if (!workload.writer_died) {
    faults.Begin();
    workload.act(&log);
    log.CheckWhatIsLeft();
    return faults.outcome();
  }
  const auto left = disk.CloneAfterProcessDeath();
  FaultInjector faults_then(left.get(), plan);
  FollowedLog followed(&faults_then, options, &clock);
  followed.GoesOnFrom(log.written());
  faults_then.Begin();
  workload.act(&followed);
  followed.CheckWhatIsLeft();
  return faults_then.outcome();
}

class FollowerFaultsTest : public ::testing::TestWithParam<std::tuple<Workload, IoMode>> {};
INSTANTIATE_TEST_SUITE_P(, FollowerFaultsTest,
                         ::testing::Combine(::testing::ValuesIn(Workloads()),
                                            ::testing::Values(IoMode::kMapped, IoMode::kWrite)),
                         [](const auto& param) {
                           const IoMode io_mode = std::get<1>(param.param);
                           return std::string(std::get<0>(param.param).name) +
                                  (io_mode == IoMode::kMapped ? "Mapped" : "Write");
                         });

TEST_P(FollowerFaultsTest, ReadersGetWhatWasTakenInOrAnErrorAndAllOfItInTheEnd) {
  const auto& [workload, io_mode] = GetParam();
  ForEveryFault(
      std::string(workload.name) + ", followed" + (io_mode == IoMode::kMapped ? ", mapped" : ", by write calls"),
      ShareOfThisRun(), [&, io_mode = io_mode, &workload = workload](const FaultPlan& plan) {
        return RunFollowed(workload, io_mode, plan);
      });
}

}  // namespace
}  // namespace varve::testing_support
