// DiskRecording, PowerCuts: a disk with a volatile cache. What is written to it is recorded, and afterwards the power is
// cut at any of the moments that were: what was flushed by then is there, and of the rest whatever a seed says.
#ifndef VARVE_TESTS_FILE_SYSTEMS_DISK_RECORDING_H_
#define VARVE_TESTS_FILE_SYSTEMS_DISK_RECORDING_H_

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "file_systems/memory_image.h"
#include "file_systems/shared_memory.h"
#include "support/random_choice.h"

namespace varve::testing_support {

// Made in one process, written by its children, one at a time, and read once they have ended.
class DiskRecording {
 public:
  static constexpr uint64_t kSectorBytes = 512;

  // A disk that holds a copy of this, all of it flushed.
  explicit DiskRecording(const MemoryImage& image);

  // The writes and flushes so far.
  [[nodiscard]] const std::atomic<uint64_t>* clock() const { return &memory_->clock; }

  // False, and nothing happens, once the disk fails, or if there is no room for more events.
  [[nodiscard]] bool Write(uint64_t position, std::span<const std::byte> bytes);
  [[nodiscard]] bool Flush();
  void Read(uint64_t position, std::span<std::byte> out) const { now_.Read(position, out); }
  [[nodiscard]] uint64_t bytes() const { return now_.bytes(); }

  // From now on nothing can be written or flushed.
  void Fail() { memory_->fails.store(true); }
  [[nodiscard]] bool has_failed() const { return memory_->fails.load(); }

 private:
  friend class PowerCuts;

  static constexpr uint64_t kMaxEvents = 1 << 18;
  static constexpr uint64_t kMaxBytes = uint64_t{1} << 30;
  struct Event {
    uint64_t position;
    uint64_t length;  // 0: a flush
    uint64_t start;   // in `written`
  };
  struct Memory {
    std::atomic<uint64_t> clock;
    std::atomic<bool> fails;
    uint64_t bytes_used;
    std::array<Event, kMaxEvents> events;
    std::array<std::byte, kMaxBytes> written;
  };

  [[nodiscard]] bool HasRoom(uint64_t length) const;

  MemoryImage at_first_;
  MemoryImage now_;
  SharedMemory<Memory> memory_;
};

// What the disk holds after power cuts, each later than the one before.
class PowerCuts {
 public:
  // A write to `whole_block_at` is kept or lost, and never torn; nowhere is 0.
  explicit PowerCuts(const DiskRecording& recording, uint64_t whole_block_at = 0)
      : recording_(recording), whole_block_at_(whole_block_at), flushed_(recording.at_first_.Clone()) {}

  // The disk as a power cut after so many events leaves it: what came before the last flush, and of the writes behind it
  // any subset, whole or torn into sectors.
  [[nodiscard]] MemoryImage At(uint64_t time, RandomChoice* random);

 private:
  void Apply(const DiskRecording::Event& event, MemoryImage* image) const;
  // Of its sectors some.
  void Tear(const DiskRecording::Event& event, RandomChoice* random, MemoryImage* image) const;

  const DiskRecording& recording_;
  const uint64_t whole_block_at_;
  MemoryImage flushed_;
  uint64_t flushed_events_ = 0;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FILE_SYSTEMS_DISK_RECORDING_H_
