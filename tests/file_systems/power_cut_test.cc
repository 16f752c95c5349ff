// Power cuts of a disk with a volatile cache, under real file systems: each life of a log is recorded once, write by
// write, and its power is cut at many moments, each time with another subset of what was not flushed. The file system is
// mounted from what is left, with its own recovery, and the log opened in it.
#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

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

constexpr int64_t kAppendsOfALife = 200;
constexpr uint64_t kCutsOfALife = 25;

// A life on a disk that records it.
struct RecordedLife {
  RecordedLife(const LifePlan& life_plan, const MemoryImage& image)
      : plan(life_plan),
        recording(std::make_unique<DiskRecording>(image)),
        journal(std::make_unique<Journal>(recording->clock())) {}

  LifePlan plan;
  std::unique_ptr<DiskRecording> recording;
  std::unique_ptr<Journal> journal;
  uint64_t begun_at = 0;
  uint64_t ended_at = 0;
};

class PowerCutTest : public ::testing::TestWithParam<FileSystemKind> {
 protected:
  void SetUp() override {
    auto image = MakeFileSystem(GetParam());
    absl::Status status = image.status();
    if (status.ok()) {
      image_ = std::make_unique<MemoryImage>(*std::move(image));
      DiskRecording recording(*image_);
      status = RecordingDisk::Serve(&recording).status();
    }
    if (status.ok()) status = MountedImage::Mount(GetParam(), image_->Clone().descriptor()).status();
    if (absl::IsUnimplemented(status)) GTEST_SKIP() << status.message();
    VARVE_ASSERT_OK(status);
  }

  absl::StatusOr<RecordedLife> Record(const LifePlan& plan) {
    RecordedLife life(plan, *image_);
    auto disk = RecordingDisk::Serve(life.recording.get());
    if (!disk.ok()) return disk.status();
    auto mounted = MountedImage::Mount(kind_, (*disk)->descriptor());
    if (!mounted.ok()) return mounted.status();
    life.begun_at = *life.recording->clock();
    ChildProcess child([&] { return Live((*mounted)->path() + "/orders-0", plan, life.journal.get()); });
    const absl::Status lived = child.Wait();
    life.ended_at = *life.recording->clock();
    if (!lived.ok()) return lived;
    return life;
  }

  // What is wrong with the log after a power cut at this time.
  absl::Status CutAt(const RecordedLife& life, uint64_t time, RandomChoice* random, PowerCuts* cuts) {
    const MemoryImage left = cuts->At(time, random);
    auto mounted = MountedImage::Mount(GetParam(), left.descriptor());
    if (!mounted.ok()) return mounted.status();
    auto log = Log::Open((*mounted)->path() + "/orders-0", LifeOptions(life.plan));
    if (!log.ok()) return log.status();
    return Judge(**log, *life.journal, {.at = time, .durable_before = time + 1});
  }

  // The times of so many cuts, ascending.
  static std::vector<uint64_t> TimesOf(const RecordedLife& life, uint64_t cuts, RandomChoice* random) {
    std::vector<uint64_t> times;
    while (times.size() < cuts) {
      const auto during = static_cast<int64_t>(life.ended_at - life.begun_at);
      times.push_back(life.begun_at + static_cast<uint64_t>(random->Below(during + 1)));
    }
    std::sort(times.begin(), times.end());
    return times;
  }

  FileSystemKind kind_ = GetParam();
  std::unique_ptr<MemoryImage> image_;
};

// File systems that can be told to flush no disk.
class UnflushedDiskTest : public PowerCutTest {
 public:
  static std::vector<FileSystemKind> Kinds() {
    std::vector<FileSystemKind> kinds = FileSystemKinds();
    std::erase_if(kinds, [](const FileSystemKind& kind) { return kind.without_flushes == nullptr; });
    return kinds;
  }
};

INSTANTIATE_TEST_SUITE_P(, PowerCutTest, ::testing::ValuesIn(FileSystemKinds()),
                         [](const auto& param) { return std::string(param.param.name); });

INSTANTIATE_TEST_SUITE_P(, UnflushedDiskTest, ::testing::ValuesIn(UnflushedDiskTest::Kinds()),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(PowerCutTest, NothingDurableIsLost) {
  const uint64_t asked = AskedEndings(75);
  uint64_t done = 0;
  uint64_t seed = FirstSeed();
  for (; done < asked && !HasFailure(); ++seed) {
    VARVE_ASSERT_OK_AND_ASSIGN(const RecordedLife life,
                               Record({.seed = seed, .appends = kAppendsOfALife, .compacts = seed % 3 == 0}));
    RandomChoice random(seed);
    PowerCuts cuts(*life.recording, GetParam().whole_block_at);
    for (const uint64_t time : TimesOf(life, std::min(kCutsOfALife, asked - done), &random)) {
      EXPECT_THAT(CutAt(life, time, &random, &cuts), IsOk()) << "seed " << seed << ", cut at " << time;
      ++done;
    }
  }
  ReportEndings("power cut", GetParam().name, done, seed);
}

// Else the test above would be blind.
TEST_P(PowerCutTest, ALogThatForgetsItsSyncsIsCaught) {
  VARVE_ASSERT_OK_AND_ASSIGN(const RecordedLife life, Record({.seed = 2, .appends = kAppendsOfALife, .lies = true}));
  RandomChoice random(2);
  PowerCuts cuts(*life.recording, GetParam().whole_block_at);
  EXPECT_THAT(CutAt(life, life.ended_at, &random, &cuts), StatusIs(absl::StatusCode::kDataLoss));
}

// Nor does the disk keep what reached it and was not flushed.
TEST_P(UnflushedDiskTest, IsCaught) {
  kind_.options.emplace_back(kind_.without_flushes, nullptr);
  VARVE_ASSERT_OK_AND_ASSIGN(const RecordedLife life, Record({.seed = 2, .appends = kAppendsOfALife}));
  RandomChoice random(2);
  PowerCuts cuts(*life.recording, GetParam().whole_block_at);
  int caught = 0;
  for (const uint64_t time : TimesOf(life, 10, &random)) {
    // With what has become of the file system it may not be there at all.
    if (!CutAt(life, time, &random, &cuts).ok()) ++caught;
  }
  EXPECT_GT(caught, 0);
}

}  // namespace
}  // namespace varve::testing_support
