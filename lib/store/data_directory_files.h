// What Kafka keeps beside the partitions of a log directory, read and written: who the broker is, its lock, and the
// lines of the four checkpoints that speak of one partition.
//
//   meta.properties       Java properties: the cluster's and the broker's id (Kafka MetaProperties)
//   .kafka_cleanshutdown  there after a clean stop; what is in it does not count (CleanShutdownFileHandler)
//   .lock                 empty; locked as long as the broker runs (LogManager.lockLogDirs)
//   *-offset-checkpoint   state/checkpoint_file.h
//
// Thread rules: free functions. Who writes the checkpoints holds the lock; where it is shared, each replacement of a file
// is locked by itself.
#ifndef VARVE_LIB_STORE_DATA_DIRECTORY_FILES_H_
#define VARVE_LIB_STORE_DATA_DIRECTORY_FILES_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "varve/file_system.h"
#include "varve/topic_partition.h"

namespace varve::internal {

inline constexpr char kCleanMarker[] = ".kafka_cleanshutdown";
inline constexpr char kMetaProperties[] = "meta.properties";
inline constexpr char kDataDirectoryLock[] = ".lock";

[[nodiscard]] absl::StatusOr<bool> Exists(FileSystem* file_system, const std::string& path);

// Any of the files that only Kafka puts beside partitions. Its `.lock` is not among them: other programs use that name.
[[nodiscard]] absl::StatusOr<bool> HoldsKafkaFiles(FileSystem* file_system, const std::string& directory);

// As meta.properties has them; empty where it has not. Version 0 calls the node id a broker id.
struct BrokerIdentity {
  std::string cluster_id;
  std::string node_id;

  friend bool operator==(const BrokerIdentity&, const BrokerIdentity&) = default;
};

[[nodiscard]] BrokerIdentity ParseMetaProperties(std::string_view text);
// kNotFound if there is no such file.
[[nodiscard]] absl::StatusOr<BrokerIdentity> ReadMetaProperties(FileSystem* file_system, const std::string& directory);

// The lock that a running broker holds.
class DataDirectoryLock : public FileLock {
 public:
  // `access` is what the holder will do below the directory. Makes the lock's file where there is none.
  // kPermissionDenied: something would be made there, be it but that file, and the directory is another user's than whom
  // this process runs as: its broker could not use it. kUnavailable while a broker runs, stops or starts, or, for an
  // exclusive lock, while a writer of varve is at work below the directory.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<DataDirectoryLock>> Take(FileSystem* file_system,
                                                                               const std::string& directory,
                                                                               LockKind kind, Access access);

  // OK if it still keeps brokers out: one that stops removes the file right after it has let go of the lock
  // (FileLock.destroy), and the next makes another. kUnavailable: that has happened.
  [[nodiscard]] absl::Status Check() const;

  [[nodiscard]] bool IsInherited() const override { return lock_->IsInherited(); }

 private:
  DataDirectoryLock(FileSystem* file_system, std::string path, const FileIdentity& identity,
                    std::unique_ptr<FileLock> lock)
      : file_system_(file_system), path_(std::move(path)), identity_(identity), lock_(std::move(lock)) {}

  FileSystem* const file_system_;
  const std::string path_;
  const FileIdentity identity_;  // of the file that is locked
  const std::unique_ptr<FileLock> lock_;
};

// What the checkpoints say of one partition; absent where there is no line.
struct CheckpointLines {
  std::optional<int64_t> recovery_point = std::nullopt;
  std::optional<int64_t> log_start_offset = std::nullopt;
  std::optional<int64_t> high_watermark = std::nullopt;
  std::optional<int64_t> first_dirty_offset = std::nullopt;

  friend bool operator==(const CheckpointLines&, const CheckpointLines&) = default;
};

// A file that cannot be parsed counts as absent, and is told of in `notes`; without them it is kDataLoss.
[[nodiscard]] absl::StatusOr<CheckpointLines> ReadCheckpointLines(FileSystem* file_system, const std::string& directory,
                                                                  const TopicPartition& partition,
                                                                  std::vector<std::string>* notes = nullptr);

// Sets the partition's lines, or takes them out where absent; those of others stay. Each file is replaced whole and
// synced; one that says so already is left alone. The caller holds the directory's lock alone. kDataLoss: a file that
// cannot be parsed. After an error some of the files may have been replaced.
[[nodiscard]] absl::Status WriteCheckpointLines(FileSystem* file_system, const std::string& directory,
                                                const TopicPartition& partition, const CheckpointLines& lines);

// How long a replacement of a checkpoint, which is two syncs, may keep the next one waiting.
inline constexpr absl::Duration kCheckpointPatience = absl::Minutes(1);

// Sets those of the partition's lines that are above `offset` to it, and the one of the log start, where it is above
// `log_start_offset`, to that; what cannot be parsed is left alone. The caller may
// share the directory's lock with writers of other partitions: a file is locked, itself, from before it is read until
// another has its name. kUnavailable: somebody has held one for longer than `patience`.
[[nodiscard]] absl::Status LowerCheckpointLines(FileSystem* file_system, const std::string& directory,
                                                const TopicPartition& partition, int64_t offset,
                                                int64_t log_start_offset,
                                                absl::Duration patience = kCheckpointPatience);

}  // namespace varve::internal

#endif  // VARVE_LIB_STORE_DATA_DIRECTORY_FILES_H_
