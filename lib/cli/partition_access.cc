#include "cli/partition_access.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "cli/exit_status.h"
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
    if (info.ok() && info->is_directory && ParseTopicPartition(name).ok()) partitions.push_back(path);
  }
  if (!partitions.empty()) return partitions;
  return Failure(kWrongPath,
                 "{}: neither a partition nor a data directory: expected files like 00000000000000000000.log, or "
                 "directories named TOPIC-N; found neither",
                 directory);
}

absl::StatusOr<DataDirectory> ReadMarks(std::string_view command, FileSystem* file_system,
                                        const std::string& directory) {
  // The partition's name counts, which "." and "../orders-0/." do not tell.
  absl::StatusOr<DataDirectory> data =
      DataDirectory::Of(file_system, std::filesystem::absolute(directory).lexically_normal().string());
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
                                                 LogOptions options) {
  FileSystem* const file_system = FileSystem::Default();
  absl::StatusOr<DataDirectory> data = ReadMarks(command, file_system, directory);
  if (!data.ok()) return data.status();
  options.marks = data->marks();
  if (data->is_kafka()) {
    // A trial: what makes the open fail shall not cost the user the clean marker.
    OverlayFileSystem trial(file_system);
    LogOptions trial_options = options;
    trial_options.file_system = &trial;
    trial_options.io_mode = IoMode::kWrite;
    if (const auto trial_log = Log::Open(directory, trial_options); !trial_log.ok()) return trial_log.status();
  }
  if (absl::Status status = PrepareForWriting(command, &*data); !status.ok()) return status;
  options.marks = data->marks();
  absl::StatusOr<std::unique_ptr<Log>> log = Log::Open(directory, options);
  if (!log.ok()) return log.status();
  return WritablePartition{.data = *std::move(data), .log = *std::move(log)};
}

}  // namespace varve::cli
