#include "log/live_line.h"

#include <array>
#include <atomic>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/path.h"
#include "base/status.h"

namespace varve::internal {
namespace {

constexpr size_t kLineBytes = 128;
constexpr size_t kSequence = 0;
constexpr size_t kGeneration = 1;
constexpr size_t kActiveBase = 2;
constexpr size_t kEndPosition = 3;
constexpr size_t kEndOffset = 4;
constexpr size_t kHighWatermark = 5;
constexpr size_t kDurableOffset = 6;
constexpr size_t kLineage = 7;
constexpr size_t kServedBy = 8;
constexpr size_t kLogStartOffset = 9;
constexpr size_t kFirstOpen = 10;
constexpr size_t kFirstClosed = 11;
constexpr size_t kLastMarker = 12;
constexpr size_t kRule = 13;
static_assert((kRule + 1) * sizeof(uint64_t) <= kLineBytes);
// The two runs of words that a store sets, around what is not under the sequence.
static_assert(kHighWatermark - kGeneration == 4 && kRule - kServedBy == 5);
static_assert(kDurableOffset > kHighWatermark && kLineage < kServedBy);

constexpr uint64_t kNobody = 0;

// A writer stores twelve words at most, which takes no time unless the system takes the processor away from it among them:
// after the first looks a reader gives its own away. Whoever has looked so often meets a writer that was stopped there.
constexpr int kLooksWithoutYield = 100;
constexpr int kMaxLooks = 5'000;
// A sequence that no store leads to. It is odd, so that an older varve does not believe the line either.
constexpr uint64_t kForgotten = std::numeric_limits<uint64_t>::max();

// std::atomic_ref takes no const before C++26.
// NOLINTBEGIN(readability-non-const-parameter)
uint64_t Relaxed(uint64_t* word) { return std::atomic_ref(*word).load(std::memory_order_relaxed); }
// Whoever sees the value sees what was stored before it: of a line the sequence that forbids to believe it, at its end the
// whole line, and the batches that it tells of.
void Set(uint64_t* word, uint64_t value) { std::atomic_ref(*word).store(value, std::memory_order_release); }
// NOLINTEND(readability-non-const-parameter)

uint64_t Word(int64_t value) { return std::bit_cast<uint64_t>(value); }
int64_t RelaxedOffset(uint64_t* word) { return std::bit_cast<int64_t>(Relaxed(word)); }

// A boot id, or that there is none, in one word that is not kNobody.
uint64_t ShortBootId(const std::string& boot_id) { return uint64_t{Crc32c(AsBytes(boot_id))} | uint64_t{1} << 32; }

}  // namespace

LiveLine::LiveLine(std::unique_ptr<File> written, std::unique_ptr<Mapping> mapping, const FileIdentity& identity,
                   uint64_t short_boot_id)
    : written_(std::move(written)),
      mapping_(std::move(mapping)),
      identity_(identity),
      short_boot_id_(short_boot_id),
      words_(reinterpret_cast<uint64_t*>(mapping_->data())) {}

absl::Status LiveLine::SetWords(size_t first, std::span<const uint64_t> values) {
  if (written_ == nullptr) [[likely]] {
    for (size_t index = 0; index < values.size(); ++index) Set(word(first + index), values[index]);
    return absl::OkStatus();
  }
  bool changed = false;
  for (size_t index = 0; index < values.size(); ++index) changed |= Relaxed(word(first + index)) != values[index];
  return changed ? written_->WriteAt(first * sizeof(uint64_t), std::as_bytes(values)) : absl::OkStatus();
}

// The file, made where there is none, and its mapping. kInternal: the device fails.
absl::StatusOr<std::unique_ptr<LiveLine>> LiveLine::OpenToWrite(FileSystem* file_system, const std::string& directory) {
  const std::string path = JoinPath(directory, kFileName);
  VARVE_ASSIGN_OR_RETURN(const bool stored_by_mapping, file_system->AllocationIsPromise(directory));
  absl::StatusOr<std::unique_ptr<File>> file = file_system->Open(path, OpenMode::kReadWrite);
  if (absl::IsNotFound(file.status())) file = file_system->Open(path, OpenMode::kCreate);
  VARVE_RETURN_IF_ERROR(file.status());
  VARVE_ASSIGN_OR_RETURN(const FileInfo info, (*file)->Info());
  if (info.size != kLineBytes) {
    // Written, not allocated: a store into the mapping must never be the first to ask for the block.
    VARVE_RETURN_IF_ERROR((*file)->WriteAt(0, std::vector<std::byte>(kLineBytes)));
    VARVE_RETURN_IF_ERROR((*file)->Truncate(kLineBytes));
  }
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Mapping> mapping,
                         (*file)->Map(kLineBytes, stored_by_mapping ? Access::kReadWrite : Access::kRead));
  absl::Status populated = mapping->Populate(0, kLineBytes);
  if (!populated.ok() && !absl::IsUnimplemented(populated)) return populated;
  return std::unique_ptr<LiveLine>(new LiveLine(stored_by_mapping ? nullptr : *std::move(file), std::move(mapping),
                                                info.identity, ShortBootId(file_system->BootId())));
}

absl::Status LiveLine::TakeOver(uint64_t short_lineage) {
  VARVE_RETURN_IF_ERROR(SetWords(kServedBy, {{kNobody}}));
  return SetWords(kLineage, {{short_lineage}});
}

absl::StatusOr<std::unique_ptr<LiveLine>> LiveLine::Create(FileSystem* file_system, const std::string& directory,
                                                           const std::array<uint8_t, 16>& lineage) {
  absl::StatusOr<std::unique_ptr<LiveLine>> line = OpenToWrite(file_system, directory);
  if (absl::IsInternal(line.status())) {
    // It is a hint: a new file serves as well as one that the device cannot read.
    VARVE_RETURN_IF_ERROR(file_system->Remove(JoinPath(directory, kFileName)));
    line = OpenToWrite(file_system, directory);
  }
  VARVE_RETURN_IF_ERROR(line.status());
  VARVE_RETURN_IF_ERROR((*line)->TakeOver(ShortLineage(lineage)));
  return line;
}

absl::StatusOr<std::unique_ptr<LiveLine>> LiveLine::Open(FileSystem* file_system, const std::string& directory) {
  const std::string path = JoinPath(directory, kFileName);
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> file, file_system->Open(path, OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const FileInfo info, file->Info());
  if (info.size < kLineBytes) {
    return Error(absl::StatusCode::kDataLoss, "{}: expected {} bytes, found {}", path, kLineBytes, info.size);
  }
  // By a read call at first: where the device cannot read the page, the mapping would end the process.
  std::array<std::byte, kLineBytes> ignored;
  const absl::Status readable = file->ReadAt(0, ignored).status();
  if (absl::IsInternal(readable)) return absl::DataLossError(readable.message());
  VARVE_RETURN_IF_ERROR(readable);
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Mapping> mapping, file->Map(kLineBytes, Access::kRead));
  return std::unique_ptr<LiveLine>(
      new LiveLine(nullptr, std::move(mapping), info.identity, ShortBootId(file_system->BootId())));
}

absl::StatusOr<std::unique_ptr<LiveLine>> LiveLine::Find(FileSystem* file_system, const std::string& directory,
                                                         const std::array<uint8_t, 16>& lineage) {
  absl::StatusOr<std::unique_ptr<LiveLine>> line = Open(file_system, directory);
  if (absl::IsNotFound(line.status()) || IsFaultOfFile(line.status())) return nullptr;
  if (line.ok() && (*line)->lineage() != ShortLineage(lineage)) return nullptr;
  return line;
}

// A word of the line in the directory, if there is one. One that the device cannot write is removed: neither readers nor
// recovery get anything from it.
absl::Status LiveLine::SetWordOf(FileSystem* file_system, const std::string& directory, size_t index, uint64_t value) {
  const std::string path = JoinPath(directory, kFileName);
  const absl::StatusOr<std::unique_ptr<File>> file = file_system->Open(path, OpenMode::kReadWrite);
  if (absl::IsNotFound(file.status())) return absl::OkStatus();
  VARVE_RETURN_IF_ERROR(file.status());
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, (*file)->Size());
  if (size < kLineBytes) return absl::OkStatus();  // nobody takes it for a line
  absl::Status written = (*file)->WriteAt(index * sizeof value, std::as_bytes(std::span(&value, 1)));
  return absl::IsInternal(written) ? file_system->Remove(path) : written;
}

absl::Status LiveLine::StopService(FileSystem* file_system, const std::string& directory) {
  return SetWordOf(file_system, directory, kServedBy, kNobody);
}

absl::Status LiveLine::Forget(FileSystem* file_system, const std::string& directory) {
  return SetWordOf(file_system, directory, kSequence, kForgotten);
}

absl::Status LiveLine::Store(const LiveValues& values) {
  const std::array<uint64_t, kHighWatermark - kGeneration + 1> end = {
      values.generation, Word(values.active_base), Word(values.end_position), Word(values.end_offset),
      Word(values.high_watermark)};
  const std::array<uint64_t, kRule - kServedBy + 1> bounds = {
      values.served ? short_boot_id_ : kNobody, Word(values.log_start_offset),   Word(values.first_open_offset),
      Word(values.first_closed_offset),         Word(values.last_marker_offset), static_cast<uint64_t>(values.rule)};
  const uint64_t before = Relaxed(word(kSequence));
  const uint64_t odd = before == kForgotten ? 1 : before | 1;  // a store that failed has left it odd
  VARVE_RETURN_IF_ERROR(SetWords(kSequence, {{odd}}));
  VARVE_RETURN_IF_ERROR(SetWords(kGeneration, end));
  VARVE_RETURN_IF_ERROR(SetWords(kServedBy, bounds));
  return SetWords(kSequence, {{odd + 1}});
}

bool LiveLine::StoreEnd(int64_t end_position, int64_t end_offset) {
  const uint64_t before = Relaxed(word(kSequence));
  if (written_ != nullptr || before % 2 != 0 || Relaxed(word(kServedBy)) != short_boot_id_) [[unlikely]] {
    return false;
  }
  Set(word(kSequence), before + 1);
  Set(word(kEndPosition), Word(end_position));
  Set(word(kEndOffset), Word(end_offset));
  Set(word(kSequence), before + 2);
  return true;
}

absl::Status LiveLine::StopService() { return SetWords(kServedBy, {{kNobody}}); }

absl::Status LiveLine::StoreDurable(int64_t durable_offset) {
  return SetWords(kDurableOffset, {{Word(durable_offset)}});
}

std::optional<LiveValues> LiveLine::Load() const {
  for (int look = 0; look < kMaxLooks; ++look) {
    if (look >= kLooksWithoutYield) absl::SleepFor(absl::Microseconds(1));
    const uint64_t before = std::atomic_ref(*word(kSequence)).load(std::memory_order_acquire);
    if (before == kForgotten) return std::nullopt;
    if (before % 2 != 0) continue;
    const LiveValues values{.generation = Relaxed(word(kGeneration)),
                            .active_base = RelaxedOffset(word(kActiveBase)),
                            .end_position = RelaxedOffset(word(kEndPosition)),
                            .end_offset = RelaxedOffset(word(kEndOffset)),
                            .high_watermark = RelaxedOffset(word(kHighWatermark)),
                            .log_start_offset = RelaxedOffset(word(kLogStartOffset)),
                            .first_open_offset = RelaxedOffset(word(kFirstOpen)),
                            .first_closed_offset = RelaxedOffset(word(kFirstClosed)),
                            .last_marker_offset = RelaxedOffset(word(kLastMarker)),
                            .rule = static_cast<HighWatermarkRule>(Relaxed(word(kRule))),
                            .served = Relaxed(word(kServedBy)) == short_boot_id_,
                            .durable_offset = RelaxedOffset(word(kDurableOffset))};
    std::atomic_thread_fence(std::memory_order_acquire);
    if (Relaxed(word(kSequence)) == before) return values;
  }
  return std::nullopt;
}

uint64_t LiveLine::lineage() const { return Relaxed(word(kLineage)); }
uint64_t LiveLine::generation() const { return std::atomic_ref(*word(kGeneration)).load(std::memory_order_acquire); }
LiveLine::Version LiveLine::version() const {
  const uint64_t sequence = std::atomic_ref(*word(kSequence)).load(std::memory_order_acquire);
  return {.sequence = sequence,
          .generation = Relaxed(word(kGeneration)),
          .durable_offset = RelaxedOffset(word(kDurableOffset))};
}
bool LiveLine::served() const {
  return std::atomic_ref(*word(kServedBy)).load(std::memory_order_acquire) == short_boot_id_;
}

uint64_t LiveLine::ShortLineage(const std::array<uint8_t, 16>& lineage) {
  uint64_t word = 0;
  std::memcpy(&word, lineage.data(), sizeof word);
  return word;
}

}  // namespace varve::internal
