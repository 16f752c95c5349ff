// Fixed-width entries on the heap that never move: one writer appends while readers look at what was published before.
//
// Chunk k holds 64 * 2^k entries, so that a small index costs one small allocation and a large one few. The owner keeps
// the published count and stores it with release order after an entry is complete; readers load it with acquire order
// and stay below it. So neither the entries nor the chunk pointers need atomics: whatever a reader touches was written
// before the count it read.
#ifndef VARVE_LIB_INDEX_ENTRY_CHUNKS_H_
#define VARVE_LIB_INDEX_ENTRY_CHUNKS_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>

#include "index/entry_search.h"

namespace varve::internal {

template <size_t kEntryBytes>
class EntryChunks {
 public:
  // entry_index was published before.
  [[nodiscard]] const std::byte* At(size_t entry_index) const {
    const Place place = PlaceOf(entry_index);
    return chunks_[place.chunk].get() + place.entry * kEntryBytes;
  }

  // Memory for an entry that no reader sees yet. Writer only.
  [[nodiscard]] std::byte* Slot(size_t entry_index) {
    const Place place = PlaceOf(entry_index);
    if (chunks_[place.chunk] == nullptr) {
      chunks_[place.chunk] = std::make_unique_for_overwrite<std::byte[]>(ChunkEntryCount(place.chunk) * kEntryBytes);
    }
    return chunks_[place.chunk].get() + place.entry * kEntryBytes;
  }

  // As CountNotAbove, over the first `published` entries; key_of(bytes) decodes the key of an entry.
  template <typename Key, typename KeyOf>
  [[nodiscard]] size_t CountNotAbove(size_t published, Key target, KeyOf key_of) const {
    if (published == 0) return 0;
    size_t chunk = PlaceOf(published - 1).chunk;
    // Half of all entries are in the last chunk, and most targets, the newest offsets, too.
    while (chunk > 0 && key_of(chunks_[chunk].get()) > target) --chunk;
    const size_t first = FirstEntryIndex(chunk);
    const size_t count = std::min(published - first, ChunkEntryCount(chunk));
    const std::byte* entries = chunks_[chunk].get();
    return first +
           internal::CountNotAbove(count, target, [&](size_t entry) { return key_of(entries + entry * kEntryBytes); });
  }

  // Fills the leading entries from the bytes of whole entries. Writer only.
  void CopyFrom(std::span<const std::byte> bytes) {
    for (size_t entry_index = 0; !bytes.empty();) {
      const size_t here = std::min(bytes.size(), ChunkEntryCount(PlaceOf(entry_index).chunk) * kEntryBytes);
      std::memcpy(Slot(entry_index), bytes.data(), here);
      bytes = bytes.subspan(here);
      entry_index += here / kEntryBytes;
    }
  }

  // Copies entries [first_entry, first_entry + count) to `out`. All were published before.
  void CopyTo(size_t first_entry, size_t count, std::byte* out) const {
    while (count > 0) {
      const Place place = PlaceOf(first_entry);
      const size_t here = std::min(count, ChunkEntryCount(place.chunk) - place.entry);
      std::memcpy(out, chunks_[place.chunk].get() + place.entry * kEntryBytes, here * kEntryBytes);
      out += here * kEntryBytes;
      first_entry += here;
      count -= here;
    }
  }

 private:
  struct Place {
    size_t chunk;
    size_t entry;
  };

  static constexpr int kFirstChunkBits = 6;
  // Relative offsets are 31 bits and never repeat in an index, so there are at most 2^31 entries.
  static constexpr size_t kChunkCount = 31 - kFirstChunkBits + 1;

  static constexpr size_t ChunkEntryCount(size_t chunk) { return size_t{1} << (chunk + kFirstChunkBits); }
  static constexpr size_t FirstEntryIndex(size_t chunk) { return ChunkEntryCount(chunk) - ChunkEntryCount(0); }
  static constexpr Place PlaceOf(size_t entry_index) {
    const size_t shifted = entry_index + ChunkEntryCount(0);
    const size_t chunk = static_cast<size_t>(std::bit_width(shifted)) - 1 - kFirstChunkBits;
    return {chunk, shifted - ChunkEntryCount(chunk)};
  }
  static_assert(FirstEntryIndex(kChunkCount) >= (size_t{1} << 31));

  std::array<std::unique_ptr<std::byte[]>, kChunkCount> chunks_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_INDEX_ENTRY_CHUNKS_H_
