// SpaceAccount: how many blocks a disk has and how many are taken.
#ifndef VARVE_LIB_TESTING_SPACE_ACCOUNT_H_
#define VARVE_LIB_TESTING_SPACE_ACCOUNT_H_

#include <cstdint>
#include <optional>

namespace varve::internal {

// Not thread-safe: the file system's lock guards it.
class SpaceAccount {
 public:
  static constexpr uint64_t kBlockBytes = 4096;

  void set_capacity_bytes(std::optional<uint64_t> capacity_bytes) { capacity_bytes_ = capacity_bytes; }
  [[nodiscard]] std::optional<uint64_t> capacity_bytes() const { return capacity_bytes_; }
  [[nodiscard]] uint64_t used_bytes() const { return used_blocks_ * kBlockBytes; }

  // Takes one block; false if there is none.
  [[nodiscard]] bool TakeBlock() {
    if (capacity_bytes_.has_value() && (used_blocks_ + 1) * kBlockBytes > *capacity_bytes_) return false;
    ++used_blocks_;
    return true;
  }

  // Takes a block that is there already: that of a clone, whose capacity may be below what it holds.
  void ForceBlock() { ++used_blocks_; }

  void FreeBlock() { --used_blocks_; }

 private:
  std::optional<uint64_t> capacity_bytes_;
  uint64_t used_blocks_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_TESTING_SPACE_ACCOUNT_H_
