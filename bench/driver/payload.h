// Payload: the records of every work: a key of 8 bytes, which is the record's number, and a value of 100.
//
// Values are words, so that codecs find something to do. Of unequal records values have 20 to 180 bytes, 100 on average.
// Timestamps rise by a millisecond from record to record.
#ifndef VARVE_BENCH_DRIVER_PAYLOAD_H_
#define VARVE_BENCH_DRIVER_PAYLOAD_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "varve/log.h"

namespace varve::bench {

constexpr int64_t kFirstTimestampMs = 1'700'000'000'000;
constexpr int64_t kKeyBytes = 8;
constexpr int64_t kValueBytes = 100;
constexpr int64_t kRecordBytes = kKeyBytes + kValueBytes;

enum class Lengths { kEqual, kUnequal };

class Payload {
 public:
  explicit Payload(Lengths lengths = Lengths::kEqual);

  // Records from `first` on, valid until the next call.
  [[nodiscard]] std::span<const Record> Records(int64_t first, int64_t count);

  // A ready-made batch of them, as a producer sends it.
  [[nodiscard]] std::vector<std::byte> Batch(int64_t first, int64_t count, Codec codec = Codec::kNone);

 private:
  const Lengths lengths_;
  const std::string words_;
  std::vector<int64_t> keys_;
  std::vector<Record> records_;
};

// How many records, all of one length, a batch may have to be of at most so many bytes.
[[nodiscard]] int64_t RecordsInBatchOf(int64_t bytes);

// The number that a record's key holds; ends the program where it holds none.
[[nodiscard]] int64_t NumberOf(const RecordView& record);

// The first record of a batch.
[[nodiscard]] RecordView FirstRecord(const RecordBatchView& batch);

// Ends the program unless `log` holds each of the records 0 to `count` once: of many, a sample is looked at.
void CheckHoldsEachOnce(const Log& log, int64_t count);

}  // namespace varve::bench

#endif  // VARVE_BENCH_DRIVER_PAYLOAD_H_
