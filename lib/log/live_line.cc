#include "log/live_line.h"

#include <atomic>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "base/path.h"
#include "base/status.h"

namespace varve::internal {
namespace {

constexpr size_t kLineBytes = 64;
constexpr size_t kSequence = 0;
constexpr size_t kGeneration = 1;
constexpr size_t kActiveBase = 2;
constexpr size_t kEndPosition = 3;
constexpr size_t kEndOffset = 4;
constexpr size_t kHighWatermark = 5;
constexpr size_t kDurableOffset = 6;
constexpr size_t kLineage = 7;
static_assert((kLineage + 1) * sizeof(uint64_t) == kLineBytes);

// A writer stores seven words, which takes no time unless the system takes the processor away from it among them: after
// the first looks a reader gives its own away. Whoever has looked so often meets a writer that was stopped there.
constexpr int kLooksWithoutYield = 100;
constexpr int kMaxLooks = 5'000;

uint64_t Relaxed(uint64_t* word) { return std::atomic_ref(*word).load(std::memory_order_relaxed); }
void SetRelaxed(uint64_t* word, uint64_t value) { std::atomic_ref(*word).store(value, std::memory_order_relaxed); }
void SetRelaxed(uint64_t* word, int64_t value) { SetRelaxed(word, std::bit_cast<uint64_t>(value)); }

}  // namespace

LiveLine::LiveLine(std::unique_ptr<File> file, std::unique_ptr<Mapping> mapping)
    : file_(std::move(file)), mapping_(std::move(mapping)), words_(reinterpret_cast<uint64_t*>(mapping_->data())) {}

namespace {

struct MappedLine {
  std::unique_ptr<File> file;
  std::unique_ptr<Mapping> mapping;
};

// The file, made where there is none, and its mapping, which may be stored into. kInternal: the device fails.
absl::StatusOr<MappedLine> MapForWriting(FileSystem* file_system, const std::string& path) {
  absl::StatusOr<std::unique_ptr<File>> file = file_system->Open(path, OpenMode::kReadWrite);
  if (absl::IsNotFound(file.status())) file = file_system->Open(path, OpenMode::kCreate);
  VARVE_RETURN_IF_ERROR(file.status());
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, (*file)->Size());
  if (size != kLineBytes) {
    // Written, not allocated: a store into the mapping must never be the first to ask for the block.
    VARVE_RETURN_IF_ERROR((*file)->WriteAt(0, std::vector<std::byte>(kLineBytes)));
    VARVE_RETURN_IF_ERROR((*file)->Truncate(kLineBytes));
  }
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Mapping> mapping, (*file)->Map(kLineBytes, Access::kReadWrite));
  absl::Status populated = mapping->Populate(0, kLineBytes);
  if (!populated.ok() && !absl::IsUnimplemented(populated)) return populated;
  return MappedLine{*std::move(file), std::move(mapping)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<LiveLine>> LiveLine::Create(FileSystem* file_system, const std::string& directory,
                                                           const std::array<uint8_t, 16>& lineage) {
  const std::string path = JoinPath(directory, kFileName);
  absl::StatusOr<MappedLine> mapped = MapForWriting(file_system, path);
  if (absl::IsInternal(mapped.status())) {
    // It is a hint: a new file serves as well as one that the device cannot read.
    VARVE_RETURN_IF_ERROR(file_system->Remove(path));
    mapped = MapForWriting(file_system, path);
  }
  VARVE_RETURN_IF_ERROR(mapped.status());
  std::unique_ptr<LiveLine> line(new LiveLine(std::move(mapped->file), std::move(mapped->mapping)));
  SetRelaxed(line->word(kSequence), (Relaxed(line->word(kSequence)) + 1) & ~uint64_t{1});  // even, whatever was left
  SetRelaxed(line->word(kLineage), ShortLineage(lineage));
  return line;
}

absl::StatusOr<std::unique_ptr<LiveLine>> LiveLine::Open(FileSystem* file_system, const std::string& directory) {
  const std::string path = JoinPath(directory, kFileName);
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file, file_system->Open(path, OpenMode::kRead));
  VARVE_ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (size < kLineBytes) {
    return Error(absl::StatusCode::kDataLoss, "{}: expected {} bytes, found {}", path, kLineBytes, size);
  }
  // By a read call at first: where the device cannot read the page, the mapping would end the process.
  std::array<std::byte, kLineBytes> ignored;
  const absl::Status readable = file->ReadAt(0, ignored).status();
  if (absl::IsInternal(readable)) return absl::DataLossError(readable.message());
  VARVE_RETURN_IF_ERROR(readable);
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Mapping> mapping, file->Map(kLineBytes, Access::kRead));
  return std::unique_ptr<LiveLine>(new LiveLine(std::move(file), std::move(mapping)));
}

void LiveLine::Store(const LiveValues& values) {
  const uint64_t sequence = Relaxed(word(kSequence));
  SetRelaxed(word(kSequence), sequence + 1);
  std::atomic_thread_fence(std::memory_order_release);
  SetRelaxed(word(kGeneration), values.generation);
  SetRelaxed(word(kActiveBase), values.active_base);
  SetRelaxed(word(kEndPosition), values.end_position);
  SetRelaxed(word(kEndOffset), values.end_offset);
  SetRelaxed(word(kHighWatermark), values.high_watermark);
  SetRelaxed(word(kDurableOffset), values.durable_offset);
  std::atomic_ref(*word(kSequence)).store(sequence + 2, std::memory_order_release);
}

std::optional<LiveValues> LiveLine::Load() const {
  for (int look = 0; look < kMaxLooks; ++look) {
    if (look >= kLooksWithoutYield) absl::SleepFor(absl::Microseconds(1));
    const uint64_t before = std::atomic_ref(*word(kSequence)).load(std::memory_order_acquire);
    if (before % 2 != 0) continue;
    const LiveValues values{.generation = Relaxed(word(kGeneration)),
                            .active_base = std::bit_cast<int64_t>(Relaxed(word(kActiveBase))),
                            .end_position = std::bit_cast<int64_t>(Relaxed(word(kEndPosition))),
                            .end_offset = std::bit_cast<int64_t>(Relaxed(word(kEndOffset))),
                            .high_watermark = std::bit_cast<int64_t>(Relaxed(word(kHighWatermark))),
                            .durable_offset = std::bit_cast<int64_t>(Relaxed(word(kDurableOffset)))};
    std::atomic_thread_fence(std::memory_order_acquire);
    if (Relaxed(word(kSequence)) == before) return values;
  }
  return std::nullopt;
}

uint64_t LiveLine::lineage() const { return Relaxed(word(kLineage)); }
uint64_t LiveLine::generation() const { return std::atomic_ref(*word(kGeneration)).load(std::memory_order_acquire); }
int64_t LiveLine::end_offset() const {
  return std::bit_cast<int64_t>(std::atomic_ref(*word(kEndOffset)).load(std::memory_order_acquire));
}

uint64_t LiveLine::ShortLineage(const std::array<uint8_t, 16>& lineage) {
  uint64_t word = 0;
  std::memcpy(&word, lineage.data(), sizeof word);
  return word;
}

}  // namespace varve::internal
