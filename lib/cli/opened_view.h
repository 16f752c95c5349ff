// OpenedView: a partition as opening and closing it would leave it, without changing a byte of it.
//
// Thread rules: one thread.
#ifndef VARVE_LIB_CLI_OPENED_VIEW_H_
#define VARVE_LIB_CLI_OPENED_VIEW_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "varve/leader_epoch.h"
#include "varve/log.h"
#include "varve/overlay_file_system.h"
#include "varve/producer_state.h"
#include "varve/recovery_report.h"

namespace varve::cli {

struct OpenedView {
  std::unique_ptr<OverlayFileSystem> files;  // as they would be afterwards
  LogOffsets offsets;
  std::vector<ProducerStateEntry> producers;
  std::vector<LeaderEpoch> leader_epochs;
  RecoveryReport report;
};

// Opens and closes the partition on an overlay of `base`, which must outlive the view. `index_interval_bytes` is for
// indexes that are rebuilt (LogOptions). Errors: as Log::Open.
[[nodiscard]] absl::StatusOr<OpenedView> ViewAsOpened(std::string_view command, FileSystem* base,
                                                      const std::string& directory,
                                                      std::optional<int64_t> index_interval_bytes);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_OPENED_VIEW_H_
