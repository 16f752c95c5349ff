#include "log/leader_epoch_limit.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/bytes.h"
#include "base/status.h"
#include "record/batch_format.h"
#include "record/batch_scanner.h"

namespace varve::internal {

std::vector<LeaderEpoch> LimitLeaderEpochs(std::span<const LeaderEpoch> epochs, int32_t max_epoch) {
  std::vector<LeaderEpoch> limited;
  for (const LeaderEpoch& epoch : epochs) {
    if (!limited.empty() && limited.back().epoch == max_epoch) break;
    limited.push_back({.epoch = std::min(epoch.epoch, max_epoch), .start_offset = epoch.start_offset});
  }
  return limited;
}

absl::StatusOr<int64_t> LimitBatchEpochs(File* log_file, int32_t max_epoch) {
  VARVE_ASSIGN_OR_RETURN(const uint64_t size_bytes, log_file->Size());
  std::array<std::byte, sizeof(max_epoch)> stamp;
  StoreBigEndian(stamp.data(), max_epoch);
  int64_t stamped = 0;
  BatchScanner scanner(log_file, 0, size_bytes);
  while (true) {
    VARVE_ASSIGN_OR_RETURN(const bool found, scanner.Next());
    if (!found) break;
    if (scanner.header().leader_epoch <= max_epoch) continue;
    VARVE_RETURN_IF_ERROR(log_file->WriteAt(scanner.position() + kLeaderEpochPosition, stamp));
    ++stamped;
  }
  if (scanner.end() == ScanEnd::kLimit) return stamped;
  return Error(absl::StatusCode::kDataLoss, "{}: position {}: {}", log_file->path(), scanner.position(),
               scanner.reason());
}

}  // namespace varve::internal
