// MemoryContent: the bytes of one file in memory, at an address that stays once they have been mapped.
#ifndef VARVE_LIB_IO_MEMORY_CONTENT_H_
#define VARVE_LIB_IO_MEMORY_CONTENT_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/status/status.h"

namespace varve::internal {

// Not thread-safe, but for stores through data() after Pin: Copy tolerates those.
class MemoryContent {
 public:
  // What Pin reserves: twice the largest segment of Kafka's, whose size is a signed 32-bit integer.
  static constexpr uint64_t kMaxPinnedBytes = uint64_t{4} << 30;

  MemoryContent() = default;
  ~MemoryContent();
  MemoryContent(const MemoryContent&) = delete;
  MemoryContent& operator=(const MemoryContent&) = delete;

  [[nodiscard]] std::byte* data() { return pinned_ != nullptr ? pinned_ : bytes_.data(); }
  [[nodiscard]] const std::byte* data() const { return pinned_ != nullptr ? pinned_ : bytes_.data(); }
  [[nodiscard]] uint64_t size() const { return size_; }
  [[nodiscard]] bool pinned() const { return pinned_ != nullptr; }

  // What is gained is zeros. A pinned content cannot grow beyond kMaxPinnedBytes: kResourceExhausted.
  [[nodiscard]] absl::Status Resize(uint64_t size);

  // From now on data() stays the same, and its first `length` bytes may be touched, whatever the size is.
  // kResourceExhausted beyond kMaxPinnedBytes.
  [[nodiscard]] absl::Status Pin(uint64_t length);

  // Copies [position, position + out.size()), zeros beyond the end. Other threads may store through data() meanwhile,
  // as the system too may write out a page that is being stored into: each aligned 8-byte word is then old or new.
  void Copy(uint64_t position, std::span<std::byte> out) const;

 private:
  std::vector<std::byte> bytes_;  // until pinned
  std::byte* pinned_ = nullptr;
  uint64_t used_bytes_ = 0;  // once pinned: none behind these was ever touched
  uint64_t size_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_MEMORY_CONTENT_H_
