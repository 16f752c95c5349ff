// Small volumes that are filled again and again, by the log and by others: appends are refused, nothing of them is there,
// everything else can be read, and with room again the same log goes on.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "file_systems/asked.h"
#include "file_systems/journal.h"
#include "file_systems/judge.h"
#include "file_systems/life.h"
#include "file_systems/mounted_image.h"
#include "file_systems/shared_memory.h"
#include "io/owned_descriptor.h"
#include "support/random_choice.h"
#include "support/status_matchers.h"
#include "varve/log.h"

namespace varve::testing_support {
namespace {

constexpr uint64_t kFillsOfALog = 25;
constexpr off_t kRoomBytes = 128 * 1024;
constexpr int kMostSteps = 64;

// A file of somebody else, which takes what room there is.
class Ballast {
 public:
  explicit Ballast(const std::string& path) : file_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)) {}

  void TakeAll() {
    for (off_t step = off_t{1} << 30; step >= 4096; step /= 2) {
      while (::fallocate(file_.number(), 0, size_, step) == 0) size_ += step;
    }
  }
  void Give(off_t bytes) {
    size_ -= bytes;
    ASSERT_EQ(::ftruncate(file_.number(), size_), 0);
  }

 private:
  internal::OwnedDescriptor file_;
  off_t size_ = 0;
};

class DiskFullTest : public ::testing::TestWithParam<FileSystemKind> {
 public:
  static std::vector<FileSystemKind> Kinds() {
    std::vector<FileSystemKind> kinds = FileSystemKinds();
    kinds.push_back({.name = "tmpfs", .type = "tmpfs", .image_bytes = 16 << 20});
    return kinds;
  }

 protected:
  void SetUp() override {
    const absl::Status status = Mount();
    if (absl::IsUnimplemented(status)) GTEST_SKIP() << status.message();
    VARVE_ASSERT_OK(status);
    ballast_ = std::make_unique<Ballast>(mounted_->path() + "/ballast");
  }

  absl::Status Mount() {
    absl::StatusOr<std::unique_ptr<MountedImage>> mounted;
    if (std::string(GetParam().type) == "tmpfs") {
      mounted = MountedImage::MountMemory(GetParam().image_bytes);
    } else {
      const auto image = MakeFileSystem(GetParam());
      if (!image.ok()) return image.status();
      mounted = MountedImage::Mount(GetParam(), image->descriptor());
    }
    if (mounted.ok()) mounted_ = *std::move(mounted);
    return mounted.status();
  }

  static absl::Status Append(Log* log, Journal* journal, RandomChoice* random) {
    const auto count = static_cast<int32_t>(1 + random->Below(4));
    const Ack ack = random->OneIn(10) ? Ack::kDurable : Ack::kWritten;
    const int64_t number = journal->BeginAppend(count, ack);
    std::vector<JournalRecord> contents;
    for (int32_t index = 0; index < count; ++index) contents.push_back(JournalRecord::Of(number, index));
    std::vector<Record> records;
    for (const JournalRecord& content : contents) records.push_back({.key = content.key, .value = content.value});
    const auto result = log->Append(records, {.ack = ack});
    if (result.ok()) {
      journal->End(number, result->base_offset);
    } else {
      journal->Refuse(number);
    }
    return result.status();
  }

  // Deletes a part of the log, as far as there is room to say so.
  static absl::Status Delete(Log* log, Journal* journal, RandomChoice* random) {
    const LogOffsets offsets = log->offsets();
    const int64_t number = journal->BeginDeletion(offsets.log_start_offset +
                                                  random->Below(offsets.log_end_offset - offsets.log_start_offset));
    const absl::Status deleted = log->DeleteBefore(journal->entry(number).offset.load());
    if (deleted.ok()) journal->End(number);
    return absl::IsResourceExhausted(deleted) ? absl::OkStatus() : deleted;
  }

  void FillOnce(Log* log, Journal* journal, RandomChoice* random) {
    ballast_->TakeAll();
    absl::Status appended;
    for (int appends = 0; appended.ok() && appends < 10'000; ++appends) appended = Append(log, journal, random);
    ASSERT_THAT(appended, StatusIs(absl::StatusCode::kResourceExhausted));
    VARVE_ASSERT_OK(Judge(*log, *journal, {.written_before = kNever}));
    VARVE_ASSERT_OK(Delete(log, journal, random));
    if (!Append(log, journal, random).ok()) ++refused_after_deletion_;
    // How much room it takes until a file system counts any as free is its own affair.
    appended = absl::ResourceExhaustedError("");
    for (int steps = 0; absl::IsResourceExhausted(appended) && steps < kMostSteps; ++steps) {
      ASSERT_NO_FATAL_FAILURE(ballast_->Give(kRoomBytes));
      appended = Append(log, journal, random);
    }
    VARVE_ASSERT_OK(appended);
    VARVE_ASSERT_OK(log->Flush());
  }

  void Fill(uint64_t seed, uint64_t fills) {
    const SharedMemory<std::atomic<uint64_t>> clock;
    Journal journal(&*clock);
    const std::string directory = mounted_->path() + fmt::format("/orders-{}", seed);
    const LogOptions options = LifeOptions({.seed = seed});
    RandomChoice random(seed);
    VARVE_ASSERT_OK_AND_ASSIGN(auto log, Log::Open(directory, options));
    for (uint64_t fill = 0; fill < fills; ++fill) {
      SCOPED_TRACE(fmt::format("seed {}, fill {}", seed, fill));
      ASSERT_NO_FATAL_FAILURE(FillOnce(log.get(), &journal, &random));
    }
    ASSERT_NO_FATAL_FAILURE(ballast_->Give(kMostSteps * kRoomBytes));
    VARVE_ASSERT_OK(log->Close());
    VARVE_ASSERT_OK_AND_ASSIGN(log, Log::Open(directory, options));
    VARVE_ASSERT_OK(Judge(*log, journal, {.written_before = kNever}));
    log.reset();
    std::filesystem::remove_all(directory);
  }

  std::unique_ptr<MountedImage> mounted_;
  std::unique_ptr<Ballast> ballast_;
  uint64_t refused_after_deletion_ = 0;
};

INSTANTIATE_TEST_SUITE_P(, DiskFullTest, ::testing::ValuesIn(DiskFullTest::Kinds()),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(DiskFullTest, NothingIsLostAndTheLogGoesOn) {
  const uint64_t asked = AskedEndings(200);
  uint64_t done = 0;
  uint64_t seed = FirstSeed();
  for (; done < asked && !HasFailure(); ++seed) {
    const uint64_t fills = std::min(kFillsOfALog, asked - done);
    Fill(seed, fills);
    done += fills;
  }
  // Deletions alone make room, too; on Btrfs only with its next transaction.
  if (std::string(GetParam().type) != "btrfs") {
    EXPECT_LT(refused_after_deletion_, done);
  }
  ReportEndings("full disk", GetParam().name, done, seed);
}

}  // namespace
}  // namespace varve::testing_support
