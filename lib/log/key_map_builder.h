// KeyMapBuilder: the first half of a compaction, which learns the latest offset of each key of the dirty range, a batch
// at a time (Kafka Cleaner.buildOffsetMap, format notes §7.2).
//
// Thread rules: one thread at a time; the files it reads are of sealed segments, which nobody changes.
#ifndef VARVE_LIB_LOG_KEY_MAP_BUILDER_H_
#define VARVE_LIB_LOG_KEY_MAP_BUILDER_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "log/cleaned_transactions.h"
#include "log/key_offset_map.h"
#include "log/source_reader.h"
#include "varve/compression.h"
#include "varve/file_system.h"

namespace varve::internal {

struct KeyMapInput {
  FileSystem* file_system = nullptr;
  std::string directory;
  // The segments of the dirty range, in order, the one that holds first_dirty_offset first. The range ends at the next
  // base offset of the last; where there is none it is empty.
  std::vector<SourceSegment> segments;
  int64_t first_dirty_offset = 0;
  size_t budget_bytes = 0;
  bool refuse_unkeyed = false;
  CleanedTransactions transactions;  // at their beginning
};

struct BuiltKeyMap {
  KeyOffsetMap map;
  // The last offset that the map covers. It is that before the range's end, unless the map filled up sooner.
  int64_t map_end_offset = 0;
  int64_t records_read = 0;
  int64_t bytes_read = 0;
};

// Puts the keyed records at and above first_dirty_offset into a map, but for those of control batches and of aborted
// transactions, up to the first key that it has no room for. Covers one record at least, if there is one.
class KeyMapBuilder {
 public:
  // Errors: as KeyOffsetMap::Create.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<KeyMapBuilder>> Create(KeyMapInput input);

  // Takes the next batch in. False: there is none, or the map is full. Errors, after which it is of no use: as
  // SourceReader and CleanedTransactions; kDataLoss, a malformed batch; kResourceExhausted, one that decodes to more than
  // a reader allows; kInvalidArgument (kInvalidRecord), a record without a key that is refused.
  [[nodiscard]] absl::StatusOr<bool> Step();
  [[nodiscard]] int64_t bytes_read() const { return source_.bytes_read(); }

  // Once Step has answered false.
  [[nodiscard]] BuiltKeyMap Finish() &&;

 private:
  KeyMapBuilder(KeyMapInput input, KeyOffsetMap map);
  // False where the map is full.
  [[nodiscard]] absl::StatusOr<bool> AddBatch(const RecordBatchView& batch);
  [[nodiscard]] absl::StatusOr<bool> AddRecords(const RecordBatchView& batch);
  // Several are prepared before the first is put.
  struct PreparedRecord {
    std::optional<KeyOffsetMap::Hash> key;
    int64_t offset = 0;
  };
  [[nodiscard]] absl::StatusOr<bool> PutAll(std::span<const PreparedRecord> records);
  void Cover(int64_t offset);

  const int64_t first_dirty_offset_;
  const bool refuse_unkeyed_;
  SourceReader source_;
  CleanedTransactions transactions_;
  DecodeBuffer decoded_;
  std::array<PreparedRecord, 64> prepared_;
  BuiltKeyMap built_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_KEY_MAP_BUILDER_H_
