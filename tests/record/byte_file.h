// ByteFile: a file of given bytes for the walks to read; counts reads and can fail or end early.
#ifndef VARVE_TESTS_RECORD_BYTE_FILE_H_
#define VARVE_TESTS_RECORD_BYTE_FILE_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "varve/file_system.h"

namespace varve::testing_support {

class ByteFile : public File {
 public:
  explicit ByteFile(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  // The n-th read from now on fails, n from 1.
  void FailRead(int n) { failing_read_ = reads_ + n; }
  // The file as if it had shrunk since its size was asked.
  void ShrinkTo(size_t size) { bytes_.resize(size); }
  [[nodiscard]] int reads() const { return reads_; }
  [[nodiscard]] uint64_t bytes_read() const { return bytes_read_; }
  [[nodiscard]] uint64_t size() const { return bytes_.size(); }

  absl::StatusOr<size_t> ReadAt(uint64_t position, std::span<std::byte> out) const override {
    if (++reads_ == failing_read_) return absl::InternalError("byte.log: injected");
    if (position >= bytes_.size()) return size_t{0};
    const size_t count = std::min(out.size(), bytes_.size() - static_cast<size_t>(position));
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(position), count, out.begin());
    bytes_read_ += count;
    return count;
  }
  absl::StatusOr<uint64_t> Size() const override { return bytes_.size(); }
  const std::string& path() const override { return path_; }

  // The walks only read.
  absl::Status WriteAt(uint64_t, std::span<const std::byte>) override { return ReadOnly(); }
  absl::Status Truncate(uint64_t) override { return ReadOnly(); }
  absl::Status Allocate(uint64_t, uint64_t) override { return ReadOnly(); }
  absl::Status SyncData() override { return ReadOnly(); }
  void StartWriteOut(uint64_t, uint64_t) override {}
  absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t, Access) override { return ReadOnly(); }
  absl::Status CopyPrefixFrom(const File&, uint64_t) override { return ReadOnly(); }
  absl::Status SendTo(int, uint64_t, uint64_t) const override { return ReadOnly(); }
  absl::StatusOr<FileInfo> Info() const override {
    FileInfo info;
    info.size = bytes_.size();
    return info;
  }

 private:
  static absl::Status ReadOnly() { return absl::UnimplementedError("byte.log: only for reading"); }

  std::string path_ = "byte.log";
  std::vector<std::byte> bytes_;
  mutable int reads_ = 0;
  mutable uint64_t bytes_read_ = 0;
  int failing_read_ = 0;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_RECORD_BYTE_FILE_H_
