#include "fuzz/log_directory.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "base/bytes.h"
#include "fuzz/decoders.h"
#include "segment/segment_files.h"
#include "varve/log.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::fuzz {
namespace {

using internal::ParseSegmentFileName;
using internal::SegmentFileKind;
using internal::SegmentFileName;
using internal::SegmentFileSuffix;

constexpr char kDirectory[] = "orders-0";
constexpr size_t kEntryHeaderBytes = 5;

constexpr std::array<std::string_view, 5> kSmallFiles = {"leader-epoch-checkpoint", "partition.metadata", "varve.state",
                                                         "varve.live", "varve.damage"};
constexpr std::array kKinds = {SegmentFileKind::kLog, SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex,
                               SegmentFileKind::kTransactionIndex, SegmentFileKind::kSnapshot};
constexpr std::array kSuffixes = {SegmentFileSuffix::kNone, SegmentFileSuffix::kDeleted, SegmentFileSuffix::kCleaned,
                                  SegmentFileSuffix::kSwap};

std::string FileName(uint8_t kind, uint16_t base_offset) {
  const size_t number = kind % (kSmallFiles.size() + kKinds.size() * kSuffixes.size());
  if (number < kSmallFiles.size()) return std::string(kSmallFiles[number]);
  const size_t segment_file = number - kSmallFiles.size();
  return SegmentFileName(base_offset, kKinds[segment_file % kKinds.size()], kSuffixes[segment_file / kKinds.size()]);
}

// The kind and base offset that FileName makes `name` of.
std::optional<std::pair<uint8_t, uint16_t>> KindOf(std::string_view name) {
  const auto small = std::find(kSmallFiles.begin(), kSmallFiles.end(), name);
  if (small != kSmallFiles.end()) return std::pair(static_cast<uint8_t>(small - kSmallFiles.begin()), uint16_t{0});
  const auto parts = ParseSegmentFileName(name);
  if (!parts.has_value() || parts->base_offset > std::numeric_limits<uint16_t>::max()) return std::nullopt;
  const auto kind = std::find(kKinds.begin(), kKinds.end(), parts->kind) - kKinds.begin();
  const auto suffix = std::find(kSuffixes.begin(), kSuffixes.end(), parts->suffix) - kSuffixes.begin();
  return std::pair(static_cast<uint8_t>(kSmallFiles.size() + static_cast<size_t>(suffix) * kKinds.size() +
                                        static_cast<size_t>(kind)),
                   static_cast<uint16_t>(parts->base_offset));
}

struct Contents {
  int64_t log_start_offset = 0;
  int64_t log_end_offset = 0;
  std::vector<std::pair<int64_t, std::string>> records;

  friend bool operator==(const Contents&, const Contents&) = default;
};

// Every record that is served; what is damaged is stepped over.
Contents ReadAll(const Log& log) {
  Contents contents{log.log_start_offset(), log.log_end_offset(), {}};
  Require(contents.log_start_offset <= contents.log_end_offset, "a log to start before it ends");
  int64_t offset = contents.log_start_offset;
  while (offset < contents.log_end_offset) {
    LogScan scan = log.Scan(offset, {.isolation = Isolation::kLogEnd});
    for (const RecordView& record : scan) {
      Require(record.offset() >= offset && record.offset() < contents.log_end_offset, "rising offsets in the log");
      offset = record.offset() + 1;
      contents.records.emplace_back(record.offset(), record.value().value_or(""));
    }
    Require(scan.status().ok() || !absl::IsInternal(scan.status()), scan.status().ToString());
    if (scan.status().ok() || scan.next_offset() < offset) break;
    offset = std::max(offset + 1, scan.next_offset());
  }
  (void)log.OffsetForTimestamp(0);
  (void)log.OffsetForTimestamp(kMaxTimestamp);
  (void)log.AbortedTransactions(contents.log_start_offset, contents.log_end_offset);
  return contents;
}

LogOptions Options(MemoryFileSystem* memory, Clock* clock) {
  LogOptions options;
  options.file_system = memory;
  options.clock = clock;
  options.segment_bytes = 1 << 16;
  options.segment_index_bytes = 1 << 12;
  return options;
}

bool IsAnswer(const absl::Status& status) {
  return absl::IsDataLoss(status) || absl::IsUnimplemented(status) || absl::IsInvalidArgument(status) ||
         absl::IsFailedPrecondition(status);
}

}  // namespace

DirectoryFiles DecodeDirectory(Input input) {
  DirectoryFiles files;
  while (input.size() >= kEntryHeaderBytes) {
    const auto kind = static_cast<uint8_t>(input[0]);
    const auto base_offset = internal::LoadBigEndian<uint16_t>(input.data() + 1);
    const auto length = internal::LoadBigEndian<uint16_t>(input.data() + 3);
    input = input.subspan(kEntryHeaderBytes);
    if (length > input.size()) break;
    files[FileName(kind, base_offset)] = internal::AsText(input.first(length));
    input = input.subspan(length);
  }
  return files;
}

std::vector<std::byte> EncodeDirectory(const DirectoryFiles& files) {
  std::vector<std::byte> input;
  for (const auto& [name, content] : files) {
    const auto kind = KindOf(name);
    if (!kind.has_value() || content.size() > std::numeric_limits<uint16_t>::max()) continue;
    std::array<std::byte, kEntryHeaderBytes> header{std::byte{kind->first}};
    internal::StoreBigEndian(header.data() + 1, kind->second);
    internal::StoreBigEndian(header.data() + 3, static_cast<uint16_t>(content.size()));
    input.insert(input.end(), header.begin(), header.end());
    const std::span<const std::byte> bytes = internal::AsBytes(content);
    input.insert(input.end(), bytes.begin(), bytes.end());
  }
  return input;
}

// A log opens, or is refused; opened again it is the same, and it can be appended to.
void FuzzLogDirectory(Input input) {
  MemoryFileSystem memory;
  ManualClock clock(1'700'000'000'000, 1'000'000'000'000);
  Require(memory.CreateDirectory(kDirectory).ok(), "a directory");
  for (const auto& [name, content] : DecodeDirectory(input)) {
    const std::string path = std::string(kDirectory) + "/" + name;
    const absl::StatusOr<std::unique_ptr<File>> file = memory.Open(path, OpenMode::kCreate);
    Require(file.ok() && (*file)->WriteAt(0, internal::AsBytes(content)).ok(), "a file");
  }
  LogOptions reading = Options(&memory, &clock);
  reading.read_only = true;
  std::optional<Contents> read;
  if (const absl::StatusOr<std::unique_ptr<Log>> log = Log::Open(kDirectory, reading); log.ok()) {
    read = ReadAll(**log);
  } else {
    Require(IsAnswer(log.status()), log.status().ToString());
  }
  std::optional<Contents> written;
  {
    const absl::StatusOr<std::unique_ptr<Log>> log = Log::Open(kDirectory, Options(&memory, &clock));
    Require(log.ok() == read.has_value(), "a writer to open what a reader opens: " + log.status().ToString());
    if (!log.ok()) return;
    written = ReadAll(**log);
    Require(written == read, "a writer to find what a reader found");
    const absl::StatusOr<AppendResult> appended = (*log)->Append({{.value = "one more"}});
    if (appended.ok()) {
      Require(appended->base_offset == written->log_end_offset, "an append at the end");
      written->records.emplace_back(appended->base_offset, "one more");
      ++written->log_end_offset;
    }
    Require((*log)->Close().ok() || !appended.ok(), "a log to be closed");
  }
  const absl::StatusOr<std::unique_ptr<Log>> log = Log::Open(kDirectory, Options(&memory, &clock));
  Require(log.ok(), log.status().ToString());
  Require(ReadAll(**log) == *written, "the same log at the second opening");
}

}  // namespace varve::fuzz
