#include <memory>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "io/whole_file.h"
#include "log/log_loader.h"
#include "varve/log.h"
#include "varve/overlay_file_system.h"
#include "varve/verify.h"

namespace varve {
namespace {

// A report names each finding in a line: this many bytes are hundreds of thousands of them.
constexpr uint64_t kMaxReportBytes = uint64_t{64} << 20;

}  // namespace

absl::StatusOr<RecoveryReport> Repair(FileSystem* file_system, const std::string& directory,
                                      const RepairOptions& options) {
  LogOptions open{.file_system = file_system,
                  .clock = options.clock,
                  .create = false,
                  .on_damage = options.on_damage,
                  .marks = options.marks,
                  .recovery_progress = options.progress,
                  .index_interval_bytes = options.index_interval_bytes,
                  .io_mode = IoMode::kWrite};
  if (options.force) {
    open.marks.clean = false;
  } else {
    VARVE_ASSIGN_OR_RETURN(const VerifyReport verified, Verify(file_system, directory, options.marks));
    // By the marks alone, also where everything is to be recovered: nothing is where nothing is wrong.
    OverlayFileSystem trial(file_system);
    VARVE_ASSIGN_OR_RETURN(internal::LoadedLog loaded, internal::LoadLog(&trial, directory, open));
    if (verified.ok && loaded.report.clean) {
      loaded.report.findings.clear();  // what the trial did was done nowhere
      return std::move(loaded.report);
    }
    // What a clean stop vouches for is not looked at by opening: where it is wrong all the same, everything is.
    open.recover_all = loaded.report.clean;
  }
  if (options.all) open.recover_all = true;
  VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<Log> log, Log::Open(directory, open));
  RecoveryReport report = log->recovery_report();
  VARVE_RETURN_IF_ERROR(log->Close());
  return report;
}

absl::StatusOr<RecoveryReport> LastReport(FileSystem* file_system, const std::string& directory) {
  const std::string path = internal::JoinPath(directory, internal::kReportFileName);
  VARVE_ASSIGN_OR_RETURN(const std::string json, internal::ReadWholeFile(file_system, path, kMaxReportBytes));
  absl::StatusOr<RecoveryReport> report = RecoveryReport::FromJson(json);
  if (!report.ok()) return internal::Annotate(report.status(), path);
  return report;
}

}  // namespace varve
