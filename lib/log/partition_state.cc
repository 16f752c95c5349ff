#include "log/partition_state.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <random>
#include <span>
#include <string_view>
#include <utility>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/path.h"
#include "base/status.h"
#include "io/whole_file.h"

namespace varve::internal {
namespace {

// One slot, big-endian. 512 bytes are the sector that a disk writes whole (durability notes, "Assumptions").
constexpr size_t kSlotBytes = 512;
constexpr size_t kSlotCount = 2;
constexpr size_t kFileBytes = kSlotCount * kSlotBytes;
constexpr std::string_view kMagic = "varvest1";
constexpr size_t kBootIdBytes = 36;

constexpr size_t kMagicAt = 0;
constexpr size_t kSequenceAt = kMagicAt + kMagic.size();
constexpr size_t kLineageAt = kSequenceAt + sizeof(uint64_t);
constexpr size_t kCleanAt = kLineageAt + 16;
constexpr size_t kPendingAt = kCleanAt + 1;
constexpr size_t kBootIdSizeAt = kPendingAt + 1;
constexpr size_t kBootIdAt = kBootIdSizeAt + 1;
constexpr size_t kDeviceAt = kBootIdAt + kBootIdBytes;
constexpr size_t kMountAt = kDeviceAt + sizeof(uint64_t);
constexpr size_t kInodeAt = kMountAt + sizeof(uint64_t);
constexpr size_t kBirthAt = kInodeAt + sizeof(uint64_t);
constexpr size_t kDurableOffsetAt = kBirthAt + sizeof(int64_t);
constexpr size_t kDurableSegmentAt = kDurableOffsetAt + sizeof(int64_t);
constexpr size_t kDurablePositionAt = kDurableSegmentAt + sizeof(int64_t);
constexpr size_t kBatchPositionAt = kDurablePositionAt + sizeof(int64_t);
constexpr size_t kBatchCrcAt = kBatchPositionAt + sizeof(int64_t);
constexpr size_t kLogStartAt = kBatchCrcAt + sizeof(uint32_t);
constexpr size_t kIndexIntervalAt = kLogStartAt + sizeof(int64_t);
constexpr size_t kPendingOffsetAt = kIndexIntervalAt + sizeof(int64_t);
constexpr size_t kPendingEndSegmentAt = kPendingOffsetAt + sizeof(int64_t);
constexpr size_t kPendingEndPositionAt = kPendingEndSegmentAt + sizeof(int64_t);
constexpr size_t kFirstDirtyAt = kPendingEndPositionAt + sizeof(int64_t);
constexpr size_t kSupersededStartAt = kFirstDirtyAt + sizeof(int64_t);
constexpr size_t kEndOfFields = kSupersededStartAt + sizeof(int64_t);
constexpr size_t kCrcAt = kSlotBytes - sizeof(uint32_t);
static_assert(kEndOfFields <= kCrcAt, "the fields fit into a sector");

struct Slot {
  uint64_t sequence = 0;
  PartitionStateValues values;
};

void EncodeSlot(const Slot& slot, std::span<std::byte, kSlotBytes> out) {
  const PartitionStateValues& values = slot.values;
  std::fill(out.begin(), out.end(), std::byte{0});
  std::byte* const bytes = out.data();
  std::memcpy(bytes + kMagicAt, kMagic.data(), kMagic.size());
  StoreBigEndian(bytes + kSequenceAt, slot.sequence);
  std::memcpy(bytes + kLineageAt, values.lineage.data(), values.lineage.size());
  StoreBigEndian(bytes + kCleanAt, static_cast<uint8_t>(values.clean ? 1 : 0));
  StoreBigEndian(bytes + kPendingAt, static_cast<uint8_t>(values.pending));
  const size_t boot_id_bytes = std::min(values.boot_id.size(), kBootIdBytes);
  StoreBigEndian(bytes + kBootIdSizeAt, static_cast<uint8_t>(boot_id_bytes));
  std::memcpy(bytes + kBootIdAt, values.boot_id.data(), boot_id_bytes);
  StoreBigEndian(bytes + kDeviceAt, values.active.device);
  StoreBigEndian(bytes + kMountAt, values.active.mount);
  StoreBigEndian(bytes + kInodeAt, values.active.inode);
  StoreBigEndian(bytes + kBirthAt, values.active.birth_ns);
  StoreBigEndian(bytes + kDurableOffsetAt, values.durable.offset);
  StoreBigEndian(bytes + kDurableSegmentAt, values.durable.segment);
  StoreBigEndian(bytes + kDurablePositionAt, values.durable.position);
  StoreBigEndian(bytes + kBatchPositionAt, values.durable.batch_position);
  StoreBigEndian(bytes + kBatchCrcAt, values.durable.batch_crc);
  StoreBigEndian(bytes + kLogStartAt, values.log_start_offset);
  StoreBigEndian(bytes + kIndexIntervalAt, values.index_interval_bytes);
  StoreBigEndian(bytes + kPendingOffsetAt, values.pending_offset);
  StoreBigEndian(bytes + kPendingEndSegmentAt, values.pending_end.segment);
  StoreBigEndian(bytes + kPendingEndPositionAt, values.pending_end.position);
  StoreBigEndian(bytes + kFirstDirtyAt, values.first_dirty_offset);
  StoreBigEndian(bytes + kSupersededStartAt, values.superseded_log_start);
  StoreBigEndian(bytes + kCrcAt, Crc32c(out.first(kCrcAt)));
}

// The slot's content; absent if it was never written, torn, or written by something else.
std::optional<Slot> DecodeSlot(std::span<const std::byte, kSlotBytes> in) {
  const std::byte* const bytes = in.data();
  if (std::memcmp(bytes + kMagicAt, kMagic.data(), kMagic.size()) != 0) return std::nullopt;
  if (LoadBigEndian<uint32_t>(bytes + kCrcAt) != Crc32c(in.first(kCrcAt))) return std::nullopt;
  const size_t boot_id_bytes = LoadBigEndian<uint8_t>(bytes + kBootIdSizeAt);
  const uint8_t pending = LoadBigEndian<uint8_t>(bytes + kPendingAt);
  if (boot_id_bytes > kBootIdBytes || pending > static_cast<uint8_t>(PendingOperation::kDeleteBefore)) {
    return std::nullopt;
  }
  Slot slot{.sequence = LoadBigEndian<uint64_t>(bytes + kSequenceAt), .values = {}};
  PartitionStateValues& values = slot.values;
  std::memcpy(values.lineage.data(), bytes + kLineageAt, values.lineage.size());
  values.clean = LoadBigEndian<uint8_t>(bytes + kCleanAt) != 0;
  values.boot_id = std::string(AsText(in.subspan(kBootIdAt, boot_id_bytes)));
  values.active = {.device = LoadBigEndian<uint64_t>(bytes + kDeviceAt),
                   .mount = LoadBigEndian<uint64_t>(bytes + kMountAt),
                   .inode = LoadBigEndian<uint64_t>(bytes + kInodeAt),
                   .birth_ns = LoadBigEndian<int64_t>(bytes + kBirthAt)};
  values.durable = {.offset = LoadBigEndian<int64_t>(bytes + kDurableOffsetAt),
                    .segment = LoadBigEndian<int64_t>(bytes + kDurableSegmentAt),
                    .position = LoadBigEndian<int64_t>(bytes + kDurablePositionAt),
                    .batch_position = LoadBigEndian<int64_t>(bytes + kBatchPositionAt),
                    .batch_crc = LoadBigEndian<uint32_t>(bytes + kBatchCrcAt)};
  values.log_start_offset = LoadBigEndian<int64_t>(bytes + kLogStartAt);
  values.index_interval_bytes = LoadBigEndian<int64_t>(bytes + kIndexIntervalAt);
  values.pending = static_cast<PendingOperation>(pending);
  values.pending_offset = LoadBigEndian<int64_t>(bytes + kPendingOffsetAt);
  values.pending_end = {.segment = LoadBigEndian<int64_t>(bytes + kPendingEndSegmentAt),
                        .position = LoadBigEndian<int64_t>(bytes + kPendingEndPositionAt)};
  values.first_dirty_offset = LoadBigEndian<int64_t>(bytes + kFirstDirtyAt);
  values.superseded_log_start = LoadBigEndian<int64_t>(bytes + kSupersededStartAt);
  return slot;
}

// The slot that counts: the valid one with the higher number.
std::optional<Slot> NewestSlot(std::span<const std::byte, kFileBytes> file) {
  std::optional<Slot> newest;
  for (size_t i = 0; i < kSlotCount; ++i) {
    std::optional<Slot> slot =
        DecodeSlot(std::span<const std::byte, kSlotBytes>(file.data() + i * kSlotBytes, kSlotBytes));
    if (slot.has_value() && (!newest.has_value() || slot->sequence > newest->sequence)) newest = std::move(slot);
  }
  return newest;
}

std::array<uint8_t, 16> NewLineage() {
  std::random_device random;
  std::uniform_int_distribution<unsigned> byte(0, std::numeric_limits<uint8_t>::max());
  std::array<uint8_t, 16> lineage;
  for (uint8_t& b : lineage) b = static_cast<uint8_t>(byte(random));
  return lineage;
}

// Opens the file, or makes it; two slots long in any case. A file cut short by a crash while it was made holds nothing.
absl::StatusOr<std::unique_ptr<File>> OpenOrCreate(FileSystem* file_system, const std::string& directory) {
  const std::string path = JoinPath(directory, PartitionState::kFileName);
  absl::StatusOr<std::unique_ptr<File>> file = file_system->Open(path, OpenMode::kReadWrite);
  const bool created = absl::IsNotFound(file.status());
  if (created) file = file_system->Open(path, OpenMode::kCreate);
  if (!file.ok()) return std::move(file).status();
  VARVE_ASSIGN_OR_RETURN(const uint64_t size_bytes, (*file)->Size());
  if (size_bytes < kFileBytes) {
    // Written, not only extended: a store must not be the first to ask for the block.
    const std::array<std::byte, kFileBytes> zeros{};
    VARVE_RETURN_IF_ERROR((*file)->WriteAt(size_bytes, std::span(zeros).subspan(size_bytes)));
  }
  if (created) VARVE_RETURN_IF_ERROR(file_system->SyncDirectory(directory));
  return file;
}

// The file's bytes; what a short file lacks reads as a slot never written. kInternal: the device cannot read them.
absl::StatusOr<std::array<std::byte, kFileBytes>> ReadSlots(const File& file) {
  std::array<std::byte, kFileBytes> bytes{};
  VARVE_RETURN_IF_ERROR(file.ReadAt(0, bytes).status());
  return bytes;
}

// True where no store has come to its end: the checksum is what it ends with, and the file begins as zeros.
bool WasNeverStored(std::span<const std::byte, kFileBytes> file) {
  for (size_t slot = 0; slot < kSlotCount; ++slot) {
    if (LoadBigEndian<uint32_t>(file.data() + slot * kSlotBytes + kCrcAt) != 0) return false;
  }
  return true;
}

// Puts a new file in the place of one that the device cannot read. It is no file of zeros, which would tell of a state
// that was never stored: that the old one is lost must be known until the next store.
absl::StatusOr<std::unique_ptr<File>> Replace(FileSystem* file_system, const std::string& directory,
                                              const std::optional<PartitionStateValues>& known) {
  constexpr std::byte kLost{0xFF};
  std::array<std::byte, kFileBytes> bytes;
  bytes.fill(kLost);
  if (known.has_value()) EncodeSlot({.sequence = 0, .values = *known}, std::span(bytes).first<kSlotBytes>());
  const std::string path = JoinPath(directory, PartitionState::kFileName);
  VARVE_RETURN_IF_ERROR(ReplaceFile(file_system, path, bytes));
  return file_system->Open(path, OpenMode::kReadWrite);
}

}  // namespace

absl::StatusOr<std::unique_ptr<PartitionState>> PartitionState::Open(FileSystem* file_system,
                                                                     const std::string& directory,
                                                                     const std::optional<PartitionStateValues>& known) {
  auto state = std::unique_ptr<PartitionState>(new PartitionState());
  VARVE_ASSIGN_OR_RETURN(state->file_, OpenOrCreate(file_system, directory));
  absl::StatusOr<std::array<std::byte, kFileBytes>> bytes = ReadSlots(*state->file_);
  if (absl::IsInternal(bytes.status())) {
    VARVE_ASSIGN_OR_RETURN(state->file_, Replace(file_system, directory, known));
    bytes = ReadSlots(*state->file_);
  }
  VARVE_RETURN_IF_ERROR(bytes.status());
  std::optional<Slot> slot = NewestSlot(*bytes);
  state->stored_ = slot.has_value();
  if (slot.has_value()) {
    state->sequence_ = slot->sequence;
    state->values_ = std::move(slot->values);
    return state;
  }
  state->values_.lineage = NewLineage();
  if (!known.has_value()) return state;
  state->Store(*known);
  VARVE_RETURN_IF_ERROR(state->Sync());
  return state;
}

absl::StatusOr<std::optional<PartitionStateValues>> PartitionState::Peek(FileSystem* file_system,
                                                                         const std::string& directory,
                                                                         std::string* fault) {
  const std::string path = JoinPath(directory, PartitionState::kFileName);
  absl::StatusOr<std::unique_ptr<File>> file = file_system->Open(path, OpenMode::kRead);
  if (absl::IsNotFound(file.status())) return std::nullopt;
  if (!file.ok()) return std::move(file).status();
  const auto bytes = ReadSlots(**file);
  if (!bytes.ok() && !absl::IsInternal(bytes.status())) return bytes.status();
  std::optional<Slot> slot = bytes.ok() ? NewestSlot(*bytes) : std::nullopt;
  if (slot.has_value()) return std::move(slot->values);
  if (fault != nullptr && !bytes.ok()) *fault = std::string(bytes.status().message());
  if (fault != nullptr && bytes.ok() && !WasNeverStored(*bytes)) {
    *fault = path + ": a slot with its checksum expected, found two without; what they told is lost";
  }
  return std::nullopt;
}

void PartitionState::Store(const PartitionStateValues& values) {
  const uint64_t sequence = sequence_ + 1;
  std::array<std::byte, kSlotBytes> slot;
  EncodeSlot({.sequence = sequence, .values = values}, slot);
  // Numbers alternate between the slots, so this is never the one that counts.
  store_status_ = file_->WriteAt((sequence % kSlotCount) * kSlotBytes, slot);
  if (!store_status_.ok()) {
    // The slot that counts may be in the cache alone: what was cut short must not be all that a power loss leaves.
    if (absl::Status synced = file_->SyncData(); !synced.ok()) store_status_ = std::move(synced);
    return;
  }
  sequence_ = sequence;
  values_ = values;
  stored_ = true;
}

absl::Status PartitionState::Sync() {
  VARVE_RETURN_IF_ERROR(store_status_);
  return file_->SyncData();
}

}  // namespace varve::internal
