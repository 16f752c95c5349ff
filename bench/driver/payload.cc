#include "driver/payload.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <string_view>

#include "driver/failure.h"

namespace varve::bench {

namespace {

constexpr uint64_t kLeastValueBytes = 20;
constexpr uint64_t kDifferentValueBytes = 161;  // 20 to 180
constexpr int64_t kLookAtAll = 50'000;
constexpr int64_t kSample = 1'000;

std::string Words() {
  constexpr std::array<std::string_view, 12> kWords = {"order",   "shipped", "user", "created", "2023-11-14", "total",
                                                       "pending", "invoice", "EUR",  "item",    "warehouse",  "null"};
  std::mt19937 random(1);
  std::string words;
  while (words.size() < kLeastValueBytes + kDifferentValueBytes) {
    words += kWords[random() % kWords.size()];
    words += std::to_string(random() % 1000);
  }
  return words;
}

// Spreads numbers that follow one another.
uint64_t Mixed(int64_t number) { return (static_cast<uint64_t>(number) * 0x9e3779b97f4a7c15U) >> 33U; }

}  // namespace

Payload::Payload(Lengths lengths) : lengths_(lengths), words_(Words()) {}

std::span<const Record> Payload::Records(int64_t first, int64_t count) {
  const auto size = static_cast<size_t>(count);
  if (keys_.size() < size) {
    keys_.resize(size);
    records_.resize(size);
    const std::string_view value = std::string_view(words_).substr(0, static_cast<size_t>(kValueBytes));
    for (size_t index = 0; index < size; ++index) {
      records_[index].key = std::string_view(reinterpret_cast<const char*>(&keys_[index]), sizeof(int64_t));
      records_[index].value = value;
    }
  }
  for (size_t index = 0; index < size; ++index) {
    const int64_t number = first + static_cast<int64_t>(index);
    keys_[index] = number;
    records_[index].timestamp_ms = kFirstTimestampMs + number;
    if (lengths_ == Lengths::kUnequal) {
      const size_t bytes = kLeastValueBytes + Mixed(number) % kDifferentValueBytes;
      records_[index].value = std::string_view(words_).substr(0, bytes);
    }
  }
  return std::span(records_).first(size);
}

std::vector<std::byte> Payload::Batch(int64_t first, int64_t count, Codec codec) {
  RecordBatchBuilder builder({.codec = codec});
  for (const Record& record : Records(first, count)) Must(builder.Add(record));
  const auto batch = Must(builder.Build());
  return {batch.begin(), batch.end()};
}

int64_t RecordsInBatchOf(int64_t bytes) {
  RecordBatchBuilder builder;
  Payload payload;
  int64_t count = 0;
  while (static_cast<int64_t>(builder.SizeWith(payload.Records(count, 1).front())) <= bytes) {
    Must(builder.Add(payload.Records(count, 1).front()));
    ++count;
  }
  return count;
}

int64_t NumberOf(const RecordView& record) {
  Check(record.key().has_value() && record.key()->size() == sizeof(int64_t), "a key of another length");
  int64_t number = 0;
  std::memcpy(&number, record.key()->data(), sizeof(number));
  return number;
}

RecordView FirstRecord(const RecordBatchView& batch) {
  RecordCursor cursor(batch, nullptr);
  RecordView record;
  if (!cursor.Next(&record)) Must(cursor.status());
  return record;
}

void CheckHoldsEachOnce(const Log& log, int64_t count) {
  Check(log.log_end_offset() == count, "another log end offset");
  std::vector<bool> seen(static_cast<size_t>(count));
  const int64_t step = count <= kLookAtAll ? count : count / kSample;
  for (int64_t from = 0; from < count; from += step) {
    LogScan scan = log.Scan(from, {.to_offset = count <= kLookAtAll ? count : from + 1});
    for (const RecordView& record : scan) {
      const int64_t number = NumberOf(record);
      Check(number >= 0 && number < count && !seen[static_cast<size_t>(number)], "a record that was not appended");
      seen[static_cast<size_t>(number)] = true;
    }
    Must(scan.status());
  }
  if (count <= kLookAtAll) Check(std::find(seen.begin(), seen.end(), false) == seen.end(), "a record is missing");
}

}  // namespace varve::bench
