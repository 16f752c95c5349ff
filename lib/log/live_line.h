// varve.live: where the log ends right now, for readers in other processes. 64 bytes in a mapped file, one cache line,
// native byte order:
//
//    0  uint64  sequence         odd while the writer stores
//    8  uint64  generation       changes when published data went: truncation, replacement, deletion of segments
//   16  int64   active base      base offset of the active segment
//   24  int64   end position     published bytes of it
//   32  int64   end offset
//   40  int64   high watermark
//   48  int64   durable offset
//   56  uint64  lineage          first 8 bytes of varve.state's
//
// It counts only while somebody holds the partition's lock and the lineage is that of varve.state: a crash leaves it
// stale. A seqlock (Boehm 2012): the writer never waits, a reader that met a store in progress looks again.
//
// Thread rules: one writer; any number of readers in any process.
#ifndef VARVE_LIB_LOG_LIVE_LINE_H_
#define VARVE_LIB_LOG_LIVE_LINE_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "varve/file_system.h"

namespace varve::internal {

struct LiveValues {
  uint64_t generation = 0;
  int64_t active_base = 0;
  int64_t end_position = 0;
  int64_t end_offset = 0;
  int64_t high_watermark = 0;
  int64_t durable_offset = 0;

  friend bool operator==(const LiveValues&, const LiveValues&) = default;
};

class LiveLine {
 public:
  static constexpr char kFileName[] = "varve.live";

  // For the writer: makes the file where there is none, or where the device cannot read the one that is there. The
  // generation goes on from what is there.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<LiveLine>> Create(FileSystem* file_system,
                                                                        const std::string& directory,
                                                                        const std::array<uint8_t, 16>& lineage);
  // For readers. kNotFound: no writer has been here; kDataLoss: too short to be one, or the device cannot
  // read it.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<LiveLine>> Open(FileSystem* file_system,
                                                                      const std::string& directory);

  // Writer only. No system call.
  void Store(const LiveValues& values);

  [[nodiscard]] uint64_t lineage() const;
  // Absent if the writer stopped in the middle of a store.
  [[nodiscard]] std::optional<LiveValues> Load() const;
  [[nodiscard]] uint64_t generation() const;
  [[nodiscard]] int64_t end_offset() const;

  // The form of a lineage that the line holds.
  [[nodiscard]] static uint64_t ShortLineage(const std::array<uint8_t, 16>& lineage);

 private:
  LiveLine(std::unique_ptr<File> file, std::unique_ptr<Mapping> mapping);
  [[nodiscard]] uint64_t* word(size_t index) const { return words_ + index; }

  std::unique_ptr<File> file_;
  std::unique_ptr<Mapping> mapping_;
  uint64_t* words_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_LIVE_LINE_H_
