#include "cli/opened_view.h"

#include <limits>
#include <utility>

#include "cli/partition_access.h"
#include "cli/progress_bar.h"

namespace varve::cli {

absl::StatusOr<OpenedView> ViewAsOpened(std::string_view command, FileSystem* base, const std::string& directory,
                                        std::optional<int64_t> index_interval_bytes) {
  OpenedView view;
  view.files = std::make_unique<OverlayFileSystem>(base);
  const absl::StatusOr<DataDirectory> data = ReadMarks(command, view.files.get(), directory);
  if (!data.ok()) return data.status();
  LogOptions options;
  options.file_system = view.files.get();
  options.create = false;
  options.marks = data->marks();
  options.io_mode = IoMode::kWrite;  // an overlay has no use for space taken ahead
  // Whether a producer has been idle for too long is a matter of the day the files are looked at, not of the files.
  options.producer_id_expiration_ms = std::numeric_limits<int64_t>::max();
  options.index_interval_bytes = index_interval_bytes;
  const auto bar = std::make_shared<ProgressBar>(RecoveryTitle(command));
  options.recovery_progress = UpdatesOf(bar);
  const absl::StatusOr<std::unique_ptr<Log>> log = Log::Open(directory, options);
  if (!log.ok()) return log.status();
  // With the sync that opening leaves to others, and Kafka's does not.
  if (absl::Status status = (*log)->Flush(); !status.ok()) return status;
  view.offsets = (*log)->offsets();
  view.producers = (*log)->producers();
  view.leader_epochs = (*log)->leader_epochs();
  view.report = (*log)->recovery_report();
  if (absl::Status status = (*log)->Close(); !status.ok()) return status;
  return view;
}

}  // namespace varve::cli
