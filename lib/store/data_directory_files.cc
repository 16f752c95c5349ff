#include "store/data_directory_files.h"

#include <algorithm>
#include <array>

#include "absl/time/clock.h"
#include "base/path.h"
#include "base/status.h"
#include "io/process_user.h"
#include "io/whole_file.h"
#include "state/checkpoint_file.h"

namespace varve::internal {
namespace {

// The file has some hundred bytes.
constexpr uint64_t kMaxMetaPropertiesBytes = uint64_t{64} * 1024;

struct NamedLine {
  const char* file_name;
  std::optional<int64_t> CheckpointLines::*offset;
};

constexpr std::array<NamedLine, 4> kNamedLines = {{
    {kRecoveryPointCheckpoint, &CheckpointLines::recovery_point},
    {kLogStartOffsetCheckpoint, &CheckpointLines::log_start_offset},
    {kReplicationOffsetCheckpoint, &CheckpointLines::high_watermark},
    {kCleanerOffsetCheckpoint, &CheckpointLines::first_dirty_offset},
}};

// Beside the partitions. First those that the broker writes anew while it runs, and so owns: somebody else may have
// formatted the directory, and written meta.properties.
constexpr std::array<const char*, 6> kFilesOfKafka = {
    kRecoveryPointCheckpoint, kLogStartOffsetCheckpoint, kReplicationOffsetCheckpoint,
    kCleanerOffsetCheckpoint, kMetaProperties,           kCleanMarker};

std::string_view Trim(std::string_view text) {
  constexpr std::string_view kSpace = " \t\f\r";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

// Java writes a backslash before ':', '=', '#', '!' and itself.
std::string Unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    plain.push_back(text[i]);
  }
  return plain;
}

// A file that is not there has no lines.
absl::StatusOr<OffsetCheckpoint> ReadCheckpoint(FileSystem* file_system, const std::string& path) {
  absl::StatusOr<OffsetCheckpoint> checkpoint = ReadOffsetCheckpoint(file_system, path);
  if (absl::IsNotFound(checkpoint.status())) return OffsetCheckpoint();
  return checkpoint;
}

std::optional<int64_t> OffsetOf(const OffsetCheckpoint& checkpoint, const TopicPartition& partition) {
  const auto line = checkpoint.find(partition);
  return line == checkpoint.end() ? std::nullopt : std::optional(line->second);
}

// Absent where there is nothing to lower. What cannot be parsed counts for nothing, for Kafka as well.
absl::StatusOr<std::optional<OffsetCheckpoint>> WithLineAbove(FileSystem* file_system, const std::string& path,
                                                              const TopicPartition& partition, int64_t offset) {
  absl::StatusOr<OffsetCheckpoint> checkpoint = ReadCheckpoint(file_system, path);
  if (absl::IsDataLoss(checkpoint.status())) return std::nullopt;
  VARVE_RETURN_IF_ERROR(checkpoint.status());
  if (OffsetOf(*checkpoint, partition).value_or(offset) <= offset) return std::nullopt;
  return *std::move(checkpoint);
}

// Waits for whoever replaces the file. It is another one afterwards: a lock holds only on the file that has the name.
absl::StatusOr<std::unique_ptr<FileLock>> LockCheckpoint(FileSystem* file_system, const std::string& path,
                                                         absl::Duration patience) {
  constexpr absl::Duration kPause = absl::Milliseconds(1);
  for (absl::Duration waited;; waited += kPause) {
    VARVE_ASSIGN_OR_RETURN(const FileInfo before, file_system->Info(path));
    // Asked first, as a refused lock looks for its holder, which takes long.
    VARVE_ASSIGN_OR_RETURN(const bool locked, file_system->IsLocked(path));
    if (!locked || waited >= patience) {
      absl::StatusOr<std::unique_ptr<FileLock>> lock = file_system->Lock(path, LockKind::kExclusive);
      if (absl::IsUnavailable(lock.status()) && waited >= patience) {
        return Annotate(lock.status(), "the checkpoint is being replaced elsewhere, and has been for long");
      }
      if (!lock.ok() && !absl::IsUnavailable(lock.status())) return lock;
      VARVE_ASSIGN_OR_RETURN(const FileInfo after, file_system->Info(path));
      if (lock.ok() && after.identity == before.identity) return lock;
    }
    absl::SleepFor(kPause);
  }
}

// A broker cannot use what others make in its directory, and stops at a `.lock` that it may not open.
absl::Status CheckRunsAsBroker(FileSystem* file_system, const std::string& directory) {
  for (const char* name : kFilesOfKafka) {
    const std::string path = JoinPath(directory, name);
    const absl::StatusOr<FileInfo> info = file_system->Info(path);
    if (absl::IsNotFound(info.status())) continue;
    VARVE_RETURN_IF_ERROR(info.status());
    const uint32_t user = ProcessUser();
    if (info->owner.value_or(user) == user) return absl::OkStatus();
    const std::string owner = UserName(*info->owner);
    return Error(
        absl::StatusCode::kPermissionDenied,
        "{}: expected to be run as {}, whose it is, found {}, whose files the broker could not use (sudo -u {})", path,
        owner, UserName(user), owner);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<bool> Exists(FileSystem* file_system, const std::string& path) {
  const absl::StatusOr<FileInfo> info = file_system->Info(path);
  if (absl::IsNotFound(info.status())) return false;
  if (!info.ok()) return info.status();
  return true;
}

absl::StatusOr<bool> HoldsKafkaFiles(FileSystem* file_system, const std::string& directory) {
  for (const char* name : kFilesOfKafka) {
    VARVE_ASSIGN_OR_RETURN(const bool exists, Exists(file_system, JoinPath(directory, name)));
    if (exists) return true;
  }
  return false;
}

BrokerIdentity ParseMetaProperties(std::string_view text) {
  BrokerIdentity identity;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = Trim(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    const size_t separator = line.find_first_of("=:");
    if (line.empty() || line.front() == '#' || line.front() == '!' || separator == std::string_view::npos) continue;
    const std::string_view key = Trim(line.substr(0, separator));
    const std::string value = Unescape(Trim(line.substr(separator + 1)));
    if (key == "cluster.id") identity.cluster_id = value;
    if (key == "node.id" || key == "broker.id") identity.node_id = value;
  }
  return identity;
}

absl::StatusOr<BrokerIdentity> ReadMetaProperties(FileSystem* file_system, const std::string& directory) {
  VARVE_ASSIGN_OR_RETURN(const std::string text,
                         ReadWholeFile(file_system, JoinPath(directory, kMetaProperties), kMaxMetaPropertiesBytes));
  return ParseMetaProperties(text);
}

absl::StatusOr<std::unique_ptr<DataDirectoryLock>> DataDirectoryLock::Take(FileSystem* file_system,
                                                                           const std::string& directory, LockKind kind,
                                                                           Access access) {
  std::string path = JoinPath(directory, kDataDirectoryLock);
  VARVE_ASSIGN_OR_RETURN(const bool has_lock_file, Exists(file_system, path));
  // A broker that was killed has left the file there.
  if (access == Access::kReadWrite || !has_lock_file) {
    VARVE_RETURN_IF_ERROR(CheckRunsAsBroker(file_system, directory));
  }
  if (!has_lock_file) {
    // Another process may make it at the same moment: it is the lock that decides, not the file.
    const absl::Status created = file_system->Open(path, OpenMode::kCreate).status();
    if (!created.ok() && !absl::IsAlreadyExists(created)) return created;
  }
  VARVE_ASSIGN_OR_RETURN(const FileInfo info, file_system->Info(path));
  // An overlay takes no lock of its base, and grants its own whatever the base's; but it tells of those there.
  VARVE_ASSIGN_OR_RETURN(const bool held, file_system->IsLocked(path));
  absl::StatusOr<std::unique_ptr<FileLock>> lock = file_system->Lock(path, kind);
  if (lock.ok() && held) lock = Error(absl::StatusCode::kUnavailable, "{}: lock: held by another process", path);
  if (absl::IsUnavailable(lock.status())) {
    return Annotate(lock.status(), "the log directory is in use: stop the broker first, or let the other varve end");
  }
  VARVE_RETURN_IF_ERROR(lock.status());
  // The file of this name was the same before the lock and is after it, so it is the one that is locked.
  auto taken = std::unique_ptr<DataDirectoryLock>(
      new DataDirectoryLock(file_system, std::move(path), info.identity, *std::move(lock)));
  VARVE_RETURN_IF_ERROR(taken->Check());
  return taken;
}

absl::Status DataDirectoryLock::Check() const {
  const absl::StatusOr<FileInfo> info = file_system_->Info(path_);
  if (!info.ok() && !absl::IsNotFound(info.status())) return info.status();
  if (info.ok() && info->identity == identity_) return absl::OkStatus();
  return Error(absl::StatusCode::kUnavailable,
               "{}: expected the file that was locked, found that a broker which was about to stop has removed it: try "
               "again",
               path_);
}

absl::StatusOr<CheckpointLines> ReadCheckpointLines(FileSystem* file_system, const std::string& directory,
                                                    const TopicPartition& partition, std::vector<std::string>* notes) {
  CheckpointLines lines;
  for (const NamedLine& line : kNamedLines) {
    const absl::StatusOr<OffsetCheckpoint> checkpoint =
        ReadCheckpoint(file_system, JoinPath(directory, line.file_name));
    if (absl::IsDataLoss(checkpoint.status()) && notes != nullptr) {
      notes->push_back(std::string(checkpoint.status().message()) + "; taken as absent");
      continue;
    }
    VARVE_RETURN_IF_ERROR(checkpoint.status());
    lines.*line.offset = OffsetOf(*checkpoint, partition);
  }
  return lines;
}

absl::Status WriteCheckpointLines(FileSystem* file_system, const std::string& directory,
                                  const TopicPartition& partition, const CheckpointLines& lines) {
  for (const NamedLine& line : kNamedLines) {
    const std::string path = JoinPath(directory, line.file_name);
    VARVE_ASSIGN_OR_RETURN(OffsetCheckpoint checkpoint, ReadCheckpoint(file_system, path));
    const std::optional<int64_t>& offset = lines.*line.offset;
    if (OffsetOf(checkpoint, partition) == offset) continue;
    if (offset.has_value()) {
      checkpoint[partition] = *offset;
    } else {
      checkpoint.erase(partition);
    }
    VARVE_RETURN_IF_ERROR(WriteOffsetCheckpoint(file_system, path, checkpoint));
  }
  return absl::OkStatus();
}

absl::Status LowerCheckpointLines(FileSystem* file_system, const std::string& directory,
                                  const TopicPartition& partition, int64_t offset, int64_t log_start_offset,
                                  absl::Duration patience) {
  for (const NamedLine& line : kNamedLines) {
    const bool is_start = line.offset == &CheckpointLines::log_start_offset;
    const int64_t highest = is_start ? std::min(offset, log_start_offset) : offset;
    const std::string path = JoinPath(directory, line.file_name);
    VARVE_ASSIGN_OR_RETURN(std::optional<OffsetCheckpoint> above, WithLineAbove(file_system, path, partition, highest));
    if (!above.has_value()) continue;
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock, LockCheckpoint(file_system, path, patience));
    VARVE_ASSIGN_OR_RETURN(above, WithLineAbove(file_system, path, partition, highest));
    if (!above.has_value()) continue;
    (*above)[partition] = highest;
    VARVE_RETURN_IF_ERROR(WriteOffsetCheckpoint(file_system, path, *above));
  }
  return absl::OkStatus();
}

}  // namespace varve::internal
