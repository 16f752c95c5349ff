// Records of every shape from a seeded generator: null, empty, short and long texts, headers, timestamps that jump.
#ifndef VARVE_TESTS_RECORD_RANDOM_RECORDS_H_
#define VARVE_TESTS_RECORD_RANDOM_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
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

struct RecordShape {
  size_t key_count = 0;  // of different keys, none null; 0: any key or none
  size_t max_value_bytes = 300;
  size_t max_long_value_bytes = 20'000;  // of one in ten
  // Around which time, and how far from it at most. One in five has no timestamp of its own, and as many have none at all.
  int64_t around_ms = 1'700'000'000'000;
  int64_t spread_ms = int64_t{1} << 31;
  bool text_header_keys = false;  // true: readers may take them for UTF-8
};

template <typename Engine>
OwnedRecords RandomRecords(Engine* random, size_t count, const RecordShape& shape = {}) {
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
  const auto number = [&](std::string_view name, size_t below) {
    return records.Keep(std::string(name) + std::to_string((*random)() % below));
  };
  for (size_t i = 0; i < count; ++i) {
    Record record{.key = shape.key_count > 0 ? number("key ", shape.key_count) : optional_text(100),
                  .value = optional_text((*random)() % 10 == 0 ? shape.max_long_value_bytes : shape.max_value_bytes)};
    switch ((*random)() % 5) {
      case 0:
        break;
      case 1:
        record.timestamp_ms = kNoTimestamp;
        break;
      default:
        record.timestamp_ms = shape.around_ms - shape.spread_ms +
                              static_cast<int64_t>((*random)() % (2 * static_cast<uint64_t>(shape.spread_ms) + 1));
    }
    std::vector<Header> headers;
    for (size_t n = (*random)() % 4; n > 0; --n) {
      headers.push_back({shape.text_header_keys ? number("header ", 3) : text(80), optional_text(80)});
    }
    records.Add(record, std::move(headers));
  }
  return records;
}

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_RECORD_RANDOM_RECORDS_H_
