// WriterWatch: whether another process writes a partition, and what its live line says.
//
// Thread rules: one thread at a time.
#ifndef VARVE_LIB_LOG_WRITER_WATCH_H_
#define VARVE_LIB_LOG_WRITER_WATCH_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "log/live_line.h"
#include "varve/file_system.h"

namespace varve::internal {

enum class WriterPresence {
  kNone,  // the lock is free, or its holder keeps no line
  kBusy,  // a writer that serves no reader yet: it recovers the log, or replaces files for a truncation or a compaction
  kServing,
};

struct WriterSight {
  WriterPresence presence = WriterPresence::kNone;
  LiveValues values;  // of a writer that is serving; of a busy one the generation, from which on its changes show
};

class WriterWatch {
 public:
  WriterWatch(FileSystem* file_system, std::string directory)
      : file_system_(file_system), directory_(std::move(directory)) {}

  // Asks for the lock and for the line. Cost: a few system calls. Errors: as the file system, and LiveLine::Open.
  [[nodiscard]] absl::StatusOr<WriterSight> Look();

  // What the line that was found last says now, if it is served still. No system call: a writer that died since shows
  // only when Look is called.
  [[nodiscard]] std::optional<LiveValues> Glance() const;

  // The line that was found last; null if there was none.
  [[nodiscard]] const std::shared_ptr<const LiveLine>& line() const { return line_; }

 private:
  // Finds the line of the writer that holds the lock; none if it keeps none.
  [[nodiscard]] absl::Status FindLine();

  FileSystem* const file_system_;
  const std::string directory_;
  std::shared_ptr<const LiveLine> line_;
  uint64_t believed_lineage_ = 0;  // of line_, once varve.state was seen to agree
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_WRITER_WATCH_H_
