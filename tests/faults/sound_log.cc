#include "faults/sound_log.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/bytes.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"

namespace varve::testing_support {
namespace {

using internal::AsText;

constexpr int64_t kIdempotentProducer = 5;
constexpr int64_t kTransactionalProducer = 7;
// The bit of a length that leads into a value, and one that leads over a whole batch.
constexpr size_t kLeap = 256;
constexpr size_t kSwallowed = 128;
constexpr int64_t kRowLength = 15;
// Of the record at offset 0; not long before the clock of the log.
constexpr int64_t kFirstMs = 1'699'999'000'000;

std::string BatchOf(int64_t base_offset, const Record& record) {
  RecordBatchBuilder builder({.base_offset = base_offset, .leader_epoch = 0});
  EXPECT_THAT(builder.Add(record), IsOk());
  const absl::StatusOr<std::span<const std::byte>> bytes = builder.Build();
  EXPECT_THAT(bytes, IsOk());
  return bytes.ok() ? std::string(AsText(*bytes)) : std::string();
}

// A batch of one record that takes just so many bytes.
std::string BatchOfSize(int64_t base_offset, size_t bytes) {
  for (size_t value_bytes = 0; value_bytes < bytes; ++value_bytes) {
    const std::string value(value_bytes, 'n');
    std::string batch = BatchOf(base_offset, {.value = value, .timestamp_ms = kFirstMs + base_offset});
    if (batch.size() == bytes) return batch;
  }
  ADD_FAILURE() << "no batch of " << bytes << " bytes";
  return {};
}

// A key with which `inner` begins at this byte of a batch of the record.
std::string KeyThatPuts(std::string_view inner, size_t at, int64_t base_offset, Record record) {
  for (size_t key_bytes = 1; key_bytes < at; ++key_bytes) {
    std::string key(key_bytes, 'k');
    record.key = key;
    if (BatchOf(base_offset, record).find(inner) == at) return key;
  }
  ADD_FAILURE() << "no key puts a batch at byte " << at;
  return {};
}

int64_t BytesOf(const Log& log) {
  int64_t bytes = 0;
  for (const LogSegmentInfo& segment : log.segments()) bytes += segment.size_bytes;
  return bytes;
}

}  // namespace

LogOptions SoundOptions(FileSystem* file_system, Clock* clock, IoMode io_mode) {
  LogOptions options;
  options.file_system = file_system;
  options.clock = clock;
  options.io_mode = io_mode;
  options.segment_bytes = kSoundLogBytes / 5;
  options.index_interval_bytes = 700;
  options.segment_index_bytes = 1024;
  return options;
}

// --- Writing ---

void SoundLogWriter::FillTo(int64_t bytes) {
  static constexpr std::array<void (SoundLogWriter::*)(), kRowLength> kRow = {
      &SoundLogWriter::AppendNoise,
      &SoundLogWriter::AppendBatchWhereTheLengthBeforeLeads,
      &SoundLogWriter::AppendMany,
      &SoundLogWriter::AppendBatchAsValue,
      &SoundLogWriter::AppendCompressed,
      &SoundLogWriter::AppendTransaction,
      &SoundLogWriter::AppendBatchWhereAShorterLengthLeads,
      &SoundLogWriter::AppendTombstone,
      &SoundLogWriter::AppendBatchThatTheLengthBeforeMaySwallow,
      &SoundLogWriter::AppendCompressedBatches,
      &SoundLogWriter::AppendIdempotent,
      &SoundLogWriter::AppendBatchesAsValue,
      &SoundLogWriter::AppendBatchAtTheEndWhereTheLengthBeforeLeads,
      &SoundLogWriter::AppendNoise,
      &SoundLogWriter::AppendBatchAtTheEndWhereAShorterLengthLeads,
  };
  while (BytesOf(*log_) < bytes && !::testing::Test::HasFailure()) {
    (this->*kRow[static_cast<size_t>(number_ % kRowLength)])();
    ++number_;
  }
}

// Rises, but for some records that bear a time of before.
int64_t SoundLogWriter::Time(int64_t offset) const { return kFirstMs + 10 * offset - (offset % 17 == 0 ? 500 : 0); }

std::string SoundLogWriter::Noise(size_t bytes) {
  std::string noise(bytes, '\0');
  for (char& byte : noise) byte = static_cast<char>(random_.Below(256));
  return noise;
}

AppendOptions SoundLogWriter::Options() const {
  return {.leader_epoch = static_cast<int32_t>(number_ < 40 ? 0 : number_ < 100 ? 3 : 4)};
}

void SoundLogWriter::Append(std::span<const Record> records, const AppendOptions& options) {
  EXPECT_THAT(log_->Append(records, options), IsOk());
}

void SoundLogWriter::AppendOne(Record record) {
  record.timestamp_ms = Time(log_->log_end_offset());
  Append({&record, 1}, Options());
}

void SoundLogWriter::AppendValue(std::string_view value) { AppendOne({.key = "key", .value = value}); }

void SoundLogWriter::AppendOfSize(size_t bytes) {
  for (size_t value_bytes = 0; value_bytes < bytes; ++value_bytes) {
    const std::string value = Noise(value_bytes);
    if (BatchOf(0, {.value = value, .timestamp_ms = 0}).size() == bytes) return AppendOne({.value = value});
  }
  ADD_FAILURE() << "no batch of " << bytes << " bytes";
}

void SoundLogWriter::AppendSeveral(int64_t count, size_t value_bytes, const AppendOptions& options) {
  std::vector<std::string> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(Noise(value_bytes));
  std::vector<Record> records;
  for (int64_t i = 0; i < count; ++i) {
    records.push_back({.key = "k", .value = values[static_cast<size_t>(i)]});
    records.back().timestamp_ms = Time(log_->log_end_offset() + i);
  }
  Append(records, options);
}

void SoundLogWriter::AppendNoise() { AppendValue(Noise(static_cast<size_t>(20 + random_.Below(200)))); }

void SoundLogWriter::AppendMany() { AppendSeveral(3 + number_ % 20, 12, Options()); }

void SoundLogWriter::AppendCompressed() {
  AppendOptions options = Options();
  std::vector<Codec> codecs = {Codec::kNone};
  for (const Codec codec : {Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd}) {
    if (CodecAvailable(codec)) codecs.push_back(codec);
  }
  options.compression = codecs[static_cast<size_t>(number_ / kRowLength) % codecs.size()];
  AppendSeveral(4 + number_ % 7, 30, options);
}

// What is compressed shows no batch to who looks for one.
void SoundLogWriter::AppendCompressedBatches() {
  AppendOptions options = Options();
  if (CodecAvailable(Codec::kLz4)) options.compression = Codec::kLz4;
  const int64_t offset = log_->log_end_offset();
  const std::string value = BatchOfSize(offset, 90) + BatchOfSize(offset + 1, 91);
  const Record record{.key = "key", .value = value, .timestamp_ms = Time(offset)};
  Append({&record, 1}, options);
}

void SoundLogWriter::AppendTombstone() { AppendOne({.key = "key"}); }

void SoundLogWriter::AppendIdempotent() {
  AppendOptions options = Options();
  options.producer = {.producer_id = kIdempotentProducer, .base_sequence = idempotent_sequence_};
  AppendSeveral(2, 25, options);
  idempotent_sequence_ += 2;
}

void SoundLogWriter::AppendTransaction() {
  AppendOptions options = Options();
  options.producer = {
      .producer_id = kTransactionalProducer, .base_sequence = transactional_sequence_, .transactional = true};
  AppendSeveral(2, 15, options);
  transactional_sequence_ += 2;
  const ControlType end = number_ % 2 == 0 ? ControlType::kCommit : ControlType::kAbort;
  EXPECT_THAT(log_->AppendEndTransaction(kTransactionalProducer, 0, end, /*coordinator_epoch=*/1, Options()), IsOk());
}

// Batches that could stand behind the one in whose value they are.
void SoundLogWriter::AppendBatchAsValue() { AppendValue(BatchOfSize(log_->log_end_offset() + 1, 100)); }

void SoundLogWriter::AppendBatchesAsValue() {
  const int64_t next_offset = log_->log_end_offset() + 1;
  AppendValue(BatchOfSize(next_offset, 80) + BatchOfSize(next_offset + 1, 81) + BatchOfSize(next_offset + 2, 82));
}

// One byte, the number of headers, follows the value.
void SoundLogWriter::AppendBatchWhereAShorterLengthLeads() {
  const std::string inner = BatchOfSize(log_->log_end_offset() + 1, kLeap - 1);
  AppendOne({.value = inner});
}

void SoundLogWriter::AppendBatchAtTheEndWhereAShorterLengthLeads() {
  const std::string inner = BatchOfSize(log_->log_end_offset() + 1, kLeap);
  const Header header{.key = "h", .value = inner};
  AppendOne({.value = "v", .headers = {&header, 1}});
}

void SoundLogWriter::AppendBatchWhereTheLengthBeforeLeads() {
  AppendOfSize(200);
  const int64_t offset = log_->log_end_offset();
  const std::string inner = BatchOfSize(offset, 150);
  const std::string key = KeyThatPuts(inner, kLeap, offset, {.value = inner, .timestamp_ms = Time(offset)});
  AppendOne({.key = key, .value = inner});
}

// The batch inside ends where the one around it does: by their headers alone it is the log's own.
void SoundLogWriter::AppendBatchAtTheEndWhereTheLengthBeforeLeads() {
  AppendOfSize(210);
  const int64_t offset = log_->log_end_offset();
  const std::string inner = BatchOfSize(offset, 120);
  const Header header{.key = "h", .value = inner};
  const Record record{.value = "v", .timestamp_ms = Time(offset), .headers = {&header, 1}};
  const std::string key = KeyThatPuts(inner, kLeap, offset, record);
  AppendOne({.key = key, .value = "v", .headers = {&header, 1}});
}

void SoundLogWriter::AppendBatchThatTheLengthBeforeMaySwallow() {
  AppendOfSize(100);
  AppendOfSize(kSwallowed);
}

// --- Reading ---

namespace {

SoundBatch BatchAt(LogReader* reader, int64_t offset) {
  SoundBatch batch;
  const absl::StatusOr<std::optional<OffsetLookup>> place = reader->Find(offset, Isolation::kLogEnd);
  EXPECT_TRUE(place.ok() && place->has_value()) << place.status();
  const absl::StatusOr<std::optional<RecordBatchView>> view = reader->ReadBatch(offset, Isolation::kLogEnd);
  EXPECT_TRUE(view.ok() && view->has_value()) << view.status();
  if (::testing::Test::HasFailure()) return batch;
  batch.segment = (*place)->segment;
  batch.position = (*place)->position;
  batch.base_offset = (*view)->base_offset();
  batch.last_offset = (*view)->last_offset();
  batch.transactional = (*view)->is_transactional();
  batch.bytes.assign((*view)->bytes().begin(), (*view)->bytes().end());
  DecodeBuffer scratch;
  RecordCursor cursor(**view, &scratch);
  for (RecordView record; cursor.Next(&record);) {
    ReferenceRecord& read = batch.records.emplace_back();
    read.offset = record.offset();
    read.timestamp_ms = record.timestamp_ms();
    read.key = record.key();
    read.value = record.value();
  }
  EXPECT_THAT(cursor.status(), IsOk());
  return batch;
}

std::optional<int64_t> FirstAtOrAfter(const SoundLog& log, int64_t timestamp_ms) {
  for (const SoundBatch& batch : log.batches) {
    for (const ReferenceRecord& record : batch.records) {
      if (record.timestamp_ms >= timestamp_ms) return record.offset;
    }
  }
  return std::nullopt;
}

// A time in every third batch, in turn of its first record and its last; one before all, and one behind.
std::vector<SoundTime> TimesOf(const SoundLog& log) {
  std::vector<SoundTime> times = {{.timestamp_ms = 0}, {.timestamp_ms = 2 * kFirstMs}};
  int64_t largest_ms = 0;
  for (size_t i = 0; i < log.batches.size(); ++i) {
    const std::vector<ReferenceRecord>& records = log.batches[i].records;
    if (i % 3 == 0) times.push_back({.timestamp_ms = (i % 2 == 0 ? records.front() : records.back()).timestamp_ms});
    for (const ReferenceRecord& record : records) largest_ms = std::max(largest_ms, record.timestamp_ms);
  }
  for (SoundTime& time : times) time.offset = FirstAtOrAfter(log, time.timestamp_ms);
  times.push_back({.timestamp_ms = kMaxTimestamp, .offset = FirstAtOrAfter(log, largest_ms)});
  return times;
}

}  // namespace

std::vector<ProducerStateEntry> ProducersOf(const Log& log) {
  std::vector<ProducerStateEntry> producers = log.producers();
  for (ProducerStateEntry& producer : producers) {
    if (producer.batches.empty()) continue;
    producer.batches = {producer.batches.back()};
    producer.batches.back().timestamp_ms = kNoTimestamp;
  }
  std::ranges::sort(producers, {}, &ProducerStateEntry::producer_id);
  return producers;
}

SoundLog ReadSoundLog(const Log& log) {
  SoundLog sound;
  LogReader reader = log.NewReader();
  for (int64_t offset = 0; offset < log.log_end_offset() && !::testing::Test::HasFailure();) {
    sound.batches.push_back(BatchAt(&reader, offset));
    offset = sound.batches.back().last_offset + 1;
  }
  sound.end_offset = log.log_end_offset();
  if (::testing::Test::HasFailure()) return sound;
  sound.times = TimesOf(sound);
  const auto aborted = log.AbortedTransactions(0, sound.end_offset);
  EXPECT_THAT(aborted, IsOk());
  if (aborted.ok()) sound.aborted = *aborted;
  sound.epochs = log.leader_epochs();
  sound.producers = ProducersOf(log);
  return sound;
}

const SoundBatch* SoundLog::At(int64_t offset) const {
  const auto above = std::upper_bound(batches.begin(), batches.end(), offset,
                                      [](int64_t value, const SoundBatch& batch) { return value < batch.base_offset; });
  if (above == batches.begin() || !std::prev(above)->Holds(offset)) return nullptr;
  return &*std::prev(above);
}

const SoundBatch* SoundLog::At(int64_t segment, int64_t position) const {
  for (const SoundBatch& batch : batches) {
    if (batch.segment != segment || position < batch.position) continue;
    if (position < batch.position + static_cast<int64_t>(batch.bytes.size())) return &batch;
  }
  return nullptr;
}

}  // namespace varve::testing_support
