// varve.damage: which ranges of a partition's segments an opening found damaged and left where they are. A later
// opening reads nothing of most segments; without the notes it would take the bytes behind an old damage for good and
// those inside it for batches. Kafka ignores the file.
//
// Content, big-endian: "varvedm1", the number of ranges (4 bytes), for each of them
//   segment, position, bytes, first offset, last offset, size of the .log then   8 bytes each
//   whether the device could read the bytes (1), their checksum if so            1 + 4 bytes
//   size of the reason in bytes, the reason                                      4 bytes + as many
// and the CRC-32C of all that. Replaced whole and synced, before the state speaks of a log that was judged; removed
// when nothing is damaged any more. A crash leaves the notes of before: they are believed of a segment only while each
// of its ranges holds what it held then, and its .log is as long. Otherwise (Kafka, a repair or a truncation has been
// there) the segment is read again.
//
// Thread rules: one thread at a time.
#ifndef VARVE_LIB_LOG_DAMAGE_NOTES_H_
#define VARVE_LIB_LOG_DAMAGE_NOTES_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/believed_marks.h"
#include "varve/damaged_range.h"
#include "varve/file_system.h"

namespace varve::internal {

// A damaged range, and what tells whether it still is.
struct NotedDamage {
  DamagedRange range;
  int64_t log_size_bytes = 0;
  std::optional<uint32_t> content_crc;  // of its bytes; absent where the device could not read them
};

class DamageNotes {
 public:
  static constexpr char kFileName[] = "varve.damage";

  DamageNotes() = default;

  // The notes of a directory; none where there is no file. kDataLoss: the content is not what was written. kInternal:
  // the device cannot read it. Then nothing is known of any segment.
  [[nodiscard]] static absl::StatusOr<DamageNotes> Read(FileSystem* file_system, const std::string& directory);

  // Makes `damage` what is noted, stable when it returns; keeps a file that says so already. Cost: reads the damaged
  // bytes.
  [[nodiscard]] static absl::Status Write(FileSystem* file_system, const std::string& directory,
                                          const std::vector<DamagedRange>& damage);

  // True if damage is noted in the segment of this base offset.
  [[nodiscard]] bool Names(int64_t base_offset) const { return segments_.contains(base_offset); }
  // What is noted in it, ascending.
  [[nodiscard]] std::vector<DamagedRange> Of(int64_t base_offset) const;

  // True if the segment still is as it was when its damage was noted. The last segment may have grown behind it. Cost:
  // reads the damaged bytes. Errors: as the file system; bytes that the device cannot read are none.
  [[nodiscard]] absl::StatusOr<bool> Hold(FileSystem* file_system, const std::string& directory,
                                          const FoundSegment& segment, bool is_last) const;

 private:
  std::map<int64_t, std::vector<NotedDamage>> segments_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_DAMAGE_NOTES_H_
