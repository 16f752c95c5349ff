// Records of every shape from a seeded generator: null, empty, short and long texts, headers, timestamps that jump.
#ifndef VARVE_TESTS_RECORD_RANDOM_RECORDS_H_
#define VARVE_TESTS_RECORD_RANDOM_RECORDS_H_

#include <deque>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "varve/record.h"

namespace varve::testing_support {

// Records with the bytes they refer to.
class OwnedRecords {
 public:
  OwnedRecords() = default;
  OwnedRecords(OwnedRecords&&) = default;

  [[nodiscard]] std::span<const Record> views() const { return records_; }

  std::string_view Keep(std::string text) { return texts_.emplace_back(std::move(text)); }
  void Add(Record record, std::vector<Header> headers) {
    record.headers = headers_.emplace_back(std::move(headers));
    records_.push_back(record);
  }

 private:
  // Deques keep what they hold where it is.
  std::deque<std::string> texts_;
  std::deque<std::vector<Header>> headers_;
  std::vector<Record> records_;
};

inline OwnedRecords RandomRecords(std::mt19937* random, size_t count) {
  OwnedRecords records;
  const auto text = [&](size_t max_bytes) {
    std::string bytes((*random)() % (max_bytes + 1), '\0');
    for (char& c : bytes) c = static_cast<char>((*random)());
    return records.Keep(std::move(bytes));
  };
  const auto optional_text = [&](size_t max_bytes) -> std::optional<std::string_view> {
    if ((*random)() % 4 == 0) return std::nullopt;
    return text((*random)() % 8 == 0 ? 0 : max_bytes);
  };
  for (size_t i = 0; i < count; ++i) {
    Record record{.key = optional_text(100), .value = optional_text((*random)() % 10 == 0 ? 20'000 : 300)};
    switch ((*random)() % 5) {
      case 0:
        break;
      case 1:
        record.timestamp_ms = kNoTimestamp;
        break;
      default:
        record.timestamp_ms = 1'700'000'000'000 + static_cast<int64_t>((*random)()) - (int64_t{1} << 31);
    }
    std::vector<Header> headers;
    for (size_t n = (*random)() % 4; n > 0; --n) headers.push_back({text(80), optional_text(80)});
    records.Add(record, std::move(headers));
  }
  return records;
}

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_RECORD_RANDOM_RECORDS_H_
