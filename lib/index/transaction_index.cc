#include "varve/transaction_index.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/status.h"
#include "index/index_file.h"

namespace varve {
namespace {

using internal::LoadBigEndian;
using internal::StoreBigEndian;

constexpr size_t kVersionAt = 0;
constexpr size_t kProducerIdAt = kVersionAt + sizeof(int16_t);
constexpr size_t kFirstOffsetAt = kProducerIdAt + sizeof(int64_t);
constexpr size_t kLastOffsetAt = kFirstOffsetAt + sizeof(int64_t);
constexpr size_t kLastStableOffsetAt = kLastOffsetAt + sizeof(int64_t);
static_assert(kLastStableOffsetAt + sizeof(int64_t) == TransactionIndex::kEntryBytes);

}  // namespace

absl::StatusOr<TransactionIndex> TransactionIndex::Parse(std::string_view name, int64_t base_offset,
                                                         std::span<const std::byte> bytes) {
  TransactionIndex index(base_offset);
  index.entries_.reserve(bytes.size() / kEntryBytes);
  for (size_t position = 0; position < bytes.size(); position += kEntryBytes) {
    if (bytes.size() - position < kEntryBytes) {
      return internal::Error(absl::StatusCode::kDataLoss, "{}: at byte {}: expected an entry of {} bytes, found {}",
                             name, position, kEntryBytes, bytes.size() - position);
    }
    const std::byte* entry = bytes.data() + position;
    if (const auto version = LoadBigEndian<int16_t>(entry + kVersionAt); version != kVersion) {
      return internal::Error(absl::StatusCode::kDataLoss, "{}: at byte {}: expected entry version {}, found {}", name,
                             position, kVersion, version);
    }
    const absl::Status appended =
        index.Append({.producer_id = LoadBigEndian<int64_t>(entry + kProducerIdAt),
                      .first_offset = LoadBigEndian<int64_t>(entry + kFirstOffsetAt),
                      .last_offset = LoadBigEndian<int64_t>(entry + kLastOffsetAt),
                      .last_stable_offset = LoadBigEndian<int64_t>(entry + kLastStableOffsetAt)});
    if (!appended.ok()) {
      return internal::Error(absl::StatusCode::kDataLoss, "{}: at byte {}: {}", name, position,
                             std::string_view(appended.message().data(), appended.message().size()));
    }
  }
  return index;
}

absl::StatusOr<TransactionIndex> TransactionIndex::Open(FileSystem* file_system, const std::string& path,
                                                        int64_t base_offset) {
  VARVE_ASSIGN_OR_RETURN(const std::vector<std::byte> bytes, internal::ReadIndexFile(file_system, path));
  return Parse(path, base_offset, bytes);
}

std::vector<std::byte> TransactionIndex::Encode(std::span<const AbortedTransaction> transactions) {
  std::vector<std::byte> bytes(transactions.size() * kEntryBytes);
  std::byte* entry = bytes.data();
  for (const AbortedTransaction& transaction : transactions) {
    StoreBigEndian<int16_t>(entry + kVersionAt, kVersion);
    StoreBigEndian<int64_t>(entry + kProducerIdAt, transaction.producer_id);
    StoreBigEndian<int64_t>(entry + kFirstOffsetAt, transaction.first_offset);
    StoreBigEndian<int64_t>(entry + kLastOffsetAt, transaction.last_offset);
    StoreBigEndian<int64_t>(entry + kLastStableOffsetAt, transaction.last_stable_offset);
    entry += kEntryBytes;
  }
  return bytes;
}

absl::Status TransactionIndex::Append(const AbortedTransaction& transaction) {
  const int64_t highest_before = entries_.empty() ? base_offset_ - 1 : entries_.back().last_offset;
  if (transaction.last_offset <= highest_before) {
    return internal::Error(absl::StatusCode::kInvalidArgument,
                           "transaction index of segment {}: entry {}: expected a last offset above {}, found {}",
                           base_offset_, entries_.size(), highest_before, transaction.last_offset);
  }
  entries_.push_back(transaction);
  return absl::OkStatus();
}

bool TransactionIndex::Collect(int64_t start_offset, int64_t upper_offset,
                               std::vector<AbortedTransaction>* aborted) const {
  // Last offsets rise, so everything before this one ended below the start. An entry skipped so cannot end the search
  // either: in a whole log its last stable offset is at most its marker's offset + 1, hence at most start_offset.
  const auto first =
      std::lower_bound(entries_.begin(), entries_.end(), start_offset,
                       [](const AbortedTransaction& entry, int64_t offset) { return entry.last_offset < offset; });
  for (auto entry = first; entry != entries_.end(); ++entry) {
    if (entry->first_offset < upper_offset) aborted->push_back(*entry);
    if (entry->last_stable_offset >= upper_offset) return true;
  }
  return false;
}

void TransactionIndex::TruncateTo(int64_t offset) {
  const auto cut = std::find_if(entries_.begin(), entries_.end(),
                                [offset](const AbortedTransaction& entry) { return entry.last_offset >= offset; });
  entries_.erase(cut, entries_.end());
}

}  // namespace varve
