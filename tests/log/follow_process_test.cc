// A reader in one process follows a writer in another through rolls; neither stops the other.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <new>
#include <string>

#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/log.h"

namespace varve {
namespace {

using testing_support::TemporaryDirectory;

constexpr int64_t kRecords = 200'000;
LogOptions WriterOptions() { return {.segment_bytes = 1024 * 1024}; }

struct Shared {
  std::atomic<bool> opened{false};
  std::atomic<int64_t> written{0};
  std::atomic<int64_t> read{0};
};

class FollowProcessTest : public ::testing::Test {
 protected:
  FollowProcessTest()
      : shared_(new (::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0))
                    Shared) {}
  ~FollowProcessTest() override { ::munmap(shared_, sizeof(Shared)); }

  TemporaryDirectory directory_;
  std::string partition_ = directory_.path() + "/followed-0";
  Shared* shared_;
};

// Stops half way until the reader has seen something, or is gone.
bool WriteAll(const std::string& partition, pid_t reader, Shared* shared) {
  auto log = Log::Open(partition, WriterOptions());
  if (!log.ok()) return false;
  shared->opened.store(true);
  for (int64_t number = 0; number < kRecords; ++number) {
    const std::string value = "value " + std::to_string(number);
    if (!(*log)->Append({{.value = value, .timestamp_ms = 1'700'000'000'000 + number}}).ok()) return false;
    shared->written.store(number + 1);
    while (number == kRecords / 2 && shared->read.load() == 0 && ::getppid() == reader) ::usleep(100);
  }
  return (*log)->Close().ok();
}

TEST_F(FollowProcessTest, ReaderSeesEveryRecordThroughRollsWhileTheWriterRuns) {
  const pid_t reader_id = ::getpid();
  const pid_t writer = ::fork();
  if (writer == 0) ::_exit(WriteAll(partition_, reader_id, shared_) ? 0 : 1);
  int status = 0;
  while (!shared_->opened.load()) {
    ASSERT_EQ(::waitpid(writer, &status, WNOHANG), 0) << "the writer ended with wait status " << status;
    ::usleep(100);
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log, Log::Open(partition_, {.read_only = true}));
  LogReader reader = log->NewReader();
  int64_t next = 0;
  int64_t seen_while_writing = 0;
  while (next < kRecords) {
    VARVE_ASSERT_OK(log->WaitForData(next, std::chrono::minutes(5)));
    VARVE_ASSERT_OK_AND_ASSIGN(const FileRange range, reader.Read(next));
    std::span<const std::byte> bytes = range.View();
    for (RecordBatchView batch; NextBatch(&bytes, &batch);) {
      ASSERT_TRUE(batch.CrcMatches());
      RecordCursor cursor(batch, nullptr);
      for (RecordView record; cursor.Next(&record);) {
        ASSERT_EQ(record.offset(), next);
        ASSERT_EQ(record.value(), "value " + std::to_string(next));
        ++next;
      }
    }
    if (shared_->written.load() < kRecords) seen_while_writing = next;
    shared_->read.store(next);
  }
  ASSERT_EQ(::waitpid(writer, &status, 0), writer);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_GT(seen_while_writing, 0) << "the reader saw nothing before the writer was done";
  VARVE_ASSERT_OK(log->Refresh());
  EXPECT_GT(log->segments().size(), 10u);
  EXPECT_EQ(log->log_end_offset(), kRecords);
}

// A reader that is stopped in the middle (SIGSTOP) holds nothing that the writer waits for.
TEST_F(FollowProcessTest, StoppedReaderDoesNotStopTheWriter) {
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log, Log::Open(partition_, WriterOptions()));
    VARVE_ASSERT_OK(log->Append({{.value = "first", .timestamp_ms = 1}}));
    const pid_t reader = ::fork();
    if (reader == 0) {
      auto followed = Log::Open(partition_, {.read_only = true});
      if (!followed.ok() || !(*followed)->Read(0).ok()) ::_exit(1);
      ::raise(SIGSTOP);
      const bool sees_all = (*followed)->Refresh().ok() && (*followed)->log_end_offset() == 50'001;
      ::_exit(sees_all ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(reader, &status, WUNTRACED), reader);
    ASSERT_TRUE(WIFSTOPPED(status)) << "the reader ended with wait status " << status;
    for (int number = 0; number < 50'000; ++number) {
      VARVE_ASSERT_OK(log->Append({{.value = std::string(100, 'v'), .timestamp_ms = 2}}));
    }
    VARVE_ASSERT_OK(log->Flush());
    ::kill(reader, SIGCONT);
    ASSERT_EQ(::waitpid(reader, &status, 0), reader);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
}

}  // namespace
}  // namespace varve
