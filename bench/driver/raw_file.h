// RawFile, RawMapping: files without a log in between, to find out what the machine itself takes. Every failure ends
// the program.
#ifndef VARVE_BENCH_DRIVER_RAW_FILE_H_
#define VARVE_BENCH_DRIVER_RAW_FILE_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace varve::bench {

class RawFile {
 public:
  [[nodiscard]] static RawFile Create(const std::string& path) { return RawFile(path, true); }
  // For reading only.
  [[nodiscard]] static RawFile Open(const std::string& path) { return RawFile(path, false); }
  ~RawFile();
  RawFile(const RawFile&) = delete;
  RawFile& operator=(const RawFile&) = delete;

  [[nodiscard]] int64_t Size() const;
  // Behind what was written before.
  void Write(std::span<const std::byte> bytes);
  void WriteAt(int64_t position, std::span<const std::byte> bytes);
  // All of `out`.
  void ReadAt(int64_t position, std::span<std::byte> out) const;
  // Reserves space and sets the size; what is there is unwritten.
  void Allocate(int64_t bytes);
  // As that, but written, in steps of 64 KiB so that a later store does not dirty a large folio, and synced.
  void AllocateWritten(int64_t bytes);
  void SyncData();

  [[nodiscard]] int descriptor() const { return descriptor_; }
  [[nodiscard]] bool writable() const { return writable_; }

 private:
  RawFile(const std::string& path, bool create);

  const std::string path_;
  const bool writable_;
  const int descriptor_;
};

// A shared mapping of a whole file, or of memory that processes share.
class RawMapping {
 public:
  enum class Pages { kOnDemand, kPresent };

  // Of all that an opened or allocated file holds.
  RawMapping(const RawFile& file, Pages pages);
  // Of memory that has no file, zeroed and present, for this process and those it forks.
  explicit RawMapping(size_t bytes);
  ~RawMapping();
  RawMapping(const RawMapping&) = delete;
  RawMapping& operator=(const RawMapping&) = delete;

  [[nodiscard]] std::byte* data() const { return data_; }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {data_, size_}; }

  // Makes pages present for stores, in bulk.
  void Populate(size_t begin, size_t length);

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace varve::bench

#endif  // VARVE_BENCH_DRIVER_RAW_FILE_H_
