// PosixMapping: a shared mapping of a file of the system.
#ifndef VARVE_LIB_IO_POSIX_MAPPING_H_
#define VARVE_LIB_IO_POSIX_MAPPING_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "io/owned_descriptor.h"
#include "varve/file_system.h"

namespace varve::internal {

class PosixMapping : public Mapping {
 public:
  // Maps [0, length) of the descriptor; a length of 0 gives an empty mapping without memory. The mapping does not keep
  // the descriptor open: a writable one asks it for the cause of a failed Populate as long as the File lives.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Mapping>> Create(
      const std::shared_ptr<const OwnedDescriptor>& descriptor, std::string path, uint64_t length, Access access);
  ~PosixMapping() override;

  [[nodiscard]] absl::Status Populate(size_t begin, size_t length) override;

 private:
  PosixMapping(std::byte* data, size_t size, Access access, std::weak_ptr<const OwnedDescriptor> descriptor,
               std::string path);

  // Why a store into the range would fault: the kernel says only that it would.
  [[nodiscard]] absl::Status CauseOfFault(size_t begin, size_t length) const;

  Access access_;
  std::weak_ptr<const OwnedDescriptor> descriptor_;  // the File's; none where access_ is kRead
  std::string path_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_POSIX_MAPPING_H_
