// Reading a large log that is cached from its beginning to its end, each checksum verified.
#include <memory>
#include <vector>

#include "driver/failure.h"
#include "driver/payload.h"
#include "driver/prepared_log.h"
#include "driver/raw_checksum.h"
#include "driver/timing.h"
#include "driver/work.h"

namespace varve::bench {

namespace {

constexpr size_t kBlockBytes = 1 << 20;
constexpr char kSum[] = "sequential read of the mapped log";
constexpr char kCrc[] = "CRC over the mapped log";
constexpr char kPreadCrc[] = "CRC over the log by pread";

class WholeLog {
 public:
  WholeLog(const Conditions& conditions, int64_t batch_records)
      : log_(conditions.directory, {Lengths::kEqual, batch_records, conditions.sizes.log_bytes}) {}

  [[nodiscard]] Values SumWords() const {
    const auto* const words = reinterpret_cast<const uint64_t*>(log_.mapping().data());
    const size_t count = log_.mapping().size() / sizeof(uint64_t);
    uint64_t sum = 0;
    const Stopwatch watch;
    for (size_t index = 0; index < count; ++index) sum += words[index];
    asm volatile("" : : "r"(sum));
    return Rate(watch);
  }

  [[nodiscard]] Values CrcMapped() const {
    const Stopwatch watch;
    const uint32_t all = RawCrcOfBlocks(log_.mapping().bytes());
    asm volatile("" : : "r"(all));
    return Rate(watch);
  }

  [[nodiscard]] Values CrcByPread() const {
    std::vector<std::byte> block(kBlockBytes);
    uint32_t all = 0;
    const Stopwatch watch;
    for (int64_t position = 0; position < log_.size_bytes();) {
      const auto step = std::min(static_cast<size_t>(log_.size_bytes() - position), kBlockBytes);
      const auto bytes = std::span(block).first(step);
      log_.file().ReadAt(position, bytes);
      all ^= RawCrc32c(bytes);
      position += static_cast<int64_t>(step);
    }
    asm volatile("" : : "r"(all));
    return Rate(watch);
  }

  // As a consumer of a FileRange does.
  [[nodiscard]] Values ReadMapped() const {
    return ReadAll([](const FileRange& range) { return range.View(); });
  }

  [[nodiscard]] Values ReadByCall() const {
    std::vector<std::byte> block(kBlockBytes);
    return ReadAll([&block](const FileRange& range) -> std::span<const std::byte> {
      const auto bytes = std::span(block).first(static_cast<size_t>(range.size_bytes()));
      Must(range.CopyTo(bytes));
      return bytes;
    });
  }

  [[nodiscard]] Values DecodeAll() const {
    int64_t expected = 0;
    const Stopwatch watch;
    LogScan scan = log_.log()->Scan(0);
    while (scan.Next()) Check(NumberOf(scan.record()) == expected++, "another record");
    Must(scan.status());
    const Values rate = Rate(watch);
    Check(expected == log_.record_count(), "records are missing");
    return rate;
  }

 private:
  // Of keys and values, as every format has another size.
  [[nodiscard]] Values Rate(const Stopwatch& watch) const {
    return {watch.GigabytesPerSecond(log_.record_count() * kRecordBytes)};
  }

  template <typename BytesOf>
  [[nodiscard]] Values ReadAll(BytesOf bytes_of) const {
    LogReader reader = log_.log()->NewReader();
    int64_t offset = 0;
    const Stopwatch watch;
    while (true) {
      const FileRange range = Must(reader.Read(offset, {.max_bytes = kBlockBytes}));
      if (range.empty()) break;
      std::span<const std::byte> rest = bytes_of(range);
      for (RecordBatchView batch; NextBatch(&rest, &batch);) Check(batch.CrcMatches(), "a checksum does not match");
      Check(rest.empty(), "bytes that are no batch");
      offset = range.next_offset();
    }
    const Values rate = Rate(watch);
    Check(offset == log_.record_count(), "batches are missing");
    return rate;
  }

  const PreparedLog log_;
};

struct ScanTargets {
  double mapped;
  std::optional<double> by_pread;
};

Work Scan(const std::string& name, const Conditions& conditions, int64_t batch_records, ScanTargets targets) {
  const auto kept = std::make_shared<std::unique_ptr<WholeLog>>();
  const auto log = [kept, conditions, batch_records]() -> const WholeLog& {
    if (!*kept) *kept = std::make_unique<WholeLog>(conditions, batch_records);
    return **kept;
  };
  Work work{name, {{"rate", "GB/s", Better::kMore}}, {}};
  work.subjects = {
      {kSum, [log](const Round&) { return log().SumWords(); }},
      {kCrc, [log](const Round&) { return log().CrcMapped(); }},
      {kPreadCrc, [log](const Round&) { return log().CrcByPread(); }, {{kCrc}}},
      {"varve Read, mapped", [log](const Round&) { return log().ReadMapped(); }, {{kCrc, targets.mapped}, {kSum}}},
      {"varve Read, by pread",
       [log](const Round&) { return log().ReadByCall(); },
       {{kCrc, targets.by_pread}, {kPreadCrc}}},
      {"varve Scan, each record decoded", [log](const Round&) { return log().DecodeAll(); }, {{kCrc}}}};
  return work;
}

}  // namespace

std::vector<WorkMaker> ScanWorks() {
  return {{"scan.one_record_batches",
           [](const Conditions& given) {
             return Scan("scan.one_record_batches", given, 1, {0.6, std::nullopt});
           }},
          {"scan.batches_of_100", [](const Conditions& given) {
             return Scan("scan.batches_of_100", given, 100, {0.9, 0.75});
           }}};
}

}  // namespace varve::bench
