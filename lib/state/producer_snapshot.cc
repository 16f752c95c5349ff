#include "state/producer_snapshot.h"

#include <charconv>
#include <limits>
#include <memory>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "io/whole_file.h"

namespace varve::internal {
namespace {

constexpr std::string_view kSuffix = ".snapshot";
constexpr size_t kOffsetDigitCount = 20;

constexpr int16_t kVersion = 1;
constexpr size_t kVersionAt = 0;
constexpr size_t kCrcAt = kVersionAt + sizeof(int16_t);
constexpr size_t kCountAt = kCrcAt + sizeof(uint32_t);
constexpr size_t kHeaderBytes = kCountAt + sizeof(int32_t);
static_assert(kHeaderBytes == 10);

constexpr size_t kProducerIdAt = 0;
constexpr size_t kEpochAt = kProducerIdAt + sizeof(int64_t);
constexpr size_t kLastSequenceAt = kEpochAt + sizeof(int16_t);
constexpr size_t kLastOffsetAt = kLastSequenceAt + sizeof(int32_t);
constexpr size_t kOffsetDeltaAt = kLastOffsetAt + sizeof(int64_t);
constexpr size_t kTimestampAt = kOffsetDeltaAt + sizeof(int32_t);
constexpr size_t kCoordinatorEpochAt = kTimestampAt + sizeof(int64_t);
constexpr size_t kTransactionFirstOffsetAt = kCoordinatorEpochAt + sizeof(int32_t);
constexpr size_t kEntryBytes = kTransactionFirstOffsetAt + sizeof(int64_t);
static_assert(kEntryBytes == 46);

void EncodeEntry(const ProducerStateEntry& producer, std::byte* out) {
  StoreBigEndian<int64_t>(out + kProducerIdAt, producer.producer_id);
  StoreBigEndian<int16_t>(out + kEpochAt, producer.epoch);
  StoreBigEndian<int32_t>(out + kLastSequenceAt, producer.last_sequence());
  StoreBigEndian<int64_t>(out + kLastOffsetAt, producer.last_offset());
  StoreBigEndian<int32_t>(out + kOffsetDeltaAt, producer.last_offset_delta());
  StoreBigEndian<int64_t>(out + kTimestampAt, producer.last_timestamp_ms);
  StoreBigEndian<int32_t>(out + kCoordinatorEpochAt, producer.coordinator_epoch);
  StoreBigEndian<int64_t>(out + kTransactionFirstOffsetAt, producer.current_transaction_first_offset.value_or(-1));
}

ProducerStateEntry DecodeEntry(const std::byte* entry) {
  ProducerStateEntry producer{.producer_id = LoadBigEndian<int64_t>(entry + kProducerIdAt),
                              .epoch = LoadBigEndian<int16_t>(entry + kEpochAt),
                              .coordinator_epoch = LoadBigEndian<int32_t>(entry + kCoordinatorEpochAt),
                              .last_timestamp_ms = LoadBigEndian<int64_t>(entry + kTimestampAt)};
  const auto transaction = LoadBigEndian<int64_t>(entry + kTransactionFirstOffsetAt);
  if (transaction >= 0) producer.current_transaction_first_offset = transaction;
  const auto last_offset = LoadBigEndian<int64_t>(entry + kLastOffsetAt);
  if (last_offset >= 0) {
    producer.batches.push_back({.last_sequence = LoadBigEndian<int32_t>(entry + kLastSequenceAt),
                                .last_offset = last_offset,
                                .offset_delta = LoadBigEndian<int32_t>(entry + kOffsetDeltaAt),
                                .timestamp_ms = producer.last_timestamp_ms});
  }
  return producer;
}

}  // namespace

std::string ProducerSnapshotName(int64_t offset) { return fmt::format("{:020}{}", offset, kSuffix); }

std::optional<int64_t> ParseProducerSnapshotName(std::string_view name) {
  if (name.size() != kOffsetDigitCount + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  const char* const end = name.data() + kOffsetDigitCount;
  uint64_t offset = 0;
  const auto [stop, error] = std::from_chars(name.data(), end, offset);
  if (error != std::errc() || stop != end || offset > std::numeric_limits<int64_t>::max()) return std::nullopt;
  return static_cast<int64_t>(offset);
}

absl::StatusOr<std::vector<int64_t>> ListProducerSnapshots(FileSystem* file_system, const std::string& directory) {
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::string> names, file_system->List(directory));
  std::vector<int64_t> offsets;
  // The names are sorted, and digits of one width sort as their numbers do.
  for (const std::string& name : names) {
    if (const std::optional<int64_t> offset = ParseProducerSnapshotName(name)) offsets.push_back(*offset);
  }
  return offsets;
}

std::vector<std::byte> EncodeProducerSnapshot(std::span<const ProducerStateEntry> producers) {
  std::vector<std::byte> bytes(kHeaderBytes + producers.size() * kEntryBytes);
  std::byte* entry = bytes.data() + kHeaderBytes;
  for (const ProducerStateEntry& producer : producers) {
    EncodeEntry(producer, entry);
    entry += kEntryBytes;
  }
  StoreBigEndian<int16_t>(bytes.data() + kVersionAt, kVersion);
  StoreBigEndian<int32_t>(bytes.data() + kCountAt, static_cast<int32_t>(producers.size()));
  StoreBigEndian<uint32_t>(bytes.data() + kCrcAt, Crc32c(std::span(bytes).subspan(kCountAt)));
  return bytes;
}

absl::StatusOr<std::vector<ProducerStateEntry>> DecodeProducerSnapshot(std::string_view path,
                                                                       std::span<const std::byte> bytes) {
  if (bytes.size() < kHeaderBytes) {
    return Error(absl::StatusCode::kDataLoss, "{}: expected {} bytes or more, found {}", path, kHeaderBytes,
                 bytes.size());
  }
  if (const auto version = LoadBigEndian<int16_t>(bytes.data() + kVersionAt); version != kVersion) {
    return Error(absl::StatusCode::kDataLoss, "{}: at byte {}: expected version {}, found {}", path, kVersionAt,
                 kVersion, version);
  }
  const auto stored_crc = LoadBigEndian<uint32_t>(bytes.data() + kCrcAt);
  if (const uint32_t crc = Crc32c(bytes.subspan(kCountAt)); crc != stored_crc) {
    return Error(absl::StatusCode::kDataLoss, "{}: at byte {}: expected checksum {:08x}, found {:08x}", path, kCrcAt,
                 crc, stored_crc);
  }
  const auto count = LoadBigEndian<int32_t>(bytes.data() + kCountAt);
  const size_t entries_bytes = bytes.size() - kHeaderBytes;
  if (count < 0 || entries_bytes != static_cast<size_t>(count) * kEntryBytes) {
    return Error(absl::StatusCode::kDataLoss, "{}: at byte {}: expected {} entries of {} bytes, found {} bytes", path,
                 kCountAt, count, kEntryBytes, entries_bytes);
  }
  std::vector<ProducerStateEntry> producers;
  producers.reserve(static_cast<size_t>(count));
  for (size_t position = kHeaderBytes; position < bytes.size(); position += kEntryBytes) {
    producers.push_back(DecodeEntry(bytes.data() + position));
  }
  return producers;
}

absl::StatusOr<std::vector<ProducerStateEntry>> ReadProducerSnapshot(FileSystem* file_system, const std::string& path) {
  VARVE_ASSIGN_OR_RETURN(const std::string bytes,
                         ReadWholeFile(file_system, path, std::numeric_limits<int32_t>::max()));
  return DecodeProducerSnapshot(path, AsBytes(bytes));
}

absl::Status WriteProducerSnapshot(FileSystem* file_system, const std::string& path,
                                   std::span<const ProducerStateEntry> producers, SnapshotSync sync) {
  const std::vector<std::byte> bytes = EncodeProducerSnapshot(producers);
  if (sync == SnapshotSync::kDurable) return ReplaceFile(file_system, path, bytes);
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system->Open(path, OpenMode::kTruncate));
  return file->WriteAt(0, bytes);
}

}  // namespace varve::internal
