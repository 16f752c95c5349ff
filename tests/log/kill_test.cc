// A writer killed by SIGKILL at any moment has lost nothing that it acknowledged, and left nothing that it did not
// write.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <new>
#include <random>
#include <string>

#include "fmt/format.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/log.h"

namespace varve {
namespace {

using testing_support::TemporaryDirectory;

constexpr int kKills = 100;
constexpr int64_t kBytesPerLife = 11 * 1024 * 1024;  // so that 100 lives make more than 1 GiB
constexpr int64_t kTimestampMs = 1'700'000'000'000;

// What the writer has done, in memory that outlives it.
struct Progress {
  std::atomic<int64_t> asked{0};         // offset behind the append under way
  std::atomic<int64_t> acknowledged{0};  // log end after the last append that returned
  std::atomic<int64_t> durable{0};       // the same, of kDurable appends
};

// The value at an offset is told by the offset alone.
std::string ValueAt(int64_t offset) {
  std::string value = fmt::format("value {} ", offset);
  value.resize(static_cast<size_t>(40 + offset * 7919 % 700), static_cast<char>('a' + offset % 26));
  return value;
}

LogOptions OptionsOf(int life) {
  return {.segment_bytes = 8 * 1024 * 1024,
          .segment_index_bytes = 64 * 1024,
          .io_mode = life % 4 == 3 ? IoMode::kWrite : IoMode::kMapped};
}

// Appends batches of one to three records, some of them durably, until it is killed.
[[noreturn]] void WriteUntilKilled(const std::string& directory, int life, Progress* progress) {
  auto log = Log::Open(directory, OptionsOf(life));
  if (!log.ok()) ::_exit(2);
  std::minstd_rand random(static_cast<uint32_t>(life + 1));
  for (;;) {
    const int64_t base = (*log)->log_end_offset();
    const int64_t count = 1 + static_cast<int64_t>(random() % 3);
    std::vector<std::string> values;
    std::vector<Record> records;
    for (int64_t offset = base; offset < base + count; ++offset) values.push_back(ValueAt(offset));
    for (const std::string& value : values) records.push_back({.value = value, .timestamp_ms = kTimestampMs + base});
    const bool durable = random() % 500 == 0;
    progress->asked.store(base + count);
    const auto result =
        (*log)->Append(std::span<const Record>(records), {.ack = durable ? Ack::kDurable : Ack::kWritten});
    if (!result.ok() || result->base_offset != base) ::_exit(3);
    progress->acknowledged.store(result->end_offset());
    if (durable) progress->durable.store(result->end_offset());
  }
}

TEST(KillTest, HundredKillsInOneGibibyteLoseNothingAndInventNothing) {
  const TemporaryDirectory directory;
  const std::string partition = directory.path() + "/killed-0";
  void* const memory = ::mmap(nullptr, sizeof(Progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(memory, MAP_FAILED);
  auto* const progress = new (memory) Progress;
  int64_t verified = 0;  // everything below was read in an earlier life
  for (int life = 0; life < kKills; ++life) {
    const pid_t child = ::fork();
    if (child == 0) WriteUntilKilled(partition, life, progress);
    const int64_t start = progress->acknowledged.load();
    const int64_t wanted = start + kBytesPerLife / 450;  // the mean size of a record on disk is about 450 bytes
    int status = 0;
    while (progress->acknowledged.load() < wanted && ::waitpid(child, &status, WNOHANG) == 0) ::usleep(200);
    ::kill(child, SIGKILL);
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "life " << life << ": the writer ended by itself, exit code "
                                     << WEXITSTATUS(status);

    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log, Log::Open(partition, OptionsOf(life)));
    const int64_t end = log->log_end_offset();
    ASSERT_GE(end, progress->acknowledged.load()) << "life " << life << ": acknowledged records are gone";
    ASSERT_LE(end, progress->asked.load()) << "life " << life << ": records that nobody appended";
    EXPECT_TRUE(log->damage().empty());
    const bool last = life == kKills - 1;
    LogScan scan = log->Scan(last ? 0 : verified);
    int64_t offset = last ? 0 : verified;
    for (const RecordView& record : scan) {
      ASSERT_EQ(record.offset(), offset);
      ASSERT_EQ(record.value(), ValueAt(offset)) << "life " << life << ", offset " << offset;
      ++offset;
    }
    VARVE_ASSERT_OK(scan.status());
    ASSERT_EQ(offset, end);
    verified = end;
    progress->acknowledged.store(end);
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log, Log::Open(partition, OptionsOf(0)));
  int64_t total_bytes = 0;
  for (const LogSegmentInfo& segment : log->segments()) total_bytes += segment.size_bytes;
  EXPECT_GE(total_bytes, int64_t{1} << 30);
  ::munmap(memory, sizeof(Progress));
}

}  // namespace
}  // namespace varve
