// The disk that the power cuts are made with keeps what was flushed, and of the rest anything.
#include "file_systems/recording_disk.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <set>
#include <string>

#include "base/bytes.h"
#include "file_systems/disk_recording.h"
#include "gmock/gmock.h"
#include "support/random_choice.h"
#include "support/status_matchers.h"

namespace varve::testing_support {
namespace {

using ::testing::Contains;
using ::testing::Each;

constexpr uint64_t kDiskBytes = 1 << 20;
constexpr size_t kSectors = 8;
constexpr size_t kWriteBytes = kSectors * DiskRecording::kSectorBytes;

class RecordingDiskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto disk = RecordingDisk::Serve(&recording_);
    if (absl::IsUnimplemented(disk.status())) GTEST_SKIP() << disk.status().message();
    VARVE_ASSERT_OK(disk);
    disk_ = *std::move(disk);
  }

  void Write(uint64_t position, char content) {
    const std::string bytes(kWriteBytes, content);
    ASSERT_EQ(::pwrite(disk_->descriptor(), bytes.data(), bytes.size(), static_cast<off_t>(position)),
              static_cast<ssize_t>(bytes.size()));
  }

  // The first bytes of the sectors at `position` in what a power cut at `time` leaves, by many seeds.
  std::set<std::string> Left(uint64_t time, uint64_t position, uint64_t whole_block_at = 0) {
    std::set<std::string> all;
    for (uint64_t seed = 0; seed < 100; ++seed) {
      RandomChoice random(seed);
      const MemoryImage image = PowerCuts(recording_, whole_block_at).At(time, &random);
      std::string sectors;
      for (size_t sector = 0; sector < kSectors; ++sector) {
        char first = 0;
        image.Read(position + sector * DiskRecording::kSectorBytes, std::as_writable_bytes(std::span(&first, 1)));
        sectors += first == 0 ? '.' : first;
      }
      all.insert(sectors);
    }
    return all;
  }

  DiskRecording recording_{MemoryImage(kDiskBytes)};
  std::unique_ptr<RecordingDisk> disk_;
};

TEST_F(RecordingDiskTest, WhatWasFlushedIsThereAndTheRestIsKeptLostOrTorn) {
  Write(0, 'a');
  ASSERT_EQ(::fdatasync(disk_->descriptor()), 0);
  Write(0, 'b');
  Write(kWriteBytes, 'c');
  ASSERT_EQ(recording_.clock()->load(), 4u);
  EXPECT_EQ(Left(2, 0), std::set<std::string>{"aaaaaaaa"});
  EXPECT_EQ(Left(2, kWriteBytes), std::set<std::string>{"........"});
  const std::set<std::string> first = Left(4, 0);
  EXPECT_THAT(first, Contains("aaaaaaaa"));
  EXPECT_THAT(first, Contains("bbbbbbbb"));
  EXPECT_GT(first.size(), 10u);
  EXPECT_THAT(first, Each(::testing::MatchesRegex("[ab]{8}")));
  EXPECT_THAT(Left(4, kWriteBytes), Contains("........"));
  EXPECT_THAT(Left(4, kWriteBytes), Contains("cccccccc"));
  EXPECT_EQ(Left(4, kWriteBytes, kWriteBytes), (std::set<std::string>{"........", "cccccccc"}));
  ASSERT_EQ(::fdatasync(disk_->descriptor()), 0);
  EXPECT_EQ(Left(5, 0), std::set<std::string>{"bbbbbbbb"});
  EXPECT_EQ(Left(5, kWriteBytes), std::set<std::string>{"cccccccc"});
}

// Before the first flush, too.
TEST_F(RecordingDiskTest, WithoutAFlushNothingIsSafe) {
  Write(0, 'a');
  EXPECT_EQ(Left(0, 0), std::set<std::string>{"........"});
  EXPECT_THAT(Left(1, 0), Contains("........"));
  EXPECT_THAT(Left(1, 0), Contains("aaaaaaaa"));
}

TEST_F(RecordingDiskTest, ADiskThatFailsTakesNothing) {
  recording_.Fail();
  char byte = 'a';
  EXPECT_EQ(::pwrite(disk_->descriptor(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(::fsync(disk_->descriptor()), -1);
  EXPECT_EQ(errno, EIO);
  EXPECT_EQ(recording_.clock()->load(), 0u);
  EXPECT_EQ(::pread(disk_->descriptor(), &byte, 1, 0), 1);
  EXPECT_EQ(byte, 0);
}

}  // namespace
}  // namespace varve::testing_support
