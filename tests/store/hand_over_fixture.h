// What the tests of handing over share: a broker's log directory as it is after a stop, a partition by itself, and all
// files below a directory as a map, to compare.
#ifndef VARVE_TESTS_STORE_HAND_OVER_FIXTURE_H_
#define VARVE_TESTS_STORE_HAND_OVER_FIXTURE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "varve/data_directory.h"
#include "varve/hand_over.h"
#include "varve/log.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/topic_partition.h"

namespace varve::testing_support {

inline constexpr char kSource[] = "data/orders-0";
inline constexpr char kBroker[] = "kafka";
inline constexpr char kAdopted[] = "kafka/orders-0";
inline constexpr char kExported[] = "/data/exported-0";
inline constexpr char kTopicId[] = "4L6g3nShT-eMCtK--X86sw";
inline constexpr char kMetadata[] = "version: 0\ntopic_id: 4L6g3nShT-eMCtK--X86sw";
inline constexpr int64_t kRecords = 8;
inline constexpr char kOtherLines[] = "0\n1\nothers 0 99\n";            // of a checkpoint before an adoption
inline constexpr char kAllLines[] = "0\n2\norders 0 8\nothers 0 99\n";  // and after it

// Path and content of every file below a directory; of a directory the path with a slash and nothing.
inline std::map<std::string, std::string> FilesBelow(FileSystem* fs, const std::string& directory) {
  std::map<std::string, std::string> files;
  const absl::StatusOr<std::vector<std::string>> names = fs->List(directory);
  EXPECT_TRUE(names.ok()) << names.status();
  if (!names.ok()) return files;
  for (const std::string& name : *names) {
    const std::string path = directory + "/" + name;
    const absl::StatusOr<FileInfo> info = fs->Info(path);
    EXPECT_TRUE(info.ok()) << info.status();
    if (info->is_directory) {
      files[path + "/"] = "";
      files.merge(FilesBelow(fs, path));
    } else {
      files[path] = ReadFile(fs, path);
    }
  }
  return files;
}

inline bool IsThere(FileSystem* fs, const std::string& path) { return fs->Info(path).ok(); }

// A file system with both directories, everything synced.
class HandOverTest : public ::testing::Test {
 protected:
  HandOverTest() {
    for (const char* const directory : {"data", kBroker}) EXPECT_TRUE(fs_.CreateDirectory(directory).ok());
    WriteFile(&fs_, "kafka/meta.properties",
              "#\n#Sun Nov 22 22:22:22 UTC 2026\nnode.id=7\nversion=1\ncluster.id=a\\:b\n");
    WriteFile(&fs_, "kafka/.lock", "");
    WriteFile(&fs_, "kafka/.kafka_cleanshutdown", "{\"version\":0,\"brokerEpoch\":9}");
    WriteFile(&fs_, "kafka/recovery-point-offset-checkpoint", kOtherLines);
    WriteFile(&fs_, "kafka/replication-offset-checkpoint", kOtherLines);
    SyncAll(&fs_, kBroker);
  }

  // The directory that a broker has made for a partition, whose leader it is by `epochs`.
  void MakeEmpty(const std::string& epochs = "0\n1\n2 0\n", const std::string& directory = kAdopted) {
    ASSERT_TRUE(fs_.CreateDirectory(directory).ok());
    for (const char* const suffix : {"log", "index", "timeindex"}) {
      WriteFile(&fs_, directory + "/00000000000000000000." + suffix, "");
    }
    WriteFile(&fs_, directory + "/leader-epoch-checkpoint", epochs);
    WriteFile(&fs_, directory + "/partition.metadata", kMetadata);
    SyncAll(&fs_, directory);
    ASSERT_TRUE(fs_.SyncDirectory(kBroker).ok());
  }

  LogOptions Options(FileSystem* fs) {
    LogOptions options = TinyOptions(fs, &clock_, IoMode::kWrite);
    options.file_delete_delay_ms = 0;
    return options;
  }

  // A partition by itself, open, with records of the epochs 1 and 5.
  std::unique_ptr<Log> OpenSource() {
    std::unique_ptr<Log> log = OpenLog(kSource, Options(&fs_));
    if (log == nullptr) return nullptr;
    AppendMany(log.get(), kRecords / 2, {.leader_epoch = 1});
    AppendMany(log.get(), kRecords - kRecords / 2, {.leader_epoch = 5});
    return log;
  }

  void MakeSource() {
    const std::unique_ptr<Log> log = OpenSource();
    ASSERT_NE(log, nullptr);
    ASSERT_TRUE(log->Close().ok());
    SyncAll(&fs_, kSource);
    ASSERT_TRUE(fs_.SyncDirectory("data").ok());
    ASSERT_TRUE(fs_.SyncDirectory("/").ok());
  }

  // Opens what the broker would find, with its marks, and expects all records, without any recovery.
  static void ExpectWhole(FileSystem* fs, Clock* clock, const std::string& directory, int64_t from = 0) {
    const absl::StatusOr<DataDirectory> data = DataDirectory::Of(fs, directory);
    ASSERT_TRUE(data.ok()) << data.status();
    LogOptions options = TinyOptions(fs, clock, IoMode::kWrite);
    options.create = false;
    options.read_only = true;
    options.marks = data->marks();
    const std::unique_ptr<Log> log = OpenLog(directory, options);
    ASSERT_NE(log, nullptr);
    EXPECT_TRUE(log->recovery_report().clean) << log->recovery_report().ToJson();
    EXPECT_EQ(log->recovery_report().segments_recovered, 0);
    EXPECT_TRUE(log->damage().empty());
    EXPECT_EQ(log->log_start_offset(), from);
    EXPECT_NO_FATAL_FAILURE(ExpectRecords(*log, from, kRecords));
  }

  // Of the two that may hold the records, at least one is whole; and whatever a broker finds, it can start on.
  static void ExpectSafe(MemoryFileSystem* fs, Clock* clock) {
    VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, fs->List(kBroker));
    for (const std::string& name : names) {
      VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo info, fs->Info(std::string(kBroker) + "/" + name));
      if (!info.is_directory) continue;
      EXPECT_TRUE(ParseTopicPartition(name).ok()) << name;
      if (name == "orders-0") continue;
      // A broker would open it before it removes it, so there must be nothing in it to open.
      for (const auto& [path, content] : FilesBelow(fs, std::string(kBroker) + "/" + name)) {
        EXPECT_NE(path.find('/', path.find("-delete/") + 8), std::string::npos) << path;
      }
    }
    const bool source_is_there = IsThere(fs, kSource);
    if (source_is_there) {
      EXPECT_NO_FATAL_FAILURE(ExpectWhole(fs, clock, kSource));
    }
    if (!IsThere(fs, kAdopted)) {
      EXPECT_TRUE(source_is_there);
      return;
    }
    const std::string metadata = ReadFile(fs, "kafka/orders-0/partition.metadata");
    EXPECT_EQ(metadata, kMetadata);
    const std::string points = ReadFile(fs, "kafka/recovery-point-offset-checkpoint");
    if (ReadFile(fs, "kafka/orders-0/00000000000000000000.log").empty()) {
      EXPECT_EQ(points, kOtherLines);
      EXPECT_TRUE(source_is_there);
    } else {
      EXPECT_EQ(points, kAllLines);
      EXPECT_NO_FATAL_FAILURE(ExpectWhole(fs, clock, kAdopted));
    }
  }

  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  MemoryFileSystem fs_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_STORE_HAND_OVER_FIXTURE_H_
