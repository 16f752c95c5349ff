// What the tests of compaction share: sealed segments in memory, and a pass over them.
#ifndef VARVE_TESTS_LOG_CLEANING_FIXTURE_H_
#define VARVE_TESTS_LOG_CLEANING_FIXTURE_H_

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "base/bytes.h"
#include "base/path.h"
#include "log/key_map_builder.h"
#include "log/partition_fixture.h"
#include "log/segment_cleaner.h"
#include "segment/segment_files.h"
#include "support/status_matchers.h"
#include "varve/record_batch.h"

namespace varve::testing_support {

inline constexpr int64_t kCleaningTime = 1'700'000'000'000;
inline constexpr int64_t kDeleteRetentionMs = 60'000;

// A record at an offset of its own; its time is kCleaningTime + 10 ms for each offset. A key or a value of "" is none.
struct KeyedRecord {
  int64_t offset = 0;
  std::string_view key;
  std::string_view value;
};

// A batch of these records, which ends at the last one unless the options say otherwise.
inline std::string CleaningBatch(const std::vector<KeyedRecord>& records, RecordBatchBuilderOptions options = {}) {
  if (options.base_offset == 0) options.base_offset = records.front().offset;
  RecordBatchBuilder builder(options);
  for (const KeyedRecord& keyed : records) {
    Record record{.timestamp_ms = kCleaningTime + 10 * keyed.offset};
    if (!keyed.key.empty()) record.key = keyed.key;
    if (!keyed.value.empty()) record.value = keyed.value;
    EXPECT_THAT(builder.AddAt(keyed.offset, record), IsOk());
  }
  const auto batch = builder.Build();
  EXPECT_THAT(batch, IsOk());
  return batch.ok() ? std::string(internal::AsText(*batch)) : std::string();
}

inline std::string CleaningMarker(int64_t offset, ControlType type, int64_t producer_id, int16_t epoch = 0) {
  const auto marker = BuildTransactionMarker({.type = type,
                                              .base_offset = offset,
                                              .leader_epoch = 0,
                                              .timestamp_ms = kCleaningTime + 10 * offset,
                                              .producer_id = producer_id,
                                              .producer_epoch = epoch});
  EXPECT_THAT(marker, IsOk());
  return marker.ok() ? std::string(internal::AsText(*marker)) : std::string();
}

// Of a producer: transactional data.
inline RecordBatchBuilderOptions InTransaction(int64_t producer_id, int32_t base_sequence = 0, int16_t epoch = 0) {
  return {.producer_id = producer_id, .producer_epoch = epoch, .base_sequence = base_sequence, .transactional = true};
}

// All of them in one go.
inline absl::StatusOr<internal::CleanedSegment> CleanGroup(std::span<const internal::SourceSegment> sources,
                                                           internal::CleaningPass* pass) {
  internal::SegmentCleaner cleaner({sources.begin(), sources.end()}, pass);
  for (bool more = true; more;) {
    const absl::StatusOr<bool> stepped = cleaner.Step();
    if (!stepped.ok()) return stepped.status();
    more = *stepped;
  }
  return cleaner.Finish();
}

class Cleaning {
 public:
  Partition partition;
  std::vector<internal::SourceSegment> sources;
  std::vector<AbortedTransaction> aborted;
  internal::ActiveProducers producers;
  // Where the round ends; by default where the sources do.
  std::optional<int64_t> round_end_offset;
  int64_t now_ms = kCleaningTime + 1'000'000;
  int64_t index_interval_bytes = 4096;
  // Instead of the partition's own.
  FileSystem* file_system = nullptr;

  // Segments are added in order; the last one ends the sources at next_base_offset.
  void AddSegment(int64_t base_offset, int64_t next_base_offset, std::string_view log) {
    WriteFile(partition.fs.get(), partition.LogPath(base_offset), log);
    sources.push_back({.base_offset = base_offset,
                       .next_base_offset = next_base_offset,
                       .size_bytes = static_cast<int64_t>(log.size())});
  }

  absl::StatusOr<internal::BuiltKeyMap> BuildMap(int64_t first_dirty_offset = 0,
                                                 size_t budget_bytes = size_t{1} << 20) {
    auto builder = internal::KeyMapBuilder::Create({.file_system = FileSystemInUse(),
                                                    .directory = kDirectory,
                                                    .segments = sources,
                                                    .first_dirty_offset = first_dirty_offset,
                                                    .budget_bytes = budget_bytes,
                                                    .transactions = internal::CleanedTransactions(aborted)});
    if (!builder.ok()) return builder.status();
    for (bool more = true; more;) {
      const absl::StatusOr<bool> stepped = (*builder)->Step();
      if (!stepped.ok()) return stepped.status();
      more = *stepped;
    }
    return std::move(**builder).Finish();
  }

  internal::CleaningPass Pass(const internal::BuiltKeyMap& built) {
    return {.file_system = FileSystemInUse(),
            .directory = kDirectory,
            .map = &built.map,
            .map_end_offset = built.map_end_offset,
            .round_end_offset = round_end_offset.value_or(sources.back().next_base_offset),
            .now_ms = now_ms,
            .delete_retention_ms = kDeleteRetentionMs,
            .index_interval_bytes = index_interval_bytes,
            .segment_index_bytes = 1024,
            .producers = producers,
            .transactions = internal::CleanedTransactions(aborted)};
  }

  // All sources as one group.
  absl::StatusOr<internal::CleanedSegment> Clean() {
    const absl::StatusOr<internal::BuiltKeyMap> built = BuildMap();
    if (!built.ok()) return built.status();
    internal::CleaningPass pass = Pass(*built);
    return CleanGroup(sources, &pass);
  }

  // What a pass has left, by the names that the files are to get.
  [[nodiscard]] FileMap Cleaned() const {
    constexpr std::string_view kSuffix = ".cleaned";
    FileMap cleaned;
    for (auto& [name, content] : ReadFiles(partition.fs.get(), kDirectory)) {
      if (name.ends_with(kSuffix)) cleaned[name.substr(0, name.size() - kSuffix.size())] = content;
    }
    return cleaned;
  }
  // Of the first source.
  [[nodiscard]] std::string CleanedLog() const {
    const FileMap cleaned = Cleaned();
    return cleaned.at(internal::SegmentFileName(sources.front().base_offset, internal::SegmentFileKind::kLog));
  }

  // What a swap does: the output of a cleaning takes the sources' place.
  void Swap() {
    const FileMap cleaned = Cleaned();
    const int64_t next_base_offset = sources.back().next_base_offset;
    const int64_t base_offset = sources.front().base_offset;
    sources.clear();
    for (const auto& [name, content] : ReadFiles(partition.fs.get(), kDirectory)) {
      EXPECT_THAT(partition.fs->Remove(internal::JoinPath(kDirectory, name)), IsOk());
    }
    for (const auto& [name, content] : cleaned) {
      WriteFile(partition.fs.get(), internal::JoinPath(kDirectory, name), content);
    }
    const std::string log = cleaned.at(internal::SegmentFileName(base_offset, internal::SegmentFileKind::kLog));
    AddSegment(base_offset, next_base_offset, log);
    const auto index =
        cleaned.find(internal::SegmentFileName(base_offset, internal::SegmentFileKind::kTransactionIndex));
    // Entries of markers that lie behind the sources are in a later segment's index.
    std::erase_if(aborted,
                  [&](const AbortedTransaction& transaction) { return transaction.last_offset < next_base_offset; });
    if (index == cleaned.end()) return;
    const auto parsed = TransactionIndex::Parse(index->first, base_offset, internal::AsBytes(index->second));
    ASSERT_THAT(parsed, IsOk());
    aborted.insert(aborted.end(), parsed->entries().begin(), parsed->entries().end());
  }

 private:
  FileSystem* FileSystemInUse() { return file_system != nullptr ? file_system : partition.fs.get(); }
};

// "100: a=1 b=2 c | 103: (none to 105)": the batches with their base offsets and records; a tombstone has no value, an
// emptied batch tells its last offset, "!" stands for a delete horizon, ABORT and COMMIT for markers.
inline std::string Picture(std::string_view log) {
  std::string picture;
  for (const std::string& bytes : SplitBatches(log)) {
    const RecordBatchView batch(internal::AsBytes(bytes));
    if (!picture.empty()) picture += " | ";
    picture += std::to_string(batch.base_offset()) + (batch.delete_horizon_ms().has_value() ? "!:" : ":");
    if (!batch.CrcMatches()) picture += " BAD CHECKSUM";
    if (batch.record_count() == 0) picture += " (none to " + std::to_string(batch.last_offset()) + ")";
    DecodeBuffer scratch;
    RecordCursor cursor(batch, &scratch);
    for (RecordView record; cursor.Next(&record);) {
      if (batch.is_control()) {
        const auto control = ParseControlRecord(record);
        picture += control.ok() && control->type == static_cast<int16_t>(ControlType::kCommit) ? " COMMIT" : " ABORT";
        continue;
      }
      picture += " " + std::string(record.key().value_or("(unkeyed)"));
      if (record.value().has_value()) picture += "=" + std::string(*record.value());
    }
    EXPECT_THAT(cursor.status(), IsOk());
  }
  return picture;
}

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_LOG_CLEANING_FIXTURE_H_
