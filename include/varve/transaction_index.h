// TransactionIndex: the aborted transactions whose markers lie in one segment, for readers of committed records.
//
// The .txnindex file exists once a transaction was aborted in the segment. It is a row of entries of 34 bytes,
// big-endian:
//
//   bytes  field
//   0-1    int16  version, 0
//   2-9    int64  producer id
//   10-17  int64  first offset of the transaction
//   18-25  int64  last offset: that of the abort marker
//   26-33  int64  last stable offset once the marker is committed: the first offset of the oldest other
//                 open transaction, else the marker's offset + 1
//
// Last offsets rise strictly and are not below the segment's base offset. The file is appended to without a sync; after
// a crash recovery rebuilds it from the log. (Kafka: TransactionIndex, AbortedTxn.)
//
// Thread rules: thread-compatible; concurrent const calls are fine, anything else is the caller's to order.
//
//   varve::TransactionIndex index = *varve::TransactionIndex::Open(fs, path, base_offset);
//   std::vector<varve::AbortedTransaction> aborted;
//   bool complete = index.Collect(start_offset, upper_offset, &aborted);  // if not: go on with the next segment's
#ifndef VARVE_TRANSACTION_INDEX_H_
#define VARVE_TRANSACTION_INDEX_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"

namespace varve {

struct AbortedTransaction {
  int64_t producer_id = -1;
  int64_t first_offset = -1;
  int64_t last_offset = -1;
  int64_t last_stable_offset = -1;

  friend bool operator==(const AbortedTransaction&, const AbortedTransaction&) = default;
};

class TransactionIndex {
 public:
  static constexpr size_t kEntryBytes = 34;
  static constexpr int16_t kVersion = 0;

  explicit TransactionIndex(int64_t base_offset) : base_offset_(base_offset) {}

  // Decodes a whole file; `name` is for messages. kDataLoss if an entry is cut off, has another version, or breaks the
  // order.
  [[nodiscard]] static absl::StatusOr<TransactionIndex> Parse(std::string_view name, int64_t base_offset,
                                                              std::span<const std::byte> bytes);

  // Reads and parses a file. Errors: as FileSystem::Open and Parse; kNotFound where no transaction was aborted.
  [[nodiscard]] static absl::StatusOr<TransactionIndex> Open(FileSystem* file_system, const std::string& path,
                                                             int64_t base_offset);

  // The entries in the form of the file.
  [[nodiscard]] static std::vector<std::byte> Encode(std::span<const AbortedTransaction> transactions);

  [[nodiscard]] int64_t base_offset() const { return base_offset_; }
  [[nodiscard]] const std::vector<AbortedTransaction>& entries() const { return entries_; }

  // Adds an entry. kInvalidArgument, with nothing changed, unless its last offset is above the last entry's and not
  // below the base offset.
  [[nodiscard]] absl::Status Append(const AbortedTransaction& transaction);

  // Appends to *aborted the transactions that overlap [start_offset, upper_offset). True if no later segment can hold
  // another one; false if the next segment's index has to be asked too.
  bool Collect(int64_t start_offset, int64_t upper_offset, std::vector<AbortedTransaction>* aborted) const;

  // Drops the entries from the first one on whose last offset is at or above `offset`. The file then has
  // entries().size() * kEntryBytes bytes.
  void TruncateTo(int64_t offset);

 private:
  int64_t base_offset_;
  std::vector<AbortedTransaction> entries_;
};

}  // namespace varve

#endif  // VARVE_TRANSACTION_INDEX_H_
