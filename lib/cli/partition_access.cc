#include "cli/partition_access.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "cli/exit_status.h"
#include "cli/progress_bar.h"
#include "varve/overlay_file_system.h"
#include "varve/partition_files.h"
#include "varve/topic_partition.h"

namespace varve::cli {
namespace {

constexpr absl::StatusCode kWrongPath = absl::StatusCode::kInvalidArgument;

absl::Status CheckDirectory(FileSystem* file_system, const std::string& directory) {
  const absl::StatusOr<FileInfo> info = file_system->Info(directory);
  if (absl::IsNotFound(info.status())) return absl::NotFoundError(fmt::format("{}: no such directory", directory));
  if (!info.ok()) return info.status();
  if (!info->is_directory) return Failure(kWrongPath, "{}: expected a directory, found a file", directory);
  return absl::OkStatus();
}

absl::StatusOr<bool> IsPartition(FileSystem* file_system, const std::string& directory) {
  absl::StatusOr<std::vector<PartitionFile>> files = ListPartitionFiles(file_system, directory);
  if (!files.ok()) return files.status();
  return std::any_of(files->begin(), files->end(),
                     [](const PartitionFile& file) { return file.kind != PartitionFileKind::kOther; });
}

}  // namespace

std::string RecoveryTitle(std::string_view command) { return fmt::format("{}: recovery", command); }

absl::Status CheckPartition(FileSystem* file_system, const std::string& directory) {
  if (absl::Status status = CheckDirectory(file_system, directory); !status.ok()) return status;
  const absl::StatusOr<bool> is_partition = IsPartition(file_system, directory);
  if (!is_partition.ok()) return is_partition.status();
  if (*is_partition) return absl::OkStatus();
  return Failure(kWrongPath, "{}: not a partition: expected files like 00000000000000000000.log, found none",
                 directory);
}

absl::StatusOr<std::vector<std::string>> PartitionsIn(FileSystem* file_system, const std::string& directory) {
  if (absl::Status status = CheckDirectory(file_system, directory); !status.ok()) return status;
  const absl::StatusOr<bool> is_partition = IsPartition(file_system, directory);
  if (!is_partition.ok()) return is_partition.status();
  std::vector<std::string> partitions;
  if (*is_partition) {
    partitions.push_back(directory);
    return partitions;
  }
  absl::StatusOr<std::vector<std::string>> names = file_system->List(directory);
  if (!names.ok()) return names.status();
  for (const std::string& name : *names) {
    const std::string path = directory + "/" + name;
    const absl::StatusOr<FileInfo> info = file_system->Info(path);
    if (!info.ok() || !info->is_directory || !ParseTopicPartition(name).ok()) continue;
    if (IsPartition(file_system, path).value_or(true)) partitions.push_back(path);
  }
  if (!partitions.empty()) return partitions;
  return Failure(kWrongPath,
                 "{}: neither a partition nor a data directory: expected files like 00000000000000000000.log, or "
                 "directories named TOPIC-N; found neither",
                 directory);
}

absl::StatusOr<int64_t> LogBytes(FileSystem* file_system, const std::string& directory) {
  const absl::StatusOr<std::vector<PartitionFile>> files = ListPartitionFiles(file_system, directory);
  if (!files.ok()) return files.status();
  int64_t bytes = 0;
  for (const PartitionFile& file : *files) {
    if (file.kind != PartitionFileKind::kLog) continue;
    const absl::StatusOr<FileInfo> info = file_system->Info(directory + "/" + file.name);
    if (!info.ok()) return info.status();
    bytes += static_cast<int64_t>(info->size);
  }
  return bytes;
}

absl::StatusOr<std::string> CanonicalPath(const std::string& directory) {
  if (directory.empty()) return Failure(kWrongPath, "expected the path of a directory, found an empty one");
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(directory, error);
  if (!error) path = std::filesystem::weakly_canonical(path, error);
  if (error) return Failure(absl::StatusCode::kInternal, "{}: {}", directory, error.message());
  if (!path.has_filename()) path = path.parent_path();  // it ended in a slash, and is not there yet
  return path.string();
}

absl::StatusOr<std::string> NameAsGiven(const std::string& directory) {
  std::filesystem::path given(directory);
  while (given.has_relative_path() && (!given.has_filename() || given.filename() == ".")) given = given.parent_path();
  if (given.has_filename() && given.filename() != "." && given.filename() != "..") return given.filename().string();
  const absl::StatusOr<std::string> path = CanonicalPath(directory);
  if (!path.ok()) return path;
  return std::filesystem::path(*path).filename().string();
}

absl::StatusOr<DataDirectory> ReadMarks(std::string_view command, FileSystem* file_system,
                                        const std::string& directory) {
  const absl::StatusOr<std::string> path = CanonicalPath(directory);
  if (!path.ok()) return path.status();
  absl::StatusOr<DataDirectory> data = DataDirectory::Of(file_system, *path);
  if (!data.ok()) return data;
  for (const std::string& note : data->notes()) Note(command, note);
  return data;
}

absl::StatusOr<std::unique_ptr<Log>> OpenForReading(std::string_view command, const std::string& directory) {
  FileSystem* const file_system = FileSystem::Default();
  if (absl::Status status = CheckPartition(file_system, directory); !status.ok()) return status;
  const absl::StatusOr<DataDirectory> data = ReadMarks(command, file_system, directory);
  if (!data.ok()) return data.status();
  LogOptions options;
  options.create = false;
  options.read_only = true;
  options.marks = data->marks();
  const auto bar = std::make_shared<ProgressBar>(RecoveryTitle(command));
  options.recovery_progress = UpdatesOf(bar);
  return Log::Open(directory, options);
}

absl::Status PrepareForWriting(std::string_view command, DataDirectory* data) {
  const absl::StatusOr<bool> removed_clean_marker = data->PrepareForWriting();
  if (!removed_clean_marker.ok()) return removed_clean_marker.status();
  if (*removed_clean_marker) {
    Note(command, "removed .kafka_cleanshutdown: Kafka will check its logs at the next start");
  }
  return absl::OkStatus();
}

absl::StatusOr<WritablePartition> OpenForWriting(std::string_view command, const std::string& directory,
                                                 LogOptions options, const Rehearsal& rehearsal) {
  FileSystem* const file_system = FileSystem::Default();
  // The lock is asked for last. Whoever is refused it shall hear of that, and not of what the writer is at.
  if (absl::Status status = CheckNoWriter(file_system, directory); !status.ok()) return status;
  absl::StatusOr<DataDirectory> data = ReadMarks(command, file_system, directory);
  if (!data.ok()) return data.status();
  options.marks = data->marks();
  LogOffsets found;
  if (data->is_kafka() || rehearsal) {
    // What makes this fail shall not cost the user the clean marker.
    OverlayFileSystem trial(file_system);
    LogOptions trial_options = options;
    trial_options.file_system = &trial;
    trial_options.io_mode = IoMode::kWrite;
    const auto bar = std::make_shared<ProgressBar>(fmt::format("{} (trial)", RecoveryTitle(command)));
    trial_options.recovery_progress = UpdatesOf(bar);
    const absl::StatusOr<std::unique_ptr<Log>> trial_log = Log::Open(directory, trial_options);
    if (!trial_log.ok()) return trial_log.status();
    if (rehearsal) {
      if (absl::Status status = rehearsal(trial_log->get()); !status.ok()) return status;
    }
    found = (*trial_log)->offsets();
  }
  if (absl::Status status = PrepareForWriting(command, &*data); !status.ok()) return status;
  // Before anything is cut: a checkpoint that is too low costs Kafka a scan, one that is too high vouches for what is
  // not there.
  if (absl::Status status = data->LowerCheckpoints(found.log_end_offset, found.log_start_offset); !status.ok()) {
    return status;
  }
  options.marks = data->marks();
  const auto bar = std::make_shared<ProgressBar>(RecoveryTitle(command));
  options.recovery_progress = UpdatesOf(bar);
  absl::StatusOr<std::unique_ptr<Log>> log = Log::Open(directory, options);
  if (!log.ok()) return log.status();
  return WritablePartition{.data = *std::move(data), .log = *std::move(log)};
}

}  // namespace varve::cli
