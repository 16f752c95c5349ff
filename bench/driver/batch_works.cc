// Appending in batches: of 100 records, and of 1 MiB.
#include <algorithm>
#include <cstring>
#include <memory>
#include <thread>
#include <vector>

#include "driver/failure.h"
#include "driver/payload.h"
#include "driver/prepared_log.h"
#include "driver/raw_checksum.h"
#include "driver/raw_file.h"
#include "driver/timing.h"
#include "driver/work.h"

namespace varve::bench {

namespace {

constexpr int64_t kLargeBatchBytes = 1 << 20;
constexpr char kWriteCalls[] = "write calls";
constexpr char kCopyFaulting[] = "mapped copy with its faults";
constexpr char kCopyPresent[] = "mapped copy, pre-faulted";
constexpr char kCrc[] = "CRC of the batches";
constexpr char kLimit[] = "the better of write calls and mapped copy, and CRC";

class InBatches {
 public:
  InBatches(const Sizes& sizes, int64_t batch_records)
      : batch_records_(batch_records),
        batch_(Payload().Batch(0, batch_records)),
        batches_(std::max<int64_t>(sizes.append_bytes / static_cast<int64_t>(batch_.size()), 1)) {}

  [[nodiscard]] Values WriteCalls(const Round& round) const {
    const Stopwatch watch;
    RawFile file = RawFile::Create(round.directory() + "/file");
    for (int64_t number = 0; number < batches_; ++number) file.Write(batch_);
    return {Rate(watch, batches_)};
  }

  [[nodiscard]] Values CopyFaulting(const Round& round) const {
    const Stopwatch watch;
    RawFile file = RawFile::Create(round.directory() + "/file");
    file.Allocate(bytes());
    const RawMapping mapping(file, RawMapping::Pages::kOnDemand);
    CopyAll(mapping);
    return {Rate(watch, batches_)};
  }

  [[nodiscard]] Values CopyPresent(const Round& round) const {
    RawFile file = RawFile::Create(round.directory() + "/file");
    file.Allocate(bytes());
    RawMapping mapping(file, RawMapping::Pages::kOnDemand);
    mapping.Populate(0, mapping.size());
    const Stopwatch watch;
    CopyAll(mapping);
    return {Rate(watch, batches_)};
  }

  [[nodiscard]] Values Crc() const {
    uint32_t all = 0;
    const Stopwatch watch;
    for (int64_t number = 0; number < batches_; ++number) {
      all ^= RawCrc32c(batch_);
      asm volatile("" : "+r"(all) : : "memory");
    }
    return {Rate(watch, batches_)};
  }

  [[nodiscard]] Values AppendReady(const Round& round) const {
    const auto log = OpenLog(round.directory() + "/log-0", Options());
    const Stopwatch watch;
    for (int64_t number = 0; number < batches_; ++number) Must(log->AppendBatch(batch_));
    const double rate = Rate(watch, batches_);
    CheckLastBatch(*log, batches_);
    return {rate};
  }

  // The batches are built on the way: what records are made of is there.
  [[nodiscard]] Values AppendRecords(const Round& round, int64_t thread_count) const {
    const int64_t each = std::max<int64_t>(batches_ / thread_count, 1);
    const auto log = OpenLog(round.directory() + "/log-0", Options());
    std::vector<std::jthread> threads;
    const Stopwatch watch;
    for (int64_t thread = 0; thread < thread_count; ++thread) {
      threads.emplace_back([this, &log, thread, each] {
        Payload payload;
        for (int64_t number = thread * each; number < (thread + 1) * each; ++number) {
          Must(log->Append(payload.Records(number * batch_records_, batch_records_)));
        }
      });
    }
    threads.clear();
    const double rate = Rate(watch, each * thread_count);
    CheckHoldsEachOnce(*log, each * thread_count * batch_records_);
    return {rate};
  }

 private:
  [[nodiscard]] static LogOptions Options() { return {.max_message_bytes = 2 * kLargeBatchBytes}; }
  [[nodiscard]] int64_t bytes() const { return batches_ * static_cast<int64_t>(batch_.size()); }
  // Of keys and values, as every format has another size.
  [[nodiscard]] double Rate(const Stopwatch& watch, int64_t batches) const {
    return watch.GigabytesPerSecond(batches * batch_records_ * kRecordBytes);
  }

  void CopyAll(const RawMapping& mapping) const {
    std::byte* target = mapping.data();
    for (int64_t number = 0; number < batches_; ++number, target += batch_.size()) {
      std::memcpy(target, batch_.data(), batch_.size());
    }
    asm volatile("" : : "r"(mapping.data()) : "memory");
  }

  void CheckLastBatch(const Log& log, int64_t batches) const {
    Check(log.log_end_offset() == batches * batch_records_, "another log end offset");
    LogReader reader = log.NewReader();
    const auto last = Must(reader.ReadBatch(log.log_end_offset() - 1));
    Check(last.has_value() && last->CrcMatches(), "the last batch is not there");
    Check(std::memcmp(last->payload().data(), batch_.data() + RecordBatchView::kHeaderBytes,
                      batch_.size() - RecordBatchView::kHeaderBytes) == 0,
          "the last batch is another");
  }

  const int64_t batch_records_;
  const std::vector<std::byte> batch_;
  const int64_t batches_;
};

// Of the time of two things done one after the other.
double RateOfBoth(double one, double other) { return 1 / (1 / one + 1 / other); }

Work Batches(const std::string& name, const Conditions& conditions, int64_t batch_records) {
  const auto state = std::make_shared<const InBatches>(conditions.sizes, batch_records);
  Work work{name, {{"rate", "GB/s", Better::kMore}}, {}};
  work.subjects = {
      {kWriteCalls, [state](const Round& round) { return state->WriteCalls(round); }},
      {kCopyFaulting, [state](const Round& round) { return state->CopyFaulting(round); }},
      {kCopyPresent, [state](const Round& round) { return state->CopyPresent(round); }},
      {kCrc, [state](const Round&) { return state->Crc(); }},
      {kLimit,
       [](const Round& round) {
         return Values{RateOfBoth(std::max(round.Of(kWriteCalls), round.Of(kCopyFaulting)), round.Of(kCrc))};
       }},
      {"varve, ready batches", [state](const Round& round) { return state->AppendReady(round); }, {{kLimit, 0.9}}},
      {"varve, from records", [state](const Round& round) { return state->AppendRecords(round, 1); }, {{kLimit, 0.6}}},
      {"varve, from records, 2 threads",
       [state](const Round& round) { return state->AppendRecords(round, 2); },
       {{kLimit}}},
      {"varve, from records, 4 threads",
       [state](const Round& round) { return state->AppendRecords(round, 4); },
       {{kLimit}}}};
  return work;
}

}  // namespace

std::vector<WorkMaker> BatchWorks() {
  return {
      {"append.batches_of_100", [](const Conditions& given) { return Batches("append.batches_of_100", given, 100); }},
      {"append.batches_of_1_MiB", [](const Conditions& given) {
         return Batches("append.batches_of_1_MiB", given, RecordsInBatchOf(kLargeBatchBytes));
       }}};
}

}  // namespace varve::bench
