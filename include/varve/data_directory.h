// DataDirectory: what Kafka keeps beside its partitions, and how a writer below it behaves.
//
// Log::Open never looks outside its own directory; whoever opens a partition that may lie in a Kafka data directory
// asks here first and passes the marks on:
//
//   absl::StatusOr<varve::DataDirectory> data =
//       varve::DataDirectory::Of(varve::FileSystem::Default(), "kafka-logs/orders-0");
//   if (auto prepared = data->PrepareForWriting(); !prepared.ok()) return prepared.status();
//   varve::LogOptions options{.marks = data->marks()};
//
// Thread rules: one thread at a time.
#ifndef VARVE_DATA_DIRECTORY_H_
#define VARVE_DATA_DIRECTORY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "varve/file_system.h"
#include "varve/log_options.h"

namespace varve {

class DataDirectory {
 public:
  // Reads the marks that the parent of `partition_directory` holds for it, only where that parent holds Kafka's own
  // files (one of the checkpoints, the clean marker or meta.properties). A checkpoint that cannot be parsed counts as
  // absent and is listed in notes(), as Kafka does.
  [[nodiscard]] static absl::StatusOr<DataDirectory> Of(FileSystem* file_system,
                                                        const std::string& partition_directory);

  // True where the parent is a Kafka data directory.
  [[nodiscard]] bool is_kafka() const { return is_kafka_; }
  [[nodiscard]] const OpenMarks& marks() const { return marks_; }
  [[nodiscard]] const std::vector<std::string>& notes() const { return notes_; }

  // Before the first change below a Kafka data directory: takes a shared lock on its `.lock` (kUnavailable while a
  // broker holds it), reads marks() and notes() again, which a broker may have changed until then, removes
  // `.kafka_cleanshutdown` and syncs the directory. Open with the marks as they are afterwards: they still tell of the
  // marker. Does nothing elsewhere, nor once it has succeeded. The lock is held as long as this object. Returns true if
  // the clean marker was removed, so that the caller can say so. kPermissionDenied: the directory is another user's than
  // whom this process runs as: its broker could not open what is written here. Nothing has changed then.
  [[nodiscard]] absl::StatusOr<bool> PrepareForWriting();

  // After a truncation to `offset`, a fresh start there included: lowers the partition's recovery point, log start, high
  // watermark and cleaner lines where they are above it, and a log start line above `log_start_offset` to that. Never
  // raises one. A log start line that is left above the end makes Kafka drop the log; varve takes it for stale as long as
  // it says what it said when the log was started anew. Waits for writers of other partitions, whose lines are in the same
  // files; kUnavailable where one takes longer than a minute.
  [[nodiscard]] absl::Status LowerCheckpoints(int64_t offset, std::optional<int64_t> log_start_offset = std::nullopt);

 private:
  [[nodiscard]] absl::Status ReadMarks();

  FileSystem* file_system_ = nullptr;
  std::string parent_;
  std::string partition_name_;
  bool is_kafka_ = false;
  OpenMarks marks_;
  std::vector<std::string> notes_;
  std::unique_ptr<FileLock> lock_;
  bool prepared_ = false;
};

}  // namespace varve

#endif  // VARVE_DATA_DIRECTORY_H_
