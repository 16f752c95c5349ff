#include "file_systems/journal.h"

#include <charconv>

#include "fmt/format.h"

namespace varve::testing_support {

int64_t Journal::Begin(LogChange change, int64_t offset, int32_t record_count, Ack ack) {
  const int64_t number = memory_->count.fetch_add(1);
  JournalEntry& entry = Mutable(number);
  entry.ack = ack;
  entry.record_count = record_count;
  entry.era = memory_->era.load();
  entry.offset.store(offset);
  entry.ended_at.store(kNever);
  entry.begun_at.store(now());
  entry.change.store(change);
  return number;
}

int64_t Journal::BeginAppend(int32_t record_count, Ack ack) { return Begin(LogChange::kAppend, -1, record_count, ack); }

int64_t Journal::BeginTruncation(int64_t offset) {
  memory_->era.fetch_add(1);
  return Begin(LogChange::kTruncate, offset);
}

void Journal::End(int64_t number, int64_t offset) {
  Mutable(number).offset.store(offset);
  Mutable(number).ended_at.store(now());
}

bool Journal::IsAppended(int64_t number, int32_t index) const {
  if (number < 0 || number >= size()) return false;
  const JournalEntry& entry = this->entry(number);
  return entry.change.load() == LogChange::kAppend && index >= 0 && index < entry.record_count;
}

void Journal::Settle(int64_t log_end_offset) {
  for (int64_t number = 0; number < size(); ++number) {
    JournalEntry& entry = Mutable(number);
    if (entry.change.load() != LogChange::kTruncate || entry.ended_at.load() != kNever) continue;
    if (entry.offset.load() < log_end_offset) entry.change.store(LogChange::kNone);
    entry.ended_at.store(now());
  }
  memory_->era.fetch_add(1);
  End(Begin(LogChange::kEnding, log_end_offset));
}

JournalRecord JournalRecord::Of(int64_t number, int32_t index) {
  const auto draw = static_cast<uint64_t>(number * 8 + index) * 0x9e3779b97f4a7c15 >> 20;
  JournalRecord record{.key = fmt::format("key {}", draw % 61), .value = fmt::format("{}/{} ", number, index)};
  const uint64_t filler_bytes = draw % 50 == 0 ? 30'000 : draw % 600;
  record.value.append(filler_bytes, static_cast<char>('a' + draw % 26));
  return record;
}

bool ParseValue(const std::string& value, int64_t* number, int32_t* index) {
  const char* const end = value.data() + value.size();
  const auto [slash, number_error] = std::from_chars(value.data(), end, *number);
  if (number_error != std::errc() || slash == end || *slash != '/') return false;
  return std::from_chars(slash + 1, end, *index).ec == std::errc();
}

}  // namespace varve::testing_support
