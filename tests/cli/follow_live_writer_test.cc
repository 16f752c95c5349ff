// `varve read` and `varve find` beside a writer that truncates or compacts: the writer is this program.
#include <array>
#include <cstdio>
#include <memory>
#include <string>

#include "gtest/gtest.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/log.h"

namespace varve::cli {
namespace {

std::string ReadLine(FILE* from) {
  std::array<char, 1024> line{};
  return std::fgets(line.data(), static_cast<int>(line.size()), from) != nullptr ? line.data() : "the end";
}

void AppendOne(Log* log, const std::string& value) { VARVE_ASSERT_OK(log->Append({{.value = value}})); }

TEST(FollowLiveWriterTest, ATruncationBelowTheReaderIsToldAndReadingGoesOn) {
  for (const std::string options : {"", " --committed"}) {
    const testing_support::TemporaryDirectory directory;
    const std::string partition = directory.path() + "/t-0";
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log, Log::Open(partition));
    for (int i = 0; i < 10; ++i) AppendOne(log.get(), "old " + std::to_string(i));
    const std::string command = VARVE_COMMAND " read " + partition + " --follow --max-records 12" + options + " 2>&1";
    FILE* const follower = ::popen(command.c_str(), "r");
    ASSERT_NE(follower, nullptr);
    for (int i = 0; i < 10; ++i) EXPECT_EQ(ReadLine(follower), "old " + std::to_string(i) + "\n");
    VARVE_ASSERT_OK(log->TruncateTo(5));
    EXPECT_THAT(ReadLine(follower), ::testing::HasSubstr("truncated to offset 5: offsets 5 to 9"));
    for (const char* const value : {"new 5", "new 6"}) {
      AppendOne(log.get(), value);
      EXPECT_EQ(ReadLine(follower), std::string(value) + "\n");
    }
    EXPECT_EQ(ReadLine(follower), "the end");
    EXPECT_EQ(::pclose(follower), 0);
  }
}

// The batch that was read last is rewritten by the first pass, and emptied by the second.
TEST(FollowLiveWriterTest, ACompactionBelowTheReaderIsNoTruncation) {
  const testing_support::TemporaryDirectory directory;
  const std::string partition = directory.path() + "/t-0";
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log,
                             Log::Open(partition, {.cleanup_policy = CleanupPolicy::kCompact}));
  VARVE_ASSERT_OK(log->Append({{.key = "k", .value = "old"}}));
  VARVE_ASSERT_OK(log->Append({{.key = "k"}}));
  const std::string command = VARVE_COMMAND " read " + partition + " --follow --format key-value --max-records 4 2>&1";
  FILE* const follower = ::popen(command.c_str(), "r");
  ASSERT_NE(follower, nullptr);
  const std::string old = ReadLine(follower);
  EXPECT_THAT(old, ::testing::HasSubstr("old"));
  EXPECT_THAT(ReadLine(follower), ::testing::StartsWith("k"));
  VARVE_ASSERT_OK(log->Roll());
  for (const char* const value : {"new 2", "new 3"}) {
    VARVE_ASSERT_OK_AND_ASSIGN(const CompactionResult result, log->Compact({.force = true, .delete_retention_ms = 0}));
    EXPECT_EQ(result.removed.total(), 1);
    VARVE_ASSERT_OK(log->Append({{.key = "other", .value = value}}));
    EXPECT_THAT(ReadLine(follower), ::testing::EndsWith(std::string(value) + "\n"));
  }
  EXPECT_EQ(ReadLine(follower), "the end");
  EXPECT_EQ(::pclose(follower), 0);
}

// Both write until the pipe is full, and come to what the writer has made void once this program reads on.

TEST(LiveWriterTest, AReadingGoesOnAfterEachTruncation) {
  const testing_support::TemporaryDirectory directory;
  const std::string partition = directory.path() + "/t-0";
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log, Log::Open(partition));
  constexpr int kRecords = 6000;
  const std::string filling(1000, '.');
  for (int i = 0; i < kRecords; ++i) AppendOne(log.get(), std::to_string(i) + filling);
  FILE* const reader = ::popen((VARVE_COMMAND " read " + partition + " 2>&1").c_str(), "r");
  ASSERT_NE(reader, nullptr);
  int left = kRecords;
  for (int i = 0; i < left; ++i) {
    if (i % 2000 == 0) {
      VARVE_ASSERT_OK(log->TruncateTo(--left));
    }
    ASSERT_EQ(ReadLine(reader), std::to_string(i) + filling + "\n");
  }
  EXPECT_EQ(ReadLine(reader), "the end");
  EXPECT_EQ(::pclose(reader), 0);
}

TEST(LiveWriterTest, AQuestionIsAskedAgainAfterATruncation) {
  const testing_support::TemporaryDirectory directory;
  const std::string partition = directory.path() + "/t-0";
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log, Log::Open(partition));
  for (int i = 0; i < 3; ++i) AppendOne(log.get(), "value");
  constexpr int kQuestions = 3000;
  std::string command = VARVE_COMMAND " find " + partition;
  for (int i = 0; i < kQuestions; ++i) command += i % 2 == 0 ? " --offset 0" : " --offset 1";
  FILE* const finder = ::popen((command + " 2>&1").c_str(), "r");
  ASSERT_NE(finder, nullptr);
  for (int i = 0; i < kQuestions; ++i) {
    ASSERT_THAT(ReadLine(finder), ::testing::StartsWith("offset " + std::to_string(i % 2) + ": segment 0"));
    if (i == 0) {
      VARVE_ASSERT_OK(log->TruncateTo(2));
    }
  }
  EXPECT_EQ(ReadLine(finder), "the end");
  EXPECT_EQ(::pclose(finder), 0);
}

}  // namespace
}  // namespace varve::cli
