// Record, Header: what a caller hands in. RecordView: what a caller reads out.
//
// A record inside a batch (Kafka's DefaultRecord). varint and varlong are zigzag LEB128 of 32 and 64 bits:
//
//   length           varint   bytes following this field
//   attributes       int8     written as 0, ignored when read
//   timestamp delta  varlong  from the batch's base timestamp; may be negative
//   offset delta     varint   from the batch's base offset
//   key              varint length (-1 is null), bytes
//   value            varint length (-1 is null: a tombstone), bytes
//   header count     varint   not negative
//   each header      varint key length (not negative), UTF-8 key; varint value length (-1 is null), bytes
//
// An empty key or value differs from a null one. Header keys may repeat; their order is kept.
//
// Lifetime: nothing here owns bytes. A Record refers to the caller's; a RecordView refers to the batch it was read
// from, or to the DecodeBuffer that a compressed batch was decoded into, and is valid as long as those are. Thread
// rules: values; const access from any thread.
//
//   varve::Record record{.key = "user-1", .value = "signed in"};
//   for (const varve::Header& header : view.headers()) Use(header.key, header.value);
#ifndef VARVE_RECORD_H_
#define VARVE_RECORD_H_

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
#include <span>
#include <string_view>

namespace varve {

inline constexpr int64_t kNoTimestamp = -1;
inline constexpr int64_t kNoProducerId = -1;
inline constexpr int16_t kNoProducerEpoch = -1;
inline constexpr int32_t kNoSequence = -1;
inline constexpr int32_t kNoLeaderEpoch = -1;

struct Header {
  std::string_view key;
  std::optional<std::string_view> value = std::nullopt;

  friend bool operator==(const Header&, const Header&) = default;
};

struct Record {
  std::optional<std::string_view> key = std::nullopt;
  std::optional<std::string_view> value = std::nullopt;
  // Milliseconds since the Unix epoch, or kNoTimestamp for none at all. Absent: the log's clock at the append.
  std::optional<int64_t> timestamp_ms = std::nullopt;
  std::span<const Header> headers = {};
};

// The headers of one record, decoded as they are walked. A forward range of Header by value.
class HeaderRange {
 public:
  class Iterator {
   public:
    using value_type = Header;
    using difference_type = std::ptrdiff_t;
    using reference = Header;
    using iterator_concept = std::forward_iterator_tag;
    using iterator_category = std::input_iterator_tag;

    Iterator() = default;

    [[nodiscard]] Header operator*() const { return current_; }
    [[nodiscard]] const Header* operator->() const { return &current_; }
    Iterator& operator++() {
      --remaining_;
      if (remaining_ > 0) Decode();
      return *this;
    }
    Iterator operator++(int) {
      Iterator before = *this;
      ++*this;
      return before;
    }
    // Only iterators of the same range compare meaningfully.
    friend bool operator==(const Iterator& a, const Iterator& b) { return a.remaining_ == b.remaining_; }

   private:
    friend class HeaderRange;
    Iterator(std::span<const std::byte> bytes, int32_t count) : rest_(bytes), remaining_(count) {
      if (remaining_ > 0) Decode();
    }
    void Decode();

    std::span<const std::byte> rest_;
    Header current_;
    int32_t remaining_ = 0;
  };

  HeaderRange() = default;
  // `bytes` hold exactly `count` well-formed headers.
  HeaderRange(std::span<const std::byte> bytes, int32_t count) : bytes_(bytes), count_(count) {}

  [[nodiscard]] Iterator begin() const { return Iterator(bytes_, count_); }
  [[nodiscard]] Iterator end() const { return Iterator(); }
  [[nodiscard]] size_t size() const { return static_cast<size_t>(count_); }
  [[nodiscard]] bool empty() const { return count_ == 0; }
  // The headers as they stand in the batch, behind their count.
  [[nodiscard]] std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
  int32_t count_ = 0;
};

// One record of a batch, in place. RecordCursor makes them, after it has checked the record's form.
class RecordView {
 public:
  RecordView() = default;
  RecordView(int64_t offset, int64_t timestamp_ms, std::optional<std::string_view> key,
             std::optional<std::string_view> value, HeaderRange headers)
      : offset_(offset), timestamp_ms_(timestamp_ms), key_(key), value_(value), headers_(headers) {}

  [[nodiscard]] int64_t offset() const { return offset_; }
  // kNoTimestamp if it has none. In a batch of log append time, that time.
  [[nodiscard]] int64_t timestamp_ms() const { return timestamp_ms_; }
  [[nodiscard]] std::optional<std::string_view> key() const { return key_; }
  [[nodiscard]] std::optional<std::string_view> value() const { return value_; }
  [[nodiscard]] const HeaderRange& headers() const { return headers_; }
  [[nodiscard]] size_t header_count() const { return headers_.size(); }
  // A null value: compaction removes the key, and in time this record.
  [[nodiscard]] bool is_tombstone() const { return !value_.has_value(); }

 private:
  friend class RecordCursor;  // decodes into them: a copy of what was just written would have to wait for that

  int64_t offset_ = 0;
  int64_t timestamp_ms_ = kNoTimestamp;
  std::optional<std::string_view> key_;
  std::optional<std::string_view> value_;
  HeaderRange headers_;
};

}  // namespace varve

#endif  // VARVE_RECORD_H_
