// Below the seam: system calls that signals interrupt, that move fewer bytes than they were asked to, and that fail.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <functional>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/path.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/scripted_calls.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/file_system.h"
#include "varve/log.h"

namespace varve {
namespace {

using absl::StatusCode;
using internal::AsBytes;
using internal::JoinPath;
using ::testing::HasSubstr;
using testing_support::AtMost;
using testing_support::Interrupted;
using testing_support::IsOk;
using testing_support::IsOkAndHolds;
using testing_support::kSystemCallCount;
using testing_support::ScriptedAnswer;
using testing_support::ScriptedCalls;
using testing_support::StatusIs;
using testing_support::SystemCall;
using testing_support::TemporaryDirectory;

constexpr uint64_t kSize = 10'000;

// Bytes of which no two ranges are alike by chance.
std::string Content() {
  std::string content;
  for (uint64_t word = 1; content.size() < kSize; word = word * 6364136223846793005 + 1) {
    content.append(reinterpret_cast<const char*>(&word), sizeof(word));
  }
  content.resize(kSize);
  return content;
}

class InterruptedCallsTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) { return JoinPath(directory_.path(), name); }

  // A new file with this content, open for writing.
  std::unique_ptr<File> Make(const std::string& name, const std::string& content) {
    auto file = fs_->Open(Path(name), OpenMode::kTruncate);
    EXPECT_THAT(file, IsOk());
    EXPECT_THAT((*file)->WriteAt(0, AsBytes(content)), IsOk());
    return *std::move(file);
  }

  static std::string ContentOf(const File& file) {
    std::string content(kSize + 1, '\0');
    const auto count = file.ReadAt(0, std::as_writable_bytes(std::span(content)));
    EXPECT_THAT(count, IsOk());
    content.resize(count.value_or(0));
    return content;
  }

  // What `send` sends through a pipe.
  static std::string Sent(const std::function<absl::Status(int)>& send) {
    std::array<int, 2> ends;
    EXPECT_EQ(::pipe(ends.data()), 0);
    std::string received;
    std::thread receiver([&] {
      std::array<char, 512> buffer;
      for (ssize_t count; (count = ::read(ends[0], buffer.data(), buffer.size())) > 0;) {
        received.append(buffer.data(), static_cast<size_t>(count));
      }
    });
    EXPECT_THAT(send(ends[1]), IsOk());
    ::close(ends[1]);
    receiver.join();
    ::close(ends[0]);
    return received;
  }

  TemporaryDirectory directory_;
  FileSystem* fs_ = FileSystem::Default();
  const std::string content_ = Content();
};

// --- Calls that are made again ---

struct RepeatedCall {
  const char* name;
  SystemCall call;
  // On a file of Content() and its path.
  std::function<absl::Status(FileSystem* fs, File* file, const std::string& path)> use;

  friend std::ostream& operator<<(std::ostream& out, const RepeatedCall& repeated) { return out << repeated.name; }
};

const RepeatedCall kRepeatedCalls[] = {
    {"Open", SystemCall::kOpen,
     [](FileSystem* fs, File*, const std::string& path) { return fs->Open(path, OpenMode::kRead).status(); }},
    {"OpenOfADirectory", SystemCall::kOpen,
     [](FileSystem* fs, File*, const std::string& path) { return fs->SyncDirectory(internal::ParentDirectory(path)); }},
    {"OpenForALock", SystemCall::kOpen,
     [](FileSystem* fs, File*, const std::string& path) { return fs->Lock(path, LockKind::kExclusive).status(); }},
    {"OpenToAskForALock", SystemCall::kOpen,
     [](FileSystem* fs, File*, const std::string& path) { return fs->IsLocked(path).status(); }},
    {"StatAtOpening", SystemCall::kFstat,
     [](FileSystem* fs, File*, const std::string& path) { return fs->Open(path, OpenMode::kRead).status(); }},
    {"Size", SystemCall::kFstat, [](FileSystem*, File* file, const std::string&) { return file->Size().status(); }},
    {"InfoOfAFile", SystemCall::kStatx,
     [](FileSystem*, File* file, const std::string&) { return file->Info().status(); }},
    {"InfoOfAPath", SystemCall::kStatx,
     [](FileSystem* fs, File*, const std::string& path) { return fs->Info(path).status(); }},
    {"Truncate", SystemCall::kFtruncate,
     [](FileSystem*, File* file, const std::string&) { return file->Truncate(kSize); }},
    {"KindOfFileSystem", SystemCall::kStatfs,
     [](FileSystem* fs, File*, const std::string& path) { return fs->AllocationIsPromise(path).status(); }},
    {"SetLock", SystemCall::kFcntl,
     [](FileSystem* fs, File*, const std::string& path) { return fs->Lock(path, LockKind::kShared).status(); }},
    {"AskForALock", SystemCall::kFcntl,
     [](FileSystem* fs, File*, const std::string& path) { return fs->IsLocked(path).status(); }},
    {"OpenDirectory", SystemCall::kOpendir,
     [](FileSystem* fs, File*, const std::string& path) { return fs->List(internal::ParentDirectory(path)).status(); }},
    {"ReadDirectory", SystemCall::kReaddir,
     [](FileSystem* fs, File*, const std::string& path) { return fs->List(internal::ParentDirectory(path)).status(); }},
    {"Populate", SystemCall::kMadvise,
     [](FileSystem*, File* file, const std::string&) {
       const auto mapping = file->Map(kSize, Access::kReadWrite);
       return mapping.ok() ? (*mapping)->Populate(0, kSize) : mapping.status();
     }},
    {"Read", SystemCall::kPread,
     [](FileSystem*, File* file, const std::string&) {
       std::array<std::byte, 100> bytes;
       return file->ReadAt(5, bytes).status();
     }},
    {"Write", SystemCall::kPwrite,
     [](FileSystem*, File* file, const std::string&) { return file->WriteAt(0, AsBytes(Content()).first(100)); }},
    {"BootId", SystemCall::kRead,
     [](FileSystem* fs, File*, const std::string&) {
       return fs->BootId().size() == 36 ? absl::OkStatus() : absl::InternalError("no boot id");
     }},
};

class RepeatedCallTest : public InterruptedCallsTest, public ::testing::WithParamInterface<RepeatedCall> {};
INSTANTIATE_TEST_SUITE_P(, RepeatedCallTest, ::testing::ValuesIn(kRepeatedCalls),
                         [](const auto& param) { return std::string(param.param.name); });

TEST_P(RepeatedCallTest, IsMadeAgainUntilNothingInterruptsIt) {
  const auto file = Make("file", content_);
  {
    ScriptedCalls calls(GetParam().call, std::vector<ScriptedAnswer>(5, Interrupted()));
    EXPECT_THAT(GetParam().use(fs_, file.get(), Path("file")), IsOk());
    EXPECT_EQ(calls.fired(), 5u);
    EXPECT_GT(calls.made(GetParam().call), 5u);
  }
  EXPECT_TRUE(ContentOf(*file) == content_);
}

// Any other error is told at once, and names the path.
TEST_P(RepeatedCallTest, IsNotMadeAgainForAnotherError) {
  if (GetParam().call == SystemCall::kRead) return;  // no boot id is no error
  const auto file = Make("file", content_);
  for (const auto& [error, code] :
       {std::pair(EIO, StatusCode::kInternal), std::pair(ENOMEM, StatusCode::kResourceExhausted)}) {
    ScriptedCalls calls(GetParam().call, {Interrupted(), {.error = error}});
    const absl::Status status = GetParam().use(fs_, file.get(), Path("file"));
    EXPECT_THAT(status, StatusIs(code, HasSubstr(directory_.path())));
    EXPECT_THAT(status, StatusIs(code, HasSubstr(std::generic_category().message(error))));
    EXPECT_EQ(calls.fired(), 2u);
    EXPECT_EQ(calls.made(GetParam().call), 2u);
  }
}

TEST_F(InterruptedCallsTest, AllocationGoesOn) {
  const auto file = Make("file", content_);
  VARVE_ASSERT_OK_AND_ASSIGN(const bool is_promise, fs_->AllocationIsPromise(directory_.path()));
  for (const SystemCall call : {SystemCall::kFstatfs, SystemCall::kFallocate}) {
    if (call == SystemCall::kFallocate && !is_promise) continue;
    ScriptedCalls calls(call, {Interrupted(), Interrupted()});
    EXPECT_EQ(file->Allocate(0, 2 * kSize).ok(), is_promise);
    EXPECT_EQ(calls.fired(), 2u);
  }
  if (!is_promise) return;
  ScriptedCalls calls(SystemCall::kFallocate, {{.error = ENOSPC}});
  EXPECT_THAT(file->Allocate(4096, 50),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("allocate 50 bytes at 4096")));
  EXPECT_EQ(calls.made(SystemCall::kFallocate), 1u);
}

// --- Bytes that move in parts ---

TEST_F(InterruptedCallsTest, ReadsGoOnBehindWhatCame) {
  const auto file = Make("file", content_);
  ScriptedCalls calls(SystemCall::kPread,
                      {AtMost(1), Interrupted(), AtMost(4095), AtMost(2), Interrupted(), AtMost(300)});
  EXPECT_TRUE(ContentOf(*file) == content_);
  EXPECT_EQ(calls.fired(), 6u);
}

// The file ends there: somebody else has cut it.
TEST_F(InterruptedCallsTest, AReadOfNothingIsTheEndOfTheFile) {
  const auto file = Make("file", content_);
  ScriptedCalls calls(SystemCall::kPread, {AtMost(70), AtMost(0)});
  std::array<std::byte, 100> bytes;
  EXPECT_THAT(file->ReadAt(0, bytes), IsOkAndHolds(size_t{70}));
  EXPECT_EQ(calls.made(SystemCall::kPread), 2u);
}

TEST_F(InterruptedCallsTest, AFailedReadNamesThePositionItFailedAt) {
  const auto file = Make("file", content_);
  ScriptedCalls calls(SystemCall::kPread, {AtMost(70), Interrupted(), {.error = EIO}});
  std::array<std::byte, 100> bytes;
  EXPECT_THAT(file->ReadAt(1000, bytes),
              StatusIs(StatusCode::kInternal, HasSubstr(Path("file") + ": read 30 bytes at 1070")));
  EXPECT_EQ(calls.made(SystemCall::kPread), 3u);
}

TEST_F(InterruptedCallsTest, WritesGoOnBehindWhatWent) {
  const auto file = Make("file", "");
  {
    ScriptedCalls calls(SystemCall::kPwrite,
                        {AtMost(1), Interrupted(), AtMost(4095), AtMost(2), Interrupted(), AtMost(300)});
    VARVE_EXPECT_OK(file->WriteAt(0, AsBytes(content_)));
    EXPECT_EQ(calls.fired(), 6u);
  }
  EXPECT_TRUE(ContentOf(*file) == content_);
}

TEST_F(InterruptedCallsTest, AFailedWriteNamesThePositionItFailedAt) {
  const auto file = Make("file", content_);
  for (const auto& [error, code] :
       {std::pair(ENOSPC, StatusCode::kResourceExhausted), std::pair(EDQUOT, StatusCode::kResourceExhausted),
        std::pair(EIO, StatusCode::kInternal)}) {
    ScriptedCalls calls(SystemCall::kPwrite, {AtMost(70), Interrupted(), {.error = error}});
    EXPECT_THAT(file->WriteAt(1000, AsBytes(content_).first(100)),
                StatusIs(code, HasSubstr(Path("file") + ": write 30 bytes at 1070")));
    EXPECT_EQ(calls.made(SystemCall::kPwrite), 3u);
  }
}

// It would be made for ever.
TEST_F(InterruptedCallsTest, AWriteThatTakesNothingIsAnError) {
  const auto file = Make("file", content_);
  {
    ScriptedCalls calls(SystemCall::kPwrite, {AtMost(0)});
    EXPECT_THAT(file->WriteAt(0, AsBytes(content_)),
                StatusIs(StatusCode::kInternal, HasSubstr("write 10000 bytes at 0")));
    EXPECT_EQ(calls.made(SystemCall::kPwrite), 1u);
  }
  const int appending = ::open(Path("sent").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ASSERT_GE(appending, 0);
  ScriptedCalls calls(SystemCall::kWrite, {AtMost(0)});
  EXPECT_THAT(file->SendTo(appending, 0, kSize), StatusIs(StatusCode::kInternal, HasSubstr("send to descriptor")));
  EXPECT_EQ(calls.made(SystemCall::kWrite), 1u);
  ::close(appending);
}

TEST_F(InterruptedCallsTest, CopiesGoOn) {
  const auto source = Make("source", content_);
  constexpr uint64_t kBelowABlock = 4000;  // nothing is shared, so the kernel is asked to copy
  struct Copied {
    SystemCall call;
    uint64_t size;
    std::vector<ScriptedAnswer> answers;
  };
  // Where the kernel does not copy the bytes, or not all of them, they go through memory.
  for (const Copied& copied :
       {Copied{SystemCall::kFstat, kSize, {Interrupted(), Interrupted()}},
        Copied{SystemCall::kIoctl, kSize, {Interrupted(), Interrupted(), {.error = EOPNOTSUPP}}},
        Copied{SystemCall::kCopyFileRange, kBelowABlock, {Interrupted(), AtMost(1), Interrupted(), AtMost(2000)}},
        Copied{SystemCall::kCopyFileRange, kBelowABlock, {AtMost(2000), AtMost(0)}},
        Copied{SystemCall::kCopyFileRange, kBelowABlock, {AtMost(2000), {.error = EXDEV}}}}) {
    const auto target = Make("target", "");
    {
      ScriptedCalls calls(copied.call, copied.answers);
      VARVE_ASSERT_OK(target->CopyPrefixFrom(*source, copied.size));
      EXPECT_EQ(calls.fired(), copied.answers.size());
    }
    EXPECT_TRUE(ContentOf(*target) == content_.substr(0, copied.size));
  }
}

TEST_F(InterruptedCallsTest, AFailedCopyNamesThePositionItFailedAt) {
  const auto source = Make("source", content_);
  const auto target = Make("target", "");
  ScriptedCalls calls(SystemCall::kCopyFileRange, {AtMost(70), {.error = ENOSPC}});
  EXPECT_THAT(target->CopyPrefixFrom(*source, 4000),
              StatusIs(StatusCode::kResourceExhausted,
                       HasSubstr(Path("target") + ": copy 3930 bytes at 70 of " + Path("source"))));
  EXPECT_EQ(calls.fired(), 2u);
}

TEST_F(InterruptedCallsTest, SendingGoesOn) {
  const auto file = Make("file", content_);
  const std::vector<ScriptedAnswer> in_parts = {Interrupted(), AtMost(1), AtMost(4095), Interrupted(), AtMost(9)};
  {
    SCOPED_TRACE("by the kernel");
    EXPECT_TRUE(Sent([&](int descriptor) {
                  ScriptedCalls calls(SystemCall::kSendfile, in_parts);
                  const absl::Status status = file->SendTo(descriptor, 0, kSize);
                  EXPECT_EQ(calls.fired(), in_parts.size());
                  return status;
                }) == content_);
  }
  {
    SCOPED_TRACE("the descriptor is full for a moment");
    EXPECT_TRUE(Sent([&](int descriptor) {
                  ScriptedCalls calls(SystemCall::kSendfile, {AtMost(100), {.error = EAGAIN}});
                  const absl::Status status = file->SendTo(descriptor, 0, kSize);
                  EXPECT_EQ(calls.fired(), 2u);
                  EXPECT_EQ(calls.made(SystemCall::kPoll), 1u);
                  return status;
                }) == content_);
  }
  SCOPED_TRACE("through memory");
  const int appending = ::open(Path("sent").c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  ASSERT_GE(appending, 0);
  {
    ScriptedCalls calls(SystemCall::kWrite, in_parts);
    VARVE_EXPECT_OK(file->SendTo(appending, 0, kSize));
    EXPECT_EQ(calls.fired(), in_parts.size());
  }
  ::close(appending);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto sent, fs_->Open(Path("sent"), OpenMode::kRead));
  EXPECT_TRUE(ContentOf(*sent) == content_);
}

TEST_F(InterruptedCallsTest, AFailedSendNamesThePositionItFailedAt) {
  const auto file = Make("file", content_);
  const int target = ::open(Path("sent").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  ASSERT_GE(target, 0);
  ScriptedCalls calls(SystemCall::kSendfile, {AtMost(70), {.error = EIO}});
  EXPECT_THAT(file->SendTo(target, 1000, 100),
              StatusIs(StatusCode::kInternal, HasSubstr(Path("file") + ": send 30 bytes at 1070")));
  EXPECT_EQ(calls.fired(), 2u);
  ::close(target);
}

// --- Calls that are made once ---

// After one that was interrupted nobody knows what is stable: asking again would call stable what never was.
TEST_F(InterruptedCallsTest, SyncsAreNeverMadeAgain) {
  const auto file = Make("file", content_);
  for (const int error : {EINTR, EIO, ENOSPC}) {
    {
      ScriptedCalls calls(SystemCall::kFdatasync, {{.error = error}});
      const absl::Status status = file->SyncData();
      EXPECT_FALSE(status.ok());
      EXPECT_THAT(status.ToString(), HasSubstr(Path("file") + ": sync"));
      EXPECT_EQ(calls.made(SystemCall::kFdatasync), 1u);
    }
    ScriptedCalls calls(SystemCall::kFsync, {{.error = error}});
    EXPECT_FALSE(fs_->SyncDirectory(directory_.path()).ok());
    EXPECT_EQ(calls.made(SystemCall::kFsync), 1u);
  }
}

// Names may have changed all the same.
TEST_F(InterruptedCallsTest, ChangesOfNamesAreNeverMadeAgain) {
  Make("file", content_);
  struct Change {
    SystemCall call;
    absl::Status (*make)(FileSystem* fs, const std::string& path);
  };
  for (const Change& change :
       {Change{SystemCall::kRename, [](FileSystem*fs, const std::string&path) { return fs->Rename(path, path + "2"); }},
        Change{SystemCall::kUnlink, [](FileSystem*fs, const std::string&path) { return fs->Remove(path); }},
        Change{SystemCall::kMkdir,
               [](FileSystem*fs, const std::string&path) { return fs->CreateDirectory(path + "3"); }},
        Change{SystemCall::kRmdir, [](FileSystem*fs, const std::string&path) { return fs->RemoveDirectory(path); }}}) {
    for (const int error : {EINTR, EIO, ENOSPC}) {
      ScriptedCalls calls(change.call, {{.error = error}});
      const absl::Status status = change.make(fs_, Path("file"));
      EXPECT_FALSE(status.ok());
      EXPECT_THAT(status.ToString(), HasSubstr(Path("file")));
      EXPECT_EQ(calls.made(change.call), 1u);
    }
  }
  EXPECT_THAT(fs_->List(directory_.path()), IsOkAndHolds(::testing::ElementsAre("file")));
}

TEST_F(InterruptedCallsTest, AFailedMappingNamesItsFile) {
  const auto file = Make("file", content_);
  ScriptedCalls calls(SystemCall::kMmap, {{.error = ENOMEM}});
  EXPECT_THAT(file->Map(kSize, Access::kRead),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr(Path("file") + ": map 10000 bytes")));
  EXPECT_EQ(calls.fired(), 1u);
}

// --- All of them ---

// A log that is interrupted wherever it can be, and gets and puts its bytes in parts, lives as any other.
TEST_F(InterruptedCallsTest, ALogLivesAsEver) {
  std::array<uint64_t, kSystemCallCount> fired = {};
  // Hundreds of syncs, of which nothing depends on a disk: in memory, if the system has such a directory.
  const TemporaryDirectory parent(::access("/dev/shm", W_OK) == 0 ? "/dev/shm/" : ::testing::TempDir());
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    LogOptions options;
    options.io_mode = seed % 2 == 0 ? IoMode::kMapped : IoMode::kWrite;
    options.segment_bytes = 1 << 14;
    options.cleanup_policy = CleanupPolicy::kCompactAndDelete;
    options.file_delete_delay_ms = 0;
    const std::string directory = JoinPath(parent.path(), "orders-" + std::to_string(seed));
    ScriptedCalls calls(seed);
    std::vector<std::string> expected;
    const auto append = [&](Log* log, int count) {
      for (int number = 0; number < count; ++number) {
        expected.push_back(content_.substr(expected.size() % 997, 300));
        const std::string key = std::to_string(expected.size());
        VARVE_ASSERT_OK(log->Append({{.key = key, .value = expected.back()}},
                                    {.ack = number % 50 == 0 ? Ack::kDurable : Ack::kWritten}));
      }
    };
    for (int life = 0; life < 3; ++life) {
      VARVE_ASSERT_OK_AND_ASSIGN(const auto log, Log::Open(directory, options));
      ASSERT_TRUE(log->recovery_report().damage.empty());
      append(log.get(), 150);
      VARVE_ASSERT_OK(log->TruncateTo(static_cast<int64_t>(expected.size()) - 7));
      expected.resize(expected.size() - 7);
      append(log.get(), 3);
      VARVE_ASSERT_OK(log->Compact({.force = true}));
      VARVE_ASSERT_OK(log->Flush());
      size_t found = 0;
      LogScan scan = log->Scan(0);
      for (const RecordView& record : scan) {
        ASSERT_LT(found, expected.size());
        ASSERT_EQ(record.value(), expected[found++]);
      }
      VARVE_ASSERT_OK(scan.status());
      ASSERT_EQ(found, expected.size());
      VARVE_ASSERT_OK(log->Close());
    }
    for (size_t call = 0; call < fired.size(); ++call) fired[call] += calls.fired(static_cast<SystemCall>(call));
  }
  for (const SystemCall call : {SystemCall::kOpen, SystemCall::kPread, SystemCall::kPwrite, SystemCall::kFtruncate,
                                SystemCall::kFstat, SystemCall::kStatx, SystemCall::kStatfs, SystemCall::kFcntl,
                                SystemCall::kMadvise, SystemCall::kOpendir, SystemCall::kReaddir, SystemCall::kRead}) {
    EXPECT_GT(fired[static_cast<size_t>(call)], 0u) << static_cast<int>(call);
  }
}

}  // namespace
}  // namespace varve
