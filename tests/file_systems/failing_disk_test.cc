// Disks that fail while a log is appended to, and file systems that become read-only: the log says so and goes on being
// read, and on a disk that works again nothing durable is lost.
#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <memory>
#include <string>

#include "file_systems/asked.h"
#include "file_systems/child_process.h"
#include "file_systems/disk_recording.h"
#include "file_systems/judge.h"
#include "file_systems/life.h"
#include "file_systems/mounted_image.h"
#include "file_systems/recording_disk.h"
#include "support/random_choice.h"
#include "support/status_matchers.h"

namespace varve::testing_support {
namespace {

constexpr char kLog[] = "/orders-0";

class FailingDiskTest : public ::testing::TestWithParam<FileSystemKind> {
 protected:
  void SetUp() override {
    if (std::string(kind_.type) == "ext4") kind_.options.emplace_back("errors", "remount-ro");
    auto image = MakeFileSystem(kind_);
    absl::Status status = image.status();
    if (status.ok()) {
      image_ = std::make_unique<MemoryImage>(*std::move(image));
      status = MountRecorded();
    }
    if (absl::IsUnimplemented(status)) GTEST_SKIP() << status.message();
    VARVE_ASSERT_OK(status);
  }

  // The empty file system, on a disk that records.
  absl::Status MountRecorded() {
    mounted_.reset();
    disk_.reset();
    recording_ = std::make_unique<DiskRecording>(*image_);
    auto disk = RecordingDisk::Serve(recording_.get());
    if (!disk.ok()) return disk.status();
    disk_ = *std::move(disk);
    auto mounted = MountedImage::Mount(kind_, disk_->descriptor());
    if (mounted.ok()) mounted_ = *std::move(mounted);
    return mounted.status();
  }

  // A life that `fail` ends; then what a power cut leaves of the disk is judged, on another disk.
  template <typename Fail>
  void LiveAndFail(uint64_t seed, Fail fail) {
    SCOPED_TRACE(fmt::format("seed {}", seed));
    RandomChoice random(seed);
    const LifePlan plan{.seed = seed, .compacts = seed % 3 == 0};
    VARVE_ASSERT_OK(MountRecorded());
    Journal journal(recording_->clock());
    const int64_t until = 1 + random.Below(200);
    ChildProcess child([&] { return Live(mounted_->path() + kLog, plan, &journal); });
    while (journal.size() < until && child.IsRunning()) ::usleep(50);
    ASSERT_TRUE(child.IsRunning()) << child.Wait();
    // Later syncs may be said to have succeeded, and have not: see shutdown_test.cc.
    const uint64_t failed_at = recording_->clock()->load();
    ASSERT_NO_FATAL_FAILURE(fail());
    const absl::Status ended = child.Wait();
    EXPECT_TRUE(absl::IsAborted(ended) || child.signal() == SIGBUS) << ended;
    const uint64_t time = recording_->clock()->load();
    const MemoryImage left = PowerCuts(*recording_, GetParam().whole_block_at).At(time, &random);
    mounted_.reset();
    VARVE_ASSERT_OK_AND_ASSIGN(const auto mounted, MountedImage::Mount(kind_, left.descriptor()));
    VARVE_ASSERT_OK_AND_ASSIGN(const auto log, Log::Open(mounted->path() + kLog, LifeOptions(plan)));
    VARVE_ASSERT_OK(Judge(*log, journal, {.at = time, .durable_before = failed_at}));
  }

  FileSystemKind kind_ = GetParam();
  std::unique_ptr<MemoryImage> image_;
  std::unique_ptr<DiskRecording> recording_;
  std::unique_ptr<RecordingDisk> disk_;
  std::unique_ptr<MountedImage> mounted_;
};

std::string NameOf(const ::testing::TestParamInfo<FileSystemKind>& param) { return param.param.name; }

INSTANTIATE_TEST_SUITE_P(, FailingDiskTest, ::testing::ValuesIn(FileSystemKinds()), NameOf);

// ext4 and Btrfs become read-only, XFS shuts itself down.
TEST_P(FailingDiskTest, NothingDurableIsLost) {
  const uint64_t asked = AskedEndings(10);
  uint64_t done = 0;
  uint64_t seed = FirstSeed();
  for (; done < asked && !HasFailure(); ++seed, ++done) {
    LiveAndFail(seed, [&] { recording_->Fail(); });
  }
  ReportEndings("failing disk", kind_.name, done, seed);
}

TEST_P(FailingDiskTest, NoFileSystemBecomesReadOnlyUnderAnOpenLog) {
  const LifePlan plan{.seed = 2, .appends = 50};
  const std::string directory = mounted_->path() + kLog;
  Journal journal(recording_->clock());
  VARVE_ASSERT_OK_AND_ASSIGN(auto log, Log::Open(directory, LifeOptions(plan)));
  VARVE_ASSERT_OK(log->Append({{.key = "k", .value = "before"}}));
  EXPECT_THAT(mounted_->MakeReadOnly(), StatusIs(absl::StatusCode::kUnavailable));
  VARVE_ASSERT_OK(log->Append({{.key = "k", .value = "after"}}, {.ack = Ack::kDurable}));
  VARVE_ASSERT_OK(log->Close());
  log.reset();
  VARVE_ASSERT_OK(mounted_->MakeReadOnly());
  EXPECT_THAT(Log::Open(directory, LifeOptions(plan)),
              StatusIs(absl::StatusCode::kPermissionDenied, ::testing::HasSubstr("Read-only file system")));
  LogOptions reading = LifeOptions(plan);
  reading.read_only = true;
  VARVE_ASSERT_OK_AND_ASSIGN(log, Log::Open(directory, reading));
  EXPECT_EQ(log->log_end_offset(), 2);
}

// ext4 that finds itself in error, as mounted by errors=remount-ro, becomes read-only whatever is open.
class ReadOnlyRemountTest : public FailingDiskTest {};

INSTANTIATE_TEST_SUITE_P(, ReadOnlyRemountTest, ::testing::Values(FileSystemKinds().at(0), FileSystemKinds().at(1)),
                         NameOf);

TEST_P(ReadOnlyRemountTest, NothingDurableIsLost) {
  const uint64_t asked = AskedEndings(10);
  uint64_t done = 0;
  uint64_t seed = FirstSeed();
  for (; done < asked && !HasFailure(); ++seed, ++done) {
    LiveAndFail(seed, [&] {
      std::ofstream trigger(fmt::format("/sys/fs/ext4/{}/trigger_fs_error", mounted_->device()));
      trigger << "1" << std::flush;
      ASSERT_TRUE(trigger.good()) << "sysfs does not take the order";
    });
  }
  ReportEndings("read-only remount", kind_.name, done, seed);
}

}  // namespace
}  // namespace varve::testing_support
