// KeyOffsetMap: the latest offset of each key of the range that a compaction looks at, in memory of a fixed size (Kafka
// SkimpyOffsetMap, format notes §7.2).
//
// A key is held as 16 bytes of hash: a table of 24-byte entries, open addressing, filled to nine tenths. Two keys that
// had the same hash would lose the user's record, so the hash is SipHash-2-4 with 128 bits under a key drawn at random
// for each map. It is a keyed pseudorandom function: whoever writes the keys cannot know which of them collide under a
// key drawn later, and any n different keys, however chosen, have two with the same hash with a chance of about
// n²/2^129, less than 10^-25 for the 5 million keys of 128 MiB.
//
// Thread rules: one thread at a time; concurrent const calls are fine. Cost: a hash and a probe of neighbouring entries
// in huge pages; the system hands them out as they are touched, which by keys at random is soon.
#ifndef VARVE_LIB_LOG_KEY_OFFSET_MAP_H_
#define VARVE_LIB_LOG_KEY_OFFSET_MAP_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "absl/status/statusor.h"
#include "io/zeroed_pages.h"

namespace varve::internal {

class KeyOffsetMap {
 public:
  static constexpr size_t kEntryBytes = 24;

  // Takes at most budget_bytes, and no more than `max_key_count` keys need; room for one key at least.
  // kResourceExhausted: no such memory. kInternal: no randomness.
  [[nodiscard]] static absl::StatusOr<KeyOffsetMap> Create(size_t budget_bytes, uint64_t max_key_count);

  // How many different keys it takes.
  [[nodiscard]] size_t capacity() const { return capacity_; }
  [[nodiscard]] size_t key_count() const { return key_count_; }

  // What the map knows a key by.
  struct Hash {
    uint64_t first = 0;
    uint64_t second = 0;
    friend bool operator==(const Hash&, const Hash&) = default;
  };

  // Has the processor fetch the entry where the key belongs. Memory is slow, and waited for but once if some dozen keys
  // are prepared before the first of them is put or found.
  [[nodiscard]] Hash Prepare(std::string_view key) const;

  // Stores the offset, which is not negative, of a key. False, with nothing changed, if the key is new and the map full.
  [[nodiscard]] bool Put(const Hash& key, int64_t offset);
  [[nodiscard]] bool Put(std::string_view key, int64_t offset) { return Put(HashOf(key), offset); }

  // The offset that was put last.
  [[nodiscard]] std::optional<int64_t> Find(const Hash& key) const;
  [[nodiscard]] std::optional<int64_t> Find(std::string_view key) const { return Find(HashOf(key)); }

 private:
  struct Entry {
    Hash hash;
    uint64_t offset_plus_one = 0;  // 0: no entry
  };
  static_assert(sizeof(Entry) == kEntryBytes);
  using HashKey = std::array<unsigned char, 16>;

  KeyOffsetMap(ZeroedPages pages, size_t slot_count, const HashKey& hash_key);

  [[nodiscard]] Hash HashOf(std::string_view key) const;
  // Where the search for a key begins.
  [[nodiscard]] size_t FirstSlot(const Hash& hash) const;
  // The entry of the hash, or the free one where it belongs. There is always a free one.
  [[nodiscard]] Entry* Locate(const Hash& hash) const;

  ZeroedPages pages_;
  Entry* entries_;  // in the pages
  size_t slot_count_;
  size_t capacity_;
  size_t key_count_ = 0;
  HashKey hash_key_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_KEY_OFFSET_MAP_H_
