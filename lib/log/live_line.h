// varve.live: where the log ends right now, for readers in other processes. 128 bytes in a mapped file, two cache
// lines, native byte order. The first says what every read and every recovery asks, the second where consumers stop:
//
//    0  uint64  sequence         odd while the writer stores
//    8  uint64  generation       changes when published data went: truncation, replacement, deletion of segments
//   16  int64   active base      base offset of the active segment
//   24  int64   end position     published bytes of it
//   32  int64   end offset
//   40  int64   high watermark   as the rule says
//   48  int64   durable offset   not under the sequence: stored by whoever syncs, while the writer appends
//   56  uint64  lineage          first 8 bytes of varve.state's
//   64  uint64  served by        short form of the boot id of the kernel that the writer runs on; 0 while nobody serves
//   72  int64   log start offset
//   80  int64   first open       first offset of the oldest open transaction; 2^63-1: none
//   88  int64   first closed     of the oldest whose marker is not below the high watermark; -1: none
//   96  int64   last marker      the last of those transactions' markers; -1: none
//  104  uint64  rule             0: the high watermark is the value; 1: it is the log end; 2: it is the durable offset
//  112                           zero
//
// It counts for readers only while somebody holds the partition's lock, the lineage is that of varve.state and it is
// served. A crash leaves it as it was: values that were published, which recovery believes where the page cache
// survived. That is why a writer that has taken the lock stops the service first: until it has recovered the log, files
// may be shorter than the values say. It does so too while a truncation or a compaction replaces files. After
// a power loss another boot id is in the way. Whoever has changed the log, a recovery or a truncation, makes the sequence
// 2^64-1, which is nobody's, before varve.state speaks of the log as it is then. A seqlock (Boehm 2012): the writer never
// waits, a reader that met a store in progress looks again.
//
// The writer stores into its mapping, without a system call, where the file system's allocation is a promise. Elsewhere
// a page that has been written out needs space again when it is stored to (Btrfs reserves it in the page fault), and a
// full disk would end the process: there each store is a few write calls, which can fail. One that fails half way leaves
// the sequence odd: nobody believes the line until the next store. Readers have it mapped all the same; a word that is
// aligned is written whole.
//
// Thread rules: one writer, and beside it one thread that stores the durable offset; any number of readers in any
// process.
#ifndef VARVE_LIB_LOG_LIVE_LINE_H_
#define VARVE_LIB_LOG_LIVE_LINE_H_

#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"

namespace varve::internal {

// What bounds consumers.
enum class HighWatermarkRule : uint64_t { kValue = 0, kLogEnd = 1, kDurable = 2 };

struct LiveValues {
  static constexpr int64_t kNoOpenTransaction = std::numeric_limits<int64_t>::max();

  uint64_t generation = 0;
  int64_t active_base = 0;
  int64_t end_position = 0;
  int64_t end_offset = 0;
  int64_t high_watermark = 0;
  int64_t log_start_offset = 0;
  int64_t first_open_offset = kNoOpenTransaction;
  int64_t first_closed_offset = -1;
  int64_t last_marker_offset = -1;
  HighWatermarkRule rule = HighWatermarkRule::kValue;
  bool served = true;  // on this run of the kernel
  // Stored by StoreDurable alone; may be ahead of end_offset for a moment.
  int64_t durable_offset = 0;

  friend bool operator==(const LiveValues&, const LiveValues&) = default;
};

class LiveLine {
 public:
  static constexpr char kFileName[] = "varve.live";

  // For the writer: makes the file where there is none, or where the device cannot read the one that is there. The
  // generation goes on from what is there. Nothing is served until Store says so.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<LiveLine>> Create(FileSystem* file_system,
                                                                        const std::string& directory,
                                                                        const std::array<uint8_t, 16>& lineage);
  // For readers, and for recovery. kNotFound: no writer has been here; kDataLoss: too short to be one, or the device
  // cannot read it.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<LiveLine>> Open(FileSystem* file_system,
                                                                      const std::string& directory);
  // The same, of the writer whose varve.state names this lineage; null where there is none. Errors: as the file system.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<LiveLine>> Find(FileSystem* file_system,
                                                                      const std::string& directory,
                                                                      const std::array<uint8_t, 16>& lineage);
  // For who holds the partition's lock: no reader believes the line any more, what it says stays for recovery. OK where
  // there is none; one that the device fails is removed. Errors: as the file system.
  [[nodiscard]] static absl::Status StopService(FileSystem* file_system, const std::string& directory);

  // For who has recovered the log after an unclean stop, or truncated it: recovery believes the line no more, until the
  // next Store. What it says is of the log as it was; once varve.state names this run of the kernel and the files as they
  // are now, it would be taken for what has survived. OK where there is none. Errors: as StopService.
  [[nodiscard]] static absl::Status Forget(FileSystem* file_system, const std::string& directory);

  // Writer only: all values but the durable offset. Errors: none where the line is mapped for storing, else as
  // File::WriteAt; readers then see the values of before, or nobody serving.
  [[nodiscard]] absl::Status Store(const LiveValues& values);
  // Writer only: a later end of the log, where all else is as the last Store left it. False, with nothing changed, where it
  // is for Store to tell: while nobody serves, after a store that failed, and where stores are write calls. Cost: four
  // stores.
  [[nodiscard]] bool StoreEnd(int64_t end_position, int64_t end_offset);
  // Writer only: no reader believes the line until the next Store. Errors: as Store; the service goes on.
  [[nodiscard]] absl::Status StopService();
  // One thread at a time, beside the writer. Errors: as Store; the value of before stays.
  [[nodiscard]] absl::Status StoreDurable(int64_t durable_offset);

  [[nodiscard]] uint64_t lineage() const;
  // Absent while the line is forgotten, and if the writer stopped in the middle of a store. The generation is there all
  // the same.
  [[nodiscard]] std::optional<LiveValues> Load() const;
  [[nodiscard]] uint64_t generation() const;

  // What differs after each store, and while one is in progress.
  struct Version {
    uint64_t sequence = 0;
    uint64_t generation = 0;
    int64_t durable_offset = 0;

    friend bool operator==(const Version&, const Version&) = default;
  };
  [[nodiscard]] Version version() const;
  // Who finds it served, and then the generation that was served before, has met no change of names between.
  [[nodiscard]] bool served() const;
  // Of the file that was opened.
  [[nodiscard]] const FileIdentity& identity() const { return identity_; }

  // The form of a lineage that the line holds.
  [[nodiscard]] static uint64_t ShortLineage(const std::array<uint8_t, 16>& lineage);

 private:
  LiveLine(std::unique_ptr<File> written, std::unique_ptr<Mapping> mapping, const FileIdentity& identity,
           uint64_t short_boot_id);
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<LiveLine>> OpenToWrite(FileSystem* file_system,
                                                                             const std::string& directory);
  [[nodiscard]] static absl::Status SetWordOf(FileSystem* file_system, const std::string& directory, size_t index,
                                              uint64_t value);
  // What a new writer changes of what is there.
  [[nodiscard]] absl::Status TakeOver(uint64_t short_lineage);
  [[nodiscard]] uint64_t* word(size_t index) const { return words_ + index; }
  // Stores words that follow one another; without a write call where they are there already.
  [[nodiscard]] absl::Status SetWords(size_t first, std::span<const uint64_t> values);

  const std::unique_ptr<File> written_;  // null where stores go to the mapping
  const std::unique_ptr<Mapping> mapping_;
  const FileIdentity identity_;
  const uint64_t short_boot_id_;
  uint64_t* const words_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_LIVE_LINE_H_
