// MemoryImage: the bytes of a disk, in memory; what was never written takes none.
#ifndef VARVE_TESTS_FILE_SYSTEMS_MEMORY_IMAGE_H_
#define VARVE_TESTS_FILE_SYSTEMS_MEMORY_IMAGE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "io/owned_descriptor.h"

namespace varve::testing_support {

// Children share it. Running out of memory throws: nothing here can go on without.
class MemoryImage {
 public:
  explicit MemoryImage(uint64_t bytes);
  [[nodiscard]] MemoryImage Clone() const;
  // The bytes of a file.
  [[nodiscard]] static absl::StatusOr<MemoryImage> Of(const std::string& path);

  void Write(uint64_t position, std::span<const std::byte> bytes);
  void Read(uint64_t position, std::span<std::byte> out) const;

  [[nodiscard]] uint64_t bytes() const { return bytes_; }
  // Of a file without a name, which a loop device takes for its own.
  [[nodiscard]] int descriptor() const { return file_.number(); }

 private:
  // Copies what is not zero.
  void CopyFrom(int source);

  uint64_t bytes_;
  internal::OwnedDescriptor file_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FILE_SYSTEMS_MEMORY_IMAGE_H_
