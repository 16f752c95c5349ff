#include "schedules/scheduled_log.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <utility>

#include "base/path.h"
#include "fmt/format.h"
#include "schedules/seeded_scheduler.h"
#include "varve/log.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::testing_support {
namespace {

constexpr char kDirectory[] = "orders-0";
constexpr int kAppendsOfEach = 6;
// Below how many calls of the file system a crash comes: of the life, and of its truncations.
constexpr uint64_t kCallsOfALife = 400;
constexpr uint64_t kCallsOfTruncations = 100;

// What the threads asked for, with the times at which they did, as the scheduler's points count.
struct Appended {
  std::string value;
  size_t begun = 0;
  int64_t offset = -1;  // once it is acknowledged
  size_t end = 0;       // when it was
};
struct Removed {
  int64_t offset = 0;
  size_t begun = 0;
  bool ended = false;
  size_t end = 0;
};
struct Journal {
  std::vector<Appended> appends;
  std::vector<Removed> truncations;
  std::vector<Removed> deletions;
};

class Life {
 public:
  explicit Life(uint64_t seed) : random_(seed), scheduler_(seed), file_system_(&disk_) {
    options_.file_system = &file_system_;
    options_.clock = &clock_;
    options_.io_mode = random_() % 2 == 0 ? IoMode::kMapped : IoMode::kWrite;
    options_.segment_bytes = 512;
    options_.index_interval_bytes = 100;
    options_.segment_index_bytes = 1024;
    options_.file_delete_delay_ms = 0;
    crash_at_call_ = random_() % kCallsOfALife;
    crash_in_truncation_ = random_() % kCallsOfTruncations;
  }

  ScheduledLife Run() {
    absl::StatusOr<std::unique_ptr<Log>> log = Log::Open(kDirectory, options_);
    if (!log.ok()) return {.trace = {}, .problems = {log.status().ToString()}};
    log_ = *std::move(log);
    file_system_.SetObserver([this](const FileCall& call) { Observe(call); });
    scheduler_.Run(
        {[this] { AppendMany("a"); }, [this] { AppendMany("b"); }, [this] { Read(); }, [this] { Maintain(); }});
    file_system_.SetObserver(nullptr);
    if (scheduler_.stuck() > 0) Complain(fmt::format("all threads waited for ever, {} times", scheduler_.stuck()));
    CheckLeft("in the end", *log_, journal_);
    if (const absl::Status closed = log_->Close(); !closed.ok()) Complain("close: " + closed.ToString());
    log_.reset();
    Reopen("opened again", &disk_, journal_);
    for (const Crash& crash : crashes_) {
      Reopen("after a power loss", crash.power_lost.get(), crash.journal);
      Reopen("after the death of the process", crash.process_died.get(), crash.journal);
    }
    for (const Appended& append : journal_.appends) result_.appends += append.offset >= 0 ? 1 : 0;
    result_.crashes = crashes_.size();
    result_.trace = scheduler_.trace();
    return std::move(result_);
  }

 private:
  void Complain(std::string problem) { result_.problems.push_back(std::move(problem)); }

  [[nodiscard]] size_t Time() const { return scheduler_.trace().size(); }

  void Observe(const FileCall& call) {
    if (SeededScheduler::OfThisThread() == nullptr) return;
    const bool truncates = !journal_.truncations.empty() && !journal_.truncations.back().ended;
    const bool crashes_here = truncates && calls_in_truncations_++ == crash_in_truncation_;
    if (calls_++ == crash_at_call_ || crashes_here) {
      const SeededScheduler::Pause pause;
      const CrashMode mode = calls_ % 2 == 0 ? CrashMode::kLoseAllUnsynced : CrashMode::kRandom;
      crashes_.push_back({.journal = journal_,
                          .power_lost = disk_.CloneAfterCrash({.seed = calls_, .mode = mode}),
                          .process_died = disk_.CloneAfterProcessDeath()});
    }
    scheduler_.Point(fmt::format("{} {}", static_cast<int>(call.operation), internal::BaseName(call.path)));
  }

  void AppendMany(const std::string& name) {
    for (int number = 0; number < kAppendsOfEach; ++number) {
      const size_t index = journal_.appends.size();
      journal_.appends.push_back({.value = fmt::format("{}{}", name, number), .begun = Time()});
      const std::string value = journal_.appends[index].value;
      const absl::StatusOr<AppendResult> result = log_->Append({{.key = name, .value = value}}, {.ack = Ack::kDurable});
      if (result.ok()) {
        journal_.appends[index].offset = result->base_offset;
        journal_.appends[index].end = Time();
      } else if (!absl::IsAborted(result.status())) {  // a truncation took it before it was durable
        Complain(fmt::format("append of {}: {}", value, result.status().ToString()));
      }
      // A sync of what is durable already, which may meet a truncation anywhere.
      if (random_() % 2 == 0) continue;
      if (const absl::Status status = log_->Flush(); !status.ok()) Complain("flush: " + status.ToString());
    }
    ++ended_writers_;
  }

  // An hour passes when nobody can go on: then it has not been woken, or a writer has not.
  void Read() {
    int64_t offset = 0;
    while (ended_writers_ < 2) {
      scheduler_.Point("reads on");
      offset = std::max(offset, log_->log_start_offset());
      const absl::Status status = log_->WaitForData(offset, std::chrono::hours(1));
      if (absl::IsDeadlineExceeded(status)) {
        if (ended_writers_ < 2) Complain(fmt::format("nobody goes on while a reader waits for {}", offset));
        return;
      }
      if (!status.ok()) return Complain("wait: " + status.ToString());
      LogScan scan = log_->Scan(offset);
      for (const RecordView& record : scan) offset = record.offset() + 1;
      const bool taken_meanwhile = absl::IsOutOfRange(scan.status()) || absl::IsAborted(scan.status());
      if (!scan.status().ok() && !taken_meanwhile) Complain("read: " + scan.status().ToString());
      offset = std::min(offset, log_->log_end_offset());
    }
  }

  void Maintain() {
    for (int round = 0; round < 4; ++round) {
      const int64_t end = log_->log_end_offset();
      const int64_t start = log_->log_start_offset();
      const int64_t offset = start + static_cast<int64_t>(random_() % static_cast<uint64_t>(end - start + 1));
      switch (random_() % 4) {
        case 0:
        case 1:
          Remove("truncate", offset, &journal_.truncations, [&] { return log_->TruncateTo(offset); });
          break;
        case 2:
          Remove("delete", offset, &journal_.deletions, [&] { return log_->DeleteBefore(offset); });
          break;
        default:
          if (const absl::Status status = log_->Roll(); !status.ok()) Complain("roll: " + status.ToString());
      }
    }
  }

  template <typename Operation>
  void Remove(const char* name, int64_t offset, std::vector<Removed>* journal, Operation operation) {
    const size_t index = journal->size();
    journal->push_back({.offset = offset, .begun = Time()});
    const absl::Status status = operation();
    (*journal)[index].ended = true;
    (*journal)[index].end = Time();
    if (!status.ok()) Complain(fmt::format("{} {}: {}", name, offset, status.ToString()));
  }

  void Reopen(const char* when, MemoryFileSystem* disk, const Journal& journal) {
    LogOptions options = options_;
    options.file_system = disk;
    const absl::StatusOr<std::unique_ptr<Log>> log = Log::Open(kDirectory, options);
    if (!log.ok()) return Complain(fmt::format("{}: {}", when, log.status().ToString()));
    if (!(*log)->damage().empty()) Complain(fmt::format("{}: damage", when));
    CheckLeft(when, **log, journal);
  }

  // A truncation that was not over when an append began may have taken its record, and no other.
  static bool MayTake(const Removed& truncation, const Appended& append) {
    return truncation.offset <= append.offset && (!truncation.ended || truncation.end > append.begun);
  }
  static bool MayBeTruncated(const Journal& journal, const Appended& append, const Removed* but = nullptr) {
    return std::ranges::any_of(journal.truncations, [&](const Removed& truncation) {
      return &truncation != but && MayTake(truncation, append);
    });
  }

  using Found = std::map<int64_t, std::string>;

  static bool IsFound(const Found& found, const Appended& append) {
    const auto at = found.find(append.offset);
    return at != found.end() && at->second == append.value;
  }

  // A truncation that is over has taken all there was when it began; one that is not, all or nothing.
  void CheckTruncations(const char* when, const Found& found, int64_t log_start_offset, const Journal& journal) {
    for (const Removed& truncation : journal.truncations) {
      size_t there = 0;
      size_t gone = 0;
      for (const Appended& append : journal.appends) {
        const bool was_there = append.offset >= std::max(truncation.offset, log_start_offset) &&
                               append.end <= truncation.begun && !MayBeTruncated(journal, append, &truncation);
        if (was_there) ++(IsFound(found, append) ? there : gone);
      }
      if (there > 0 && truncation.ended)
        Complain(fmt::format("{}: truncated to {}, and back", when, truncation.offset));
      if (there > 0 && gone > 0) Complain(fmt::format("{}: truncated to {} in part", when, truncation.offset));
    }
  }

  // All that was acknowledged is there unless it was truncated or deleted, and nothing that was not appended.
  void CheckLeft(const char* when, const Log& log, const Journal& journal) {
    Found found;
    std::set<std::string> values;
    int64_t next = log.log_start_offset();
    LogScan scan = log.Scan(next);
    for (const RecordView& record : scan) {
      const std::string value(record.value().value_or(""));
      if (record.offset() != next)
        Complain(fmt::format("{}: {} at {}, where {} was next", when, value, record.offset(), next));
      next = record.offset() + 1;
      found[record.offset()] = value;
      if (!values.insert(value).second) Complain(fmt::format("{}: {} twice", when, value));
    }
    if (!scan.status().ok()) Complain(fmt::format("{}: {}", when, scan.status().ToString()));
    if (next != log.log_end_offset()) Complain(fmt::format("{}: ends at {}, not {}", when, next, log.log_end_offset()));
    int64_t deleted = 0;
    for (const Removed& deletion : journal.deletions) deleted = std::max(deleted, deletion.offset);
    if (log.log_start_offset() > deleted) Complain(fmt::format("{}: begins at {}", when, log.log_start_offset()));
    for (const Appended& append : journal.appends) {
      const bool is_there = IsFound(found, append);
      if (append.offset >= log.log_start_offset() && !is_there && !MayBeTruncated(journal, append)) {
        Complain(fmt::format("{}: {} was acknowledged at {} and is lost", when, append.value, append.offset));
      }
      if (append.offset >= 0 && !is_there && values.contains(append.value)) {
        Complain(fmt::format("{}: {} was appended at {} and moved", when, append.value, append.offset));
      }
      values.erase(append.value);
    }
    CheckTruncations(when, found, log.log_start_offset(), journal);
    for (const std::string& value : values) Complain(fmt::format("{}: {} was never appended", when, value));
  }

  std::mt19937_64 random_;
  SeededScheduler scheduler_;
  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  MemoryFileSystem disk_;
  FaultyFileSystem file_system_;
  LogOptions options_;
  std::unique_ptr<Log> log_;
  Journal journal_;
  int ended_writers_ = 0;
  uint64_t calls_ = 0;
  uint64_t crash_at_call_ = 0;
  uint64_t calls_in_truncations_ = 0;
  uint64_t crash_in_truncation_ = 0;
  struct Crash {
    Journal journal;
    std::unique_ptr<MemoryFileSystem> power_lost;
    std::unique_ptr<MemoryFileSystem> process_died;
  };
  std::vector<Crash> crashes_;
  ScheduledLife result_;
};

}  // namespace

ScheduledLife LiveBySchedule(uint64_t seed) { return Life(seed).Run(); }

}  // namespace varve::testing_support
