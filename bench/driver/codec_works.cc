// Each codec: appending batches of 100 records compressed, and reading them back, beside the codec alone.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "driver/failure.h"
#include "driver/payload.h"
#include "driver/prepared_log.h"
#include "driver/timing.h"
#include "driver/work.h"

namespace varve::bench {

namespace {

constexpr int64_t kBatchRecords = 100;
constexpr Codec kCodecs[] = {Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd};

// Rates are of keys and values; sizes what is left of them, everything included.
class OfCodec {
 public:
  OfCodec(const Sizes& sizes, Codec codec)
      : codec_(codec), batches_(std::max<int64_t>(sizes.codec_bytes / (kBatchRecords * kRecordBytes), 1)) {}

  [[nodiscard]] Values CompressAlone() const {
    const std::vector<std::byte> batch = Payload().Batch(MiddleBatch(), kBatchRecords);
    const auto records = std::span(batch).subspan(RecordBatchView::kHeaderBytes);
    std::vector<std::byte> compressed;
    const Stopwatch watch;
    for (int64_t number = 0; number < batches_; ++number) {
      compressed.clear();
      Must(Compress(codec_, records, &compressed));
    }
    return Result(watch, static_cast<int64_t>(compressed.size() + RecordBatchView::kHeaderBytes) * batches_);
  }

  [[nodiscard]] Values DecompressAlone() const {
    const std::vector<std::byte> batch = Payload().Batch(MiddleBatch(), kBatchRecords, codec_);
    const auto records = std::span(batch).subspan(RecordBatchView::kHeaderBytes);
    DecodeBuffer decoded;
    const Stopwatch watch;
    for (int64_t number = 0; number < batches_; ++number) Must(Decompress(codec_, records, &decoded));
    return Result(watch, static_cast<int64_t>(batch.size()) * batches_);
  }

  [[nodiscard]] Values Append(const Round& round) const {
    const std::string directory = round.directory() + "/log-0";
    const auto log = OpenLog(directory);
    const Stopwatch watch;
    Fill(log.get());
    const Values values = Result(watch, log->segments().front().size_bytes);
    CheckHoldsEachOnce(*log, record_count());
    return values;
  }

  [[nodiscard]] Values Scan(const Round& round) const {
    const auto log = OpenLog(round.directory() + "/log-0");
    Fill(log.get());
    int64_t expected = 0;
    const Stopwatch watch;
    LogScan scan = log->Scan(0);
    while (scan.Next()) Check(NumberOf(scan.record()) == expected++, "another record");
    Must(scan.status());
    const Values values = Result(watch, log->segments().front().size_bytes);
    Check(expected == record_count(), "records are missing");
    return values;
  }

 private:
  [[nodiscard]] int64_t record_count() const { return batches_ * kBatchRecords; }
  // The first record of a batch that is as well compressed as most.
  [[nodiscard]] int64_t MiddleBatch() const { return batches_ / 2 * kBatchRecords; }

  void Fill(Log* log) const {
    Payload payload;
    for (int64_t number = 0; number < record_count(); number += kBatchRecords) {
      Must(log->Append(payload.Records(number, kBatchRecords), {.compression = codec_}));
    }
  }

  [[nodiscard]] Values Result(const Stopwatch& watch, int64_t size_bytes) const {
    const int64_t bytes = record_count() * kRecordBytes;
    return {watch.GigabytesPerSecond(bytes), 100 * static_cast<double>(size_bytes) / static_cast<double>(bytes)};
  }

  const Codec codec_;
  const int64_t batches_;
};

std::vector<Figure> Figures() { return {{"rate", "GB/s", Better::kMore}, {"size", "%"}}; }

Work Encoding(const std::string& name, const Conditions& conditions, Codec codec) {
  const OfCodec state(conditions.sizes, codec);
  const char* const limit = "the codec alone";
  return {name,
          Figures(),
          {{limit, [state](const Round&) { return state.CompressAlone(); }},
           {"varve", [state](const Round& round) { return state.Append(round); }, {{limit}}}}};
}

Work Decoding(const std::string& name, const Conditions& conditions, Codec codec) {
  const OfCodec state(conditions.sizes, codec);
  const char* const limit = "the codec alone";
  return {name,
          Figures(),
          {{limit, [state](const Round&) { return state.DecompressAlone(); }},
           {"varve", [state](const Round& round) { return state.Scan(round); }, {{limit}}}}};
}

}  // namespace

std::vector<WorkMaker> CodecWorks() {
  std::vector<WorkMaker> works;
  for (const Codec codec : kCodecs) {
    if (!CodecAvailable(codec)) continue;
    const std::string encode = "codec.encode." + std::string(CodecName(codec));
    const std::string decode = "codec.decode." + std::string(CodecName(codec));
    works.push_back({encode, [=](const Conditions& given) { return Encoding(encode, given, codec); }});
    works.push_back({decode, [=](const Conditions& given) { return Decoding(decode, given, codec); }});
  }
  return works;
}

}  // namespace varve::bench
