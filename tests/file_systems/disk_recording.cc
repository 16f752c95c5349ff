#include "file_systems/disk_recording.h"

#include <algorithm>
#include <cstring>

namespace varve::testing_support {

DiskRecording::DiskRecording(const MemoryImage& image) : at_first_(image.Clone()), now_(image.Clone()) {
  // A write behind one that is gone must not be the first to be told of.
  memory_->bytes_used = 0;
}

bool DiskRecording::HasRoom(uint64_t length) const {
  return !memory_->fails.load() && memory_->clock.load() < kMaxEvents && memory_->bytes_used + length <= kMaxBytes;
}

bool DiskRecording::Write(uint64_t position, std::span<const std::byte> bytes) {
  if (!HasRoom(bytes.size())) return false;
  if (bytes.empty()) return true;
  memory_->events[memory_->clock.load()] = {.position = position, .length = bytes.size(), .start = memory_->bytes_used};
  std::memcpy(memory_->written.data() + memory_->bytes_used, bytes.data(), bytes.size());
  memory_->bytes_used += bytes.size();
  now_.Write(position, bytes);
  memory_->clock.fetch_add(1);
  return true;
}

bool DiskRecording::Flush() {
  if (!HasRoom(0)) return false;
  memory_->events[memory_->clock.load()] = {.position = 0, .length = 0, .start = 0};
  memory_->clock.fetch_add(1);
  return true;
}

MemoryImage PowerCuts::At(uint64_t time, RandomChoice* random) {
  const auto& events = recording_.memory_->events;
  uint64_t flushed = time;
  while (flushed > flushed_events_ && events[flushed - 1].length != 0) --flushed;
  for (; flushed_events_ < flushed; ++flushed_events_) Apply(events[flushed_events_], &flushed_);
  MemoryImage image = flushed_.Clone();
  // How many of four writes are kept, lost and torn on the whole; often all or none.
  const int64_t kept = random->Below(5);
  const int64_t torn = random->Below(3);
  for (uint64_t event = flushed; event < time; ++event) {
    if (random->Below(4) < kept) {
      Apply(events[event], &image);
    } else if (random->Below(3) < torn && (whole_block_at_ == 0 || events[event].position != whole_block_at_)) {
      Tear(events[event], random, &image);
    }
  }
  return image;
}

void PowerCuts::Apply(const DiskRecording::Event& event, MemoryImage* image) const {
  if (event.length == 0) return;
  image->Write(event.position, std::span(recording_.memory_->written).subspan(event.start, event.length));
}

void PowerCuts::Tear(const DiskRecording::Event& event, RandomChoice* random, MemoryImage* image) const {
  const int64_t kept = random->Below(4);
  for (uint64_t sector = 0; sector < event.length; sector += DiskRecording::kSectorBytes) {
    if (random->Below(4) >= kept) continue;
    const uint64_t length = std::min(DiskRecording::kSectorBytes, event.length - sector);
    image->Write(event.position + sector, std::span(recording_.memory_->written).subspan(event.start + sector, length));
  }
}

}  // namespace varve::testing_support
