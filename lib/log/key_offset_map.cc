#include "log/key_offset_map.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/status.h"
#include "sodium.h"

namespace varve::internal {
namespace {

// Of the entries, so many tenths are filled: beyond that the search for a free one grows long (log.cleaner.io.buffer.
// load.factor).
constexpr size_t kFilledTenths = 9;
// Room for one key, and an entry that stays free to end every search.
constexpr size_t kMinSlotCount = 2;

static_assert(crypto_shorthash_siphashx24_BYTES == 2 * sizeof(uint64_t));

// The entries that so many keys fill to nine tenths, at most `limit` of them.
size_t SlotsFor(uint64_t key_count, size_t limit) {
  if (key_count >= limit) return limit;
  return std::min<size_t>(limit, static_cast<size_t>(key_count) + static_cast<size_t>(key_count) / kFilledTenths + 1);
}

}  // namespace

absl::StatusOr<KeyOffsetMap> KeyOffsetMap::Create(size_t budget_bytes, uint64_t max_key_count) {
  // Draws from the system's random numbers; may be called again and from any thread.
  if (sodium_init() < 0) return absl::InternalError("the system gives no random numbers, which compaction needs");
  const size_t slot_count = std::max(kMinSlotCount, SlotsFor(max_key_count, budget_bytes / kEntryBytes));
  absl::StatusOr<ZeroedPages> pages = MapZeroedPages(slot_count * sizeof(Entry));
  if (!pages.ok()) return Annotate(pages.status(), fmt::format("a map of {} keys", slot_count));
  HashKey hash_key;
  static_assert(sizeof hash_key == crypto_shorthash_siphashx24_KEYBYTES);
  randombytes_buf(hash_key.data(), hash_key.size());
  return KeyOffsetMap(*std::move(pages), slot_count, hash_key);
}

KeyOffsetMap::KeyOffsetMap(ZeroedPages pages, size_t slot_count, const HashKey& hash_key)
    : pages_(std::move(pages)),
      entries_(reinterpret_cast<Entry*>(pages_.get())),
      slot_count_(slot_count),
      // Nine tenths, without overflow; one of two.
      capacity_(std::max<size_t>(1, slot_count / 10 * kFilledTenths + slot_count % 10 * kFilledTenths / 10)),
      hash_key_(hash_key) {}

KeyOffsetMap::Hash KeyOffsetMap::Prepare(std::string_view key) const {
  const Hash hash = HashOf(key);
  const auto* const entry = reinterpret_cast<const std::byte*>(&entries_[FirstSlot(hash)]);
  __builtin_prefetch(entry);  // may lie in two cache lines
  __builtin_prefetch(entry + kEntryBytes - 1);
  return hash;
}

bool KeyOffsetMap::Put(const Hash& key, int64_t offset) {
  Entry* const entry = Locate(key);
  if (entry->offset_plus_one == 0) {
    if (key_count_ == capacity_) return false;
    ++key_count_;
    entry->hash = key;
  }
  entry->offset_plus_one = static_cast<uint64_t>(offset) + 1;
  return true;
}

std::optional<int64_t> KeyOffsetMap::Find(const Hash& key) const {
  const Entry* const entry = Locate(key);
  if (entry->offset_plus_one == 0) return std::nullopt;
  return static_cast<int64_t>(entry->offset_plus_one - 1);
}

KeyOffsetMap::Hash KeyOffsetMap::HashOf(std::string_view key) const {
  std::array<unsigned char, crypto_shorthash_siphashx24_BYTES> bytes;
  crypto_shorthash_siphashx24(bytes.data(), reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                              hash_key_.data());
  Hash hash;
  std::memcpy(&hash.first, bytes.data(), sizeof hash.first);
  std::memcpy(&hash.second, bytes.data() + sizeof hash.first, sizeof hash.second);
  return hash;
}

size_t KeyOffsetMap::FirstSlot(const Hash& hash) const {
  // The hash as a fraction of 2^64, of the table: even, and without a division.
  __extension__ using Product = unsigned __int128;
  return static_cast<size_t>(static_cast<Product>(hash.first) * slot_count_ >> 64);
}

KeyOffsetMap::Entry* KeyOffsetMap::Locate(const Hash& hash) const {
  size_t slot = FirstSlot(hash);
  while (true) {
    Entry* const entry = &entries_[slot];
    if (entry->offset_plus_one == 0 || entry->hash == hash) return entry;
    if (++slot == slot_count_) slot = 0;
  }
}

}  // namespace varve::internal
