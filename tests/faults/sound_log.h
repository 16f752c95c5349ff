// SoundLog: what a log of some 64 KiB holds before a bit of it is turned. It has several segments, batches of one record
// and of many, compressed ones, those of producers and transactions, leader epochs, and records whose values are batches
// of their own. Some of these stand just where a single bit of a length leads to, in this batch or the one before.
#ifndef VARVE_TESTS_FAULTS_SOUND_LOG_H_
#define VARVE_TESTS_FAULTS_SOUND_LOG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/reference_log.h"
#include "support/random_choice.h"
#include "varve/leader_epoch.h"
#include "varve/log.h"
#include "varve/producer_state.h"
#include "varve/transaction_index.h"

namespace varve::testing_support {

struct SoundBatch {
  int64_t segment = 0;
  int64_t position = 0;
  int64_t base_offset = 0;
  int64_t last_offset = 0;
  bool transactional = false;  // a marker, too
  std::vector<std::byte> bytes;
  std::vector<ReferenceRecord> records;  // markers of transactions too

  [[nodiscard]] bool Holds(int64_t offset) const { return base_offset <= offset && offset <= last_offset; }
};

// An answer of Log::OffsetForTimestamp.
struct SoundTime {
  int64_t timestamp_ms = 0;
  std::optional<int64_t> offset = std::nullopt;
};

struct SoundLog {
  std::vector<SoundBatch> batches;
  int64_t end_offset = 0;
  std::vector<SoundTime> times;
  std::vector<AbortedTransaction> aborted;
  std::vector<LeaderEpoch> epochs;
  std::vector<ProducerStateEntry> producers;

  // The batch that holds this offset; null if none does.
  [[nodiscard]] const SoundBatch* At(int64_t offset) const;
  // The batch of which this byte of a segment's .log is a part; null behind the last.
  [[nodiscard]] const SoundBatch* At(int64_t segment, int64_t position) const;
};

inline constexpr char kSoundPartition[] = "orders-0";
inline constexpr int64_t kSoundLogBytes = int64_t{64} * 1024;

// Small segments and indexes, so that a log of 64 KiB has some of each.
[[nodiscard]] LogOptions SoundOptions(FileSystem* file_system, Clock* clock, IoMode io_mode);

// Appends a fixed row of batches to a log. Fails the test where the log refuses one. The log outlives this.
class SoundLogWriter {
 public:
  explicit SoundLogWriter(Log* log) : log_(log) {}

  // Appends until the log's segments hold so many bytes.
  void FillTo(int64_t bytes);

 private:
  [[nodiscard]] int64_t Time(int64_t offset) const;
  [[nodiscard]] std::string Noise(size_t bytes);
  [[nodiscard]] AppendOptions Options() const;
  void Append(std::span<const Record> records, const AppendOptions& options);
  void AppendOne(Record record);
  void AppendValue(std::string_view value);
  void AppendOfSize(size_t bytes);
  void AppendSeveral(int64_t count, size_t value_bytes, const AppendOptions& options);

  void AppendNoise();
  void AppendMany();
  void AppendCompressed();
  void AppendCompressedBatches();
  void AppendTombstone();
  void AppendIdempotent();
  void AppendTransaction();
  void AppendBatchAsValue();
  void AppendBatchesAsValue();
  void AppendBatchWhereAShorterLengthLeads();
  void AppendBatchAtTheEndWhereAShorterLengthLeads();
  void AppendBatchWhereTheLengthBeforeLeads();
  void AppendBatchAtTheEndWhereTheLengthBeforeLeads();
  void AppendBatchThatTheLengthBeforeMaySwallow();

  Log* const log_;
  RandomChoice random_{1};
  int64_t number_ = 0;
  int32_t idempotent_sequence_ = 0;
  int32_t transactional_sequence_ = 0;
};

// Ascending, with as much of each as a snapshot holds: its last batch alone, without a time of its own.
[[nodiscard]] std::vector<ProducerStateEntry> ProducersOf(const Log& log);

// What the log holds. Fails the test where it cannot be read.
[[nodiscard]] SoundLog ReadSoundLog(const Log& log);

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FAULTS_SOUND_LOG_H_
