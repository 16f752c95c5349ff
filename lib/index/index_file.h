// An index file in memory, with its name for messages; knows neither widths nor meanings.
#ifndef VARVE_LIB_INDEX_INDEX_FILE_H_
#define VARVE_LIB_INDEX_INDEX_FILE_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "varve/file_system.h"

namespace varve::internal {

struct IndexFile {
  std::string path;
  std::unique_ptr<Mapping> mapping;  // null if the file is empty: nothing of it can be mapped

  [[nodiscard]] std::span<const std::byte> bytes() const {
    return mapping == nullptr ? std::span<const std::byte>() : std::span(mapping->data(), mapping->size());
  }
};

// Maps a whole file for reading, its pages present. Errors: as FileSystem::Open, File::Size, File::Map and
// Mapping::Populate, but for its kUnimplemented.
[[nodiscard]] absl::StatusOr<std::shared_ptr<const IndexFile>> MapIndexFile(FileSystem* file_system,
                                                                            const std::string& path);

// Reads a whole file. Errors: as FileSystem::Open, File::Size and File::ReadAt; kDataLoss if the file shrinks
// meanwhile.
[[nodiscard]] absl::StatusOr<std::vector<std::byte>> ReadIndexFile(FileSystem* file_system, const std::string& path);

}  // namespace varve::internal

#endif  // VARVE_LIB_INDEX_INDEX_FILE_H_
