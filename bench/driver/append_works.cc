// Appending records one by one: the mean of a burst, its tail, and what the disk takes for long.
#include <algorithm>
#include <atomic>
#include <cstring>
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

constexpr char kCopyPresent[] = "mapped copy, pre-faulted";
constexpr char kCopyFaulting[] = "mapped copy with its faults";
constexpr char kCopyPopulated[] = "mapped copy, populated in steps of 1 MiB";
constexpr char kCrc[] = "CRC of the batch";
constexpr char kLimit[] = "mapped copy with its faults, and CRC";
constexpr char kWriteCall[] = "write call a record";

// Copies a batch behind the one before, over and over.
class Copier {
 public:
  Copier(RawMapping* mapping, std::span<const std::byte> batch) : mapping_(mapping), batch_(batch) {}

  void Copy() {
    std::memcpy(mapping_->data() + position_, batch_.data(), batch_.size());
    asm volatile("" : : "r"(mapping_->data()) : "memory");  // no copy may be merged with the next
    position_ += batch_.size();
  }
  [[nodiscard]] size_t position() const { return position_; }

 private:
  RawMapping* const mapping_;
  const std::span<const std::byte> batch_;
  size_t position_ = 0;
};

class OneByOne {
 public:
  explicit OneByOne(const Sizes& sizes) : records_(sizes.append_records), batch_(Payload().Batch(0, 1)) {}

  [[nodiscard]] Values CopyInMemory() const {
    std::vector<std::byte> target(bytes(), std::byte{1});  // every page is present
    const Stopwatch watch;
    for (int64_t number = 0; number < records_; ++number) {
      std::memcpy(target.data() + static_cast<size_t>(number) * batch_.size(), batch_.data(), batch_.size());
      asm volatile("" : : "r"(target.data()) : "memory");
    }
    return {watch.NsEach(records_)};
  }

  [[nodiscard]] Values CopyPresent(const Round& round) const {
    RawFile file = RawFile::Create(round.directory() + "/file");
    file.Allocate(static_cast<int64_t>(bytes()));
    RawMapping mapping(file, RawMapping::Pages::kOnDemand);
    mapping.Populate(0, bytes());
    Copier copier(&mapping, batch_);
    const Stopwatch watch;
    for (int64_t number = 0; number < records_; ++number) copier.Copy();
    return {watch.NsEach(records_)};
  }

  [[nodiscard]] Values CopyFaulting(const Round& round) const {
    const Stopwatch watch;
    RawFile file = RawFile::Create(round.directory() + "/file");
    file.Allocate(static_cast<int64_t>(bytes()));
    RawMapping mapping(file, RawMapping::Pages::kOnDemand);
    Copier copier(&mapping, batch_);
    for (int64_t number = 0; number < records_; ++number) copier.Copy();
    return {watch.NsEach(records_)};
  }

  [[nodiscard]] Values CopyPopulated(const Round& round) const {
    constexpr size_t kStepBytes = 1 << 20;
    const Stopwatch watch;
    RawFile file = RawFile::Create(round.directory() + "/file");
    file.Allocate(static_cast<int64_t>(bytes()));
    RawMapping mapping(file, RawMapping::Pages::kOnDemand);
    Copier copier(&mapping, batch_);
    size_t populated = 0;
    for (int64_t number = 0; number < records_; ++number) {
      if (copier.position() + batch_.size() > populated) {
        const size_t step = std::min(kStepBytes, bytes() - populated);
        mapping.Populate(populated, step);
        populated += step;
      }
      copier.Copy();
    }
    return {watch.NsEach(records_)};
  }

  [[nodiscard]] Values Crc() const {
    uint32_t all = 0;
    const Stopwatch watch;
    for (int64_t number = 0; number < records_; ++number) {
      all ^= RawCrc32c(batch_);
      asm volatile("" : "+r"(all) : : "memory");
    }
    return {watch.NsEach(records_)};
  }

  [[nodiscard]] Values WriteCalls(const Round& round) const {
    const Stopwatch watch;
    RawFile file = RawFile::Create(round.directory() + "/file");
    for (int64_t number = 0; number < records_; ++number) file.Write(batch_);
    return {watch.NsEach(records_)};
  }

  // Opening is part of it, as is making the files of the limits; closing is not, as that syncs.
  [[nodiscard]] Values Append(const Round& round, Ack ack, IoMode io_mode) const {
    Payload payload;
    const Stopwatch watch;
    const auto log = OpenLog(round.directory() + "/log-0", {.io_mode = io_mode});
    for (int64_t number = 0; number < records_; ++number) {
      Must(log->Append(payload.Records(number, 1), {.ack = ack}));
    }
    const double ns = watch.NsEach(records_);
    CheckHoldsEachOnce(*log, records_);
    return {ns};
  }

  // By threads together: time over all records.
  [[nodiscard]] Values AppendByThreads(const Round& round, int64_t thread_count) const {
    const int64_t each = records_ / thread_count;
    const auto log = OpenLog(round.directory() + "/log-0");
    std::vector<std::jthread> threads;
    const Stopwatch watch;
    for (int64_t thread = 0; thread < thread_count; ++thread) {
      threads.emplace_back([&log, thread, each] {
        Payload payload;
        for (int64_t number = thread * each; number < (thread + 1) * each; ++number) {
          Must(log->Append(payload.Records(number, 1)));
        }
      });
    }
    threads.clear();
    const double ns = watch.NsEach(each * thread_count);
    CheckHoldsEachOnce(*log, each * thread_count);
    return {ns};
  }

 private:
  [[nodiscard]] size_t bytes() const { return static_cast<size_t>(records_) * batch_.size(); }

  const int64_t records_;
  const std::vector<std::byte> batch_;
};

Work AppendOneByOne(const Conditions& conditions) {
  const auto state = std::make_shared<const OneByOne>(conditions.sizes);
  Work work{"append.one_by_one", {{"time", "ns/record"}}, {}};
  const std::vector<Beside> asked = {{kLimit, 1.5}, {kWriteCall, 0.25}};
  work.subjects = {
      {"memory copy, pages present", [state](const Round&) { return state->CopyInMemory(); }},
      {kCopyPresent, [state](const Round& round) { return state->CopyPresent(round); }},
      {kCopyFaulting, [state](const Round& round) { return state->CopyFaulting(round); }},
      {kCopyPopulated, [state](const Round& round) { return state->CopyPopulated(round); }},
      {kCrc, [state](const Round&) { return state->Crc(); }},
      {kLimit, [](const Round& round) { return Values{round.Of(kCopyFaulting) + round.Of(kCrc)}; }},
      {kWriteCall, [state](const Round& round) { return state->WriteCalls(round); }, {{kLimit}}},
      {"varve kNone",
       [state](const Round& round) { return state->Append(round, Ack::kNone, IoMode::kAuto); },
       {{kLimit}}},
      {"varve", [state](const Round& round) { return state->Append(round, Ack::kWritten, IoMode::kAuto); }, asked},
      {"varve by write calls",
       [state](const Round& round) { return state->Append(round, Ack::kWritten, IoMode::kWrite); },
       {{kWriteCall}}},
      {"varve, 2 threads", [state](const Round& round) { return state->AppendByThreads(round, 2); }, {{kLimit}}},
      {"varve, 4 threads", [state](const Round& round) { return state->AppendByThreads(round, 4); }, {{kLimit}}}};
  return work;
}

// --- The tail: each record by itself ---

// Calls `append` for each record; the time of one ends where that of the next begins.
template <typename Append>
Values Tail(int64_t records, Append append) {
  Latencies latencies(records);
  int64_t before_ns = NowNs();
  for (int64_t number = 0; number < records; ++number) {
    append(number);
    const int64_t now_ns = NowNs();
    latencies.Add(now_ns - before_ns);
    before_ns = now_ns;
  }
  return {latencies.At(0.5), latencies.At(0.99), latencies.At(0.999), latencies.At(1)};
}

Work AppendTail(const Conditions& conditions) {
  const int64_t records = conditions.sizes.append_records;
  const auto batch = std::make_shared<const std::vector<std::byte>>(Payload().Batch(0, 1));
  Work work{"append.tail", {{"p50", "ns"}, {"p99", "ns"}, {"p99.9", "ns"}, {"max", "ns"}}, {}};
  work.subjects = {{kCopyFaulting,
                    [records, batch](const Round& round) {
                      RawFile file = RawFile::Create(round.directory() + "/file");
                      file.Allocate(records * static_cast<int64_t>(batch->size()));
                      RawMapping mapping(file, RawMapping::Pages::kOnDemand);
                      Copier copier(&mapping, *batch);
                      return Tail(records, [&](int64_t) { copier.Copy(); });
                    }},
                   {kWriteCall,
                    [records, batch](const Round& round) {
                      RawFile file = RawFile::Create(round.directory() + "/file");
                      return Tail(records, [&](int64_t) { file.Write(*batch); });
                    }},
                   {"varve",
                    [records](const Round& round) {
                      const auto log = OpenLog(round.directory() + "/log-0");
                      Payload payload;
                      const Values values =
                          Tail(records, [&](int64_t number) { Must(log->Append(payload.Records(number, 1))); });
                      CheckHoldsEachOnce(*log, records);
                      return values;
                    },
                    {{kCopyFaulting}, {kWriteCall}}}};
  return work;
}

// --- For long: as quick as the disk takes it ---

Work AppendSustained(const Conditions& conditions) {
  const int64_t bytes = conditions.sizes.sustained_bytes;
  const char* const limit = "write calls of 1 MiB, and a sync";
  Work work{"append.sustained", {{"rate", "GB/s", Better::kMore}}, {}};
  work.subjects = {{limit,
                    [bytes](const Round& round) {
                      const std::vector<std::byte> block(1 << 20, std::byte{'b'});
                      RawFile file = RawFile::Create(round.directory() + "/file");
                      const Stopwatch watch;
                      for (int64_t position = 0; position < bytes; position += 1 << 20) file.Write(block);
                      file.SyncData();
                      return Values{watch.GigabytesPerSecond(bytes)};
                    }},
                   {"varve one by one, and Flush",
                    [bytes](const Round& round) {
                      Payload payload;
                      const auto records = bytes / static_cast<int64_t>(payload.Batch(0, 1).size());
                      const auto log = OpenLog(round.directory() + "/log-0");
                      const Stopwatch watch;
                      for (int64_t number = 0; number < records; ++number)
                        Must(log->Append(payload.Records(number, 1)));
                      Must(log->Flush());
                      const double rate = watch.GigabytesPerSecond(bytes);
                      CheckHoldsEachOnce(*log, records);
                      return Values{rate};
                    },
                    {{limit}}}};
  return work;
}

}  // namespace

std::vector<WorkMaker> AppendWorks() {
  return {{"append.one_by_one", AppendOneByOne}, {"append.tail", AppendTail}, {"append.sustained", AppendSustained}};
}

}  // namespace varve::bench
