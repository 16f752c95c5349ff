#include "log/damage_notes.h"

#include <concepts>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/path.h"
#include "base/status.h"
#include "io/whole_file.h"
#include "segment/raw_log.h"
#include "segment/segment_files.h"

namespace varve::internal {
namespace {

constexpr std::string_view kMagic = "varvedm1";
// A range takes about a hundred bytes: these are hundreds of thousands of them.
constexpr uint64_t kMaxFileBytes = uint64_t{64} << 20;

class Encoder {
 public:
  template <std::integral T>
  void Put(T value) {
    std::byte bytes[sizeof(T)];
    StoreBigEndian(bytes, value);
    out_ += AsText(bytes);
  }
  void Put(std::string_view text) { out_ += text; }
  [[nodiscard]] const std::string& out() const { return out_; }

 private:
  std::string out_;
};

// Takes fields from the front; the first that is cut short makes ok() false, later ones are zero.
class Decoder {
 public:
  explicit Decoder(std::span<const std::byte> in) : in_(in) {}

  template <std::integral T>
  T Take() {
    const std::span<const std::byte> bytes = TakeBytes(sizeof(T));
    return bytes.size() == sizeof(T) ? LoadBigEndian<T>(bytes.data()) : T{};
  }
  std::span<const std::byte> TakeBytes(size_t count) {
    ok_ = ok_ && count <= in_.size();
    if (!ok_) return {};
    const std::span<const std::byte> taken = in_.first(count);
    in_ = in_.subspan(count);
    return taken;
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return ok_ && in_.empty(); }

 private:
  std::span<const std::byte> in_;
  bool ok_ = true;
};

std::string Encode(const std::vector<NotedDamage>& notes) {
  Encoder encoder;
  encoder.Put(kMagic);
  encoder.Put(static_cast<uint32_t>(notes.size()));
  for (const NotedDamage& note : notes) {
    encoder.Put(note.range.segment);
    encoder.Put(note.range.position);
    encoder.Put(note.range.bytes);
    encoder.Put(note.range.first_offset);
    encoder.Put(note.range.last_offset);
    encoder.Put(note.log_size_bytes);
    encoder.Put(static_cast<uint8_t>(note.content_crc.has_value() ? 1 : 0));
    encoder.Put(note.content_crc.value_or(0));
    encoder.Put(static_cast<uint32_t>(note.range.reason.size()));
    encoder.Put(std::string_view(note.range.reason));
  }
  encoder.Put(Crc32c(AsBytes(encoder.out())));
  return encoder.out();
}

// Absent if this is not what Encode makes.
std::optional<std::vector<NotedDamage>> Decode(std::span<const std::byte> file) {
  if (file.size() < kMagic.size() + 2 * sizeof(uint32_t)) return std::nullopt;
  const std::span<const std::byte> content = file.first(file.size() - sizeof(uint32_t));
  if (LoadBigEndian<uint32_t>(content.data() + content.size()) != Crc32c(content)) return std::nullopt;
  Decoder decoder(content);
  if (AsText(decoder.TakeBytes(kMagic.size())) != kMagic) return std::nullopt;
  const uint32_t count = decoder.Take<uint32_t>();
  std::vector<NotedDamage> notes;
  for (uint32_t i = 0; i < count && decoder.ok(); ++i) {
    NotedDamage& note = notes.emplace_back();
    note.range.segment = decoder.Take<int64_t>();
    note.range.position = decoder.Take<int64_t>();
    note.range.bytes = decoder.Take<int64_t>();
    note.range.first_offset = decoder.Take<int64_t>();
    note.range.last_offset = decoder.Take<int64_t>();
    note.log_size_bytes = decoder.Take<int64_t>();
    const bool could_be_read = decoder.Take<uint8_t>() != 0;
    const uint32_t content_crc = decoder.Take<uint32_t>();
    if (could_be_read) note.content_crc = content_crc;
    note.range.reason = std::string(AsText(decoder.TakeBytes(decoder.Take<uint32_t>())));
  }
  if (!decoder.at_end()) return std::nullopt;
  return notes;
}

absl::StatusOr<std::unique_ptr<File>> OpenSegmentLog(FileSystem* file_system, const std::string& directory,
                                                     int64_t base_offset) {
  return file_system->Open(JoinPath(directory, SegmentFileName(base_offset, SegmentFileKind::kLog)), OpenMode::kRead);
}

// The checksum of what a range holds now; absent where the device cannot read it.
absl::StatusOr<std::optional<uint32_t>> ContentCrc(const File& log, const DamagedRange& range) {
  RawLog raw(&log, range.position + range.bytes);
  return raw.ExtendCrc(0, range.position, range.position + range.bytes);
}

}  // namespace

absl::StatusOr<DamageNotes> DamageNotes::Read(FileSystem* file_system, const std::string& directory) {
  const std::string path = JoinPath(directory, kFileName);
  const absl::StatusOr<std::string> content = ReadWholeFile(file_system, path, kMaxFileBytes);
  if (absl::IsNotFound(content.status())) return DamageNotes();
  VARVE_RETURN_IF_ERROR(content.status());
  std::optional<std::vector<NotedDamage>> notes = Decode(AsBytes(*content));
  if (!notes.has_value()) {
    return Error(absl::StatusCode::kDataLoss, "{}: noted damage with its checksum expected, found {} bytes of others",
                 path, content->size());
  }
  DamageNotes result;
  for (NotedDamage& note : *notes) result.segments_[note.range.segment].push_back(std::move(note));
  return result;
}

absl::Status DamageNotes::Write(FileSystem* file_system, const std::string& directory,
                                const std::vector<DamagedRange>& damage) {
  const std::string path = JoinPath(directory, kFileName);
  if (damage.empty()) {
    const absl::Status removed = file_system->Remove(path);
    if (absl::IsNotFound(removed)) return absl::OkStatus();
    VARVE_RETURN_IF_ERROR(removed);
    // Should the name come back after a power loss, a missing end that was made a gap would hold what was noted of it.
    return file_system->SyncDirectory(directory);
  }
  std::vector<NotedDamage> notes;
  for (const DamagedRange& range : damage) {
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> log, OpenSegmentLog(file_system, directory, range.segment));
    VARVE_ASSIGN_OR_RETURN(const uint64_t size_bytes, log->Size());
    VARVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> content_crc, ContentCrc(*log, range));
    notes.push_back({.range = range, .log_size_bytes = static_cast<int64_t>(size_bytes), .content_crc = content_crc});
  }
  const std::string content = Encode(notes);
  const absl::StatusOr<std::string> present = ReadWholeFile(file_system, path, kMaxFileBytes);
  if (present.ok() && *present == content) return absl::OkStatus();
  return ReplaceFile(file_system, path, AsBytes(content));
}

std::vector<DamagedRange> DamageNotes::Of(int64_t base_offset) const {
  std::vector<DamagedRange> ranges;
  const auto segment = segments_.find(base_offset);
  if (segment == segments_.end()) return ranges;
  for (const NotedDamage& note : segment->second) ranges.push_back(note.range);
  return ranges;
}

absl::StatusOr<bool> DamageNotes::Hold(FileSystem* file_system, const std::string& directory,
                                       const FoundSegment& segment, bool is_last) const {
  const auto noted = segments_.find(segment.base_offset);
  if (noted == segments_.end()) return true;
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<File> log, OpenSegmentLog(file_system, directory, segment.base_offset));
  for (const NotedDamage& note : noted->second) {
    // Nothing is ever appended behind damage that reaches to the end.
    const int64_t end = note.range.position + note.range.bytes;
    const bool fits = is_last ? end < segment.size_bytes && note.log_size_bytes <= segment.size_bytes
                              : note.log_size_bytes == segment.size_bytes;
    if (!fits) return false;
    VARVE_ASSIGN_OR_RETURN(const std::optional<uint32_t> content_crc, ContentCrc(*log, note.range));
    if (content_crc != note.content_crc) return false;
  }
  return true;
}

}  // namespace varve::internal
