// What only the system's own file system can show: other processes, descriptors, permissions, full disks.
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "base/path.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/errno_status.h"
#include "support/status_matchers.h"
#include "support/system_call_counter.h"
#include "support/temporary_directory.h"
#include "varve/clock.h"
#include "varve/file_system.h"

namespace varve {
namespace {

using absl::StatusCode;
using internal::AsBytes;
using internal::JoinPath;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using testing_support::IsOk;
using testing_support::IsOkAndHolds;
using testing_support::MarkSystemCalls;
using testing_support::StatusIs;
using testing_support::TemporaryDirectory;
using testing_support::TraceSystemCalls;

class PosixFileSystemTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) { return JoinPath(directory_.path(), name); }

  std::unique_ptr<File> MakeFile(const std::string& name, std::string_view content) {
    auto file = fs_->Open(Path(name), OpenMode::kTruncate);
    EXPECT_THAT(file, IsOk());
    EXPECT_THAT((*file)->WriteAt(0, AsBytes(content)), IsOk());
    return *std::move(file);
  }

  TemporaryDirectory directory_;
  FileSystem* fs_ = FileSystem::Default();
};

// Runs in a forked child; true if the child says so.
bool TrueInChild(const std::function<bool()>& check) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(check() ? 0 : 1);
  int result = -1;
  EXPECT_EQ(::waitpid(child, &result, 0), child);
  return WIFEXITED(result) && WEXITSTATUS(result) == 0;
}

// The root of a tmpfs of 64 KiB that is mounted nowhere, or -1 where the system refuses one. It goes with the process,
// which may be in a user namespace of its own from here on.
int SmallFileSystem() {
  int context = ::fsopen("tmpfs", 0);
  if (context == -1 && errno == EPERM) {
    const uid_t user = ::getuid();
    const gid_t group = ::getgid();
    if (::unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0) {
      // A user without a number makes no files.
      std::ofstream("/proc/self/setgroups") << "deny";
      std::ofstream("/proc/self/uid_map") << "0 " << user << " 1";
      std::ofstream("/proc/self/gid_map") << "0 " << group << " 1";
      context = ::fsopen("tmpfs", 0);
    }
    if (context == -1) errno = EPERM;  // refused, whatever the limit that unshare met
  }
  if (context == -1 || ::fsconfig(context, FSCONFIG_SET_STRING, "size", "64k", 0) == -1 ||
      ::fsconfig(context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == -1) {
    return -1;
  }
  return ::fsmount(context, 0, 0);
}

// A child that does something and then lives until this object goes.
class LivingChild {
 public:
  explicit LivingChild(const std::function<void()>& begin) {
    std::array<int, 2> ready;
    EXPECT_EQ(::pipe(ready.data()), 0);
    id_ = ::fork();
    if (id_ == 0) {
      begin();
      (void)!::write(ready[1], "x", 1);
      for (;;) ::pause();
    }
    char byte;
    EXPECT_EQ(::read(ready[0], &byte, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~LivingChild() {
    ::kill(id_, SIGKILL);
    ::waitpid(id_, nullptr, 0);
  }
  [[nodiscard]] pid_t id() const { return id_; }

 private:
  pid_t id_;
};

std::string Drain(int descriptor, size_t count) {
  std::string out(count, '?');
  size_t done = 0;
  while (done < count) {
    const ssize_t part = ::read(descriptor, out.data() + done, count - done);
    if (part <= 0) break;
    done += static_cast<size_t>(part);
  }
  out.resize(done);
  return out;
}

std::string Pattern(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i % 23);
  return text;
}

TEST_F(PosixFileSystemTest, ALockOfAnotherProcessIsSeenAndItsHolderNamed) {
  MakeFile(".lock", "");
  const LivingChild child([&] {
    static std::unique_ptr<FileLock> held;
    auto lock = fs_->Lock(Path(".lock"), LockKind::kExclusive);
    if (lock.ok()) held = *std::move(lock);
  });
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kExclusive),
              StatusIs(StatusCode::kUnavailable, HasSubstr("process " + std::to_string(child.id()))));
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kShared), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(fs_->IsLocked(Path(".lock")), IsOkAndHolds(Eq(true)));
}

TEST_F(PosixFileSystemTest, ARecordLockAsJavaTakesItIsSeenAndItsHolderNamed) {
  MakeFile(".lock", "");
  const LivingChild child([&] {
    const int descriptor = ::open(Path(".lock").c_str(), O_RDWR);
    struct flock range = {};
    range.l_type = F_WRLCK;
    range.l_whence = SEEK_SET;
    (void)::fcntl(descriptor, F_SETLK, &range);
  });
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kShared),
              StatusIs(StatusCode::kUnavailable, HasSubstr("process " + std::to_string(child.id()))));
  EXPECT_THAT(fs_->IsLocked(Path(".lock")), IsOkAndHolds(Eq(true)));
}

TEST_F(PosixFileSystemTest, ALockEndsWithItsProcess) {
  MakeFile(".lock", "");
  EXPECT_TRUE(TrueInChild([&] { return fs_->Lock(Path(".lock"), LockKind::kExclusive).ok(); }));
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kExclusive), IsOk());
}

TEST_F(PosixFileSystemTest, ALockOfThisProcessIsNamedSo) {
  MakeFile(".lock", "");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto held, fs_->Lock(Path(".lock"), LockKind::kShared));
  EXPECT_THAT(fs_->Lock(Path(".lock"), LockKind::kExclusive),
              StatusIs(StatusCode::kUnavailable, HasSubstr("this process")));
}

TEST_F(PosixFileSystemTest, SendToAPipeSendsTheRange) {
  const auto file = MakeFile("a", "0123456789");
  std::array<int, 2> pipe;
  ASSERT_EQ(::pipe(pipe.data()), 0);
  EXPECT_THAT(file->SendTo(pipe[1], 3, 5), IsOk());
  EXPECT_EQ(Drain(pipe[0], 5), "34567");
  EXPECT_THAT(file->SendTo(pipe[1], 8, 0), IsOk());
  EXPECT_THAT(file->SendTo(pipe[1], 8, 3), StatusIs(StatusCode::kInvalidArgument, HasSubstr(Path("a"))));
  EXPECT_EQ(Drain(pipe[0], 2), "89");
  ::close(pipe[0]);
  ::close(pipe[1]);
}

TEST_F(PosixFileSystemTest, SendToAFullNonBlockingSocketWaits) {
  const std::string content = Pattern(8 << 20);
  const auto file = MakeFile("a", content);
  std::array<int, 2> sockets;
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, sockets.data()), 0);
  ASSERT_EQ(::fcntl(sockets[0], F_SETFL, 0), 0);
  std::string received;
  std::thread reader([&] { received = Drain(sockets[0], content.size()); });
  EXPECT_THAT(file->SendTo(sockets[1], 0, content.size()), IsOk());
  reader.join();
  EXPECT_EQ(received, content);
  ::close(sockets[0]);
  ::close(sockets[1]);
}

TEST_F(PosixFileSystemTest, SendToAClosedPeerIsAnErrorAndNoSignal) {
  const auto file = MakeFile("a", "0123456789");
  std::array<int, 2> sockets;
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, sockets.data()), 0);
  ::close(sockets[0]);
  EXPECT_THAT(file->SendTo(sockets[1], 0, 10), StatusIs(StatusCode::kInternal, HasSubstr(Path("a"))));
  ::close(sockets[1]);
  sigset_t pending;
  ASSERT_EQ(::sigpending(&pending), 0);
  EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);
}

TEST_F(PosixFileSystemTest, SendToADescriptorThatTakesNoSendfileGoesThroughABuffer) {
  const std::string content = Pattern(700'000);
  const auto file = MakeFile("a", content);
  MakeFile("b", "before ");
  const int appending = ::open(Path("b").c_str(), O_WRONLY | O_APPEND);
  ASSERT_GE(appending, 0);
  EXPECT_THAT(file->SendTo(appending, 1, 600'000), IsOk());
  ::close(appending);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto copy, fs_->Open(Path("b"), OpenMode::kRead));
  std::string out(700'000, '?');
  EXPECT_THAT(copy->ReadAt(0, std::as_writable_bytes(std::span(out))), IsOkAndHolds(Eq(600'007u)));
  EXPECT_EQ(out.substr(0, 600'007), "before " + content.substr(1, 600'000));
}

TEST_F(PosixFileSystemTest, SendToABadDescriptorIsInvalid) {
  const auto file = MakeFile("a", "0123456789");
  EXPECT_THAT(file->SendTo(-1, 0, 1), StatusIs(StatusCode::kInvalidArgument));
}

TEST_F(PosixFileSystemTest, APipeIsNoFileAndDoesNotBlock) {
  ASSERT_EQ(::mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(fs_->Open(Path("pipe"), OpenMode::kRead),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("regular file")));
}

TEST_F(PosixFileSystemTest, WithoutPermissionEverythingIsDenied) {
  MakeFile("a", "content");
  ASSERT_EQ(::chmod(Path("a").c_str(), 0), 0);
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0555), 0);
  EXPECT_TRUE(TrueInChild([&] {
    // Root may do everything, so the child becomes nobody; another user's child is refused as it is.
    if (::geteuid() == 0 && (::setgroups(0, nullptr) == -1 || ::setgid(65534) == -1 || ::setuid(65534) == -1)) {
      return false;
    }
    const auto denied = [](const absl::Status& status) { return absl::IsPermissionDenied(status); };
    return denied(fs_->Open(Path("a"), OpenMode::kRead).status()) &&
           denied(fs_->Open(Path("b"), OpenMode::kCreate).status()) && denied(fs_->Remove(Path("a"))) &&
           denied(fs_->Rename(Path("a"), Path("b"))) && denied(fs_->CreateDirectory(Path("d"))) &&
           denied(fs_->Lock(Path("a"), LockKind::kExclusive).status()) && denied(fs_->IsLocked(Path("a")).status());
  }));
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0755), 0);
}

TEST_F(PosixFileSystemTest, TooManyOpenFilesExhaustAResource) {
  MakeFile("a", "content");
  EXPECT_TRUE(TrueInChild([&] {
    const rlimit none = {.rlim_cur = 3, .rlim_max = 3};
    if (::setrlimit(RLIMIT_NOFILE, &none) == -1) return false;
    const auto exhausted = [](const absl::Status& status) { return absl::IsResourceExhausted(status); };
    return exhausted(fs_->Open(Path("a"), OpenMode::kRead).status()) &&
           exhausted(fs_->List(directory_.path()).status()) && exhausted(fs_->SyncDirectory(directory_.path())) &&
           exhausted(fs_->Lock(Path("a"), LockKind::kShared).status()) &&
           exhausted(fs_->IsLocked(Path("a")).status()) && fs_->BootId().empty();
  }));
}

TEST_F(PosixFileSystemTest, TooLargeAFileIsRefusedAfterAPartWasWritten) {
  EXPECT_TRUE(TrueInChild([&] {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit small = {.rlim_cur = 4096, .rlim_max = 4096};
    if (::setrlimit(RLIMIT_FSIZE, &small) == -1) return false;
    const auto file = fs_->Open(Path("a"), OpenMode::kCreate);
    if (!file.ok()) return false;
    return absl::IsInvalidArgument((*file)->WriteAt(0, AsBytes(std::string(5000, 'x')))) &&
           (*file)->Size().value_or(0) == 4096 && absl::IsInvalidArgument((*file)->Truncate(5000)) &&
           absl::IsInvalidArgument((*file)->Allocate(0, 5000));
  }));
}

// A disk of 64 KiB: a tmpfs in a mount namespace of the child's own, which root or a user namespace may make.
TEST_F(PosixFileSystemTest, AFullDiskExhaustsAResourceAndEndsNoProcess) {
  // Only where the system refuses: any other failure is one of the test.
  if (!TrueInChild([] { return SmallFileSystem() != -1 || (errno != EPERM && errno != ENOSYS); })) {
    GTEST_SKIP() << "needs a small file system of its own: root with the right to mount, or user namespaces";
  }
  EXPECT_TRUE(TrueInChild([&] {
    const std::string directory = fmt::format("/proc/self/fd/{}", SmallFileSystem());
    const auto exhausted = [](const absl::Status& status) { return absl::IsResourceExhausted(status); };
    const auto file = fs_->Open(directory + "/a", OpenMode::kCreate);
    if (!file.ok() || !(*file)->Truncate(1 << 20).ok()) return false;
    const auto mapping = (*file)->Map(1 << 20, Access::kReadWrite);
    if (!mapping.ok() || !(*mapping)->Populate(0, 4096).ok()) return false;
    // Without its file a mapping knows that a store would fail, but not why.
    auto sparse = fs_->Open(directory + "/b", OpenMode::kCreate);
    if (!sparse.ok() || !(*sparse)->Truncate(1 << 20).ok()) return false;
    const auto alone = (*sparse)->Map(1 << 20, Access::kReadWrite);
    sparse->reset();
    if (!alone.ok() || !absl::IsInternal((*alone)->Populate(0, 1 << 20))) return false;
    return fs_->AllocationIsPromise(directory).value_or(false) && exhausted((*file)->Allocate(0, 1 << 20)) &&
           exhausted((*mapping)->Populate(0, 1 << 20)) &&
           exhausted((*file)->WriteAt(0, AsBytes(std::string(128 << 10, 'x'))));
  }));
}

TEST_F(PosixFileSystemTest, PopulateForReadingBeyondTheEndIsAnErrorNotASignal) {
  const auto file = MakeFile("a", "content");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto mapping, file->Map(8192, Access::kRead));
  EXPECT_THAT(mapping->Populate(0, 4096), IsOk());
  EXPECT_THAT(mapping->Populate(4096, 1), StatusIs(StatusCode::kInternal, HasSubstr(Path("a"))));
}

TEST_F(PosixFileSystemTest, MoreThanTheAddressSpaceCannotBeMapped) {
  const auto file = MakeFile("a", "content");
  EXPECT_THAT(file->Map(uint64_t{1} << 62, Access::kRead), StatusIs(StatusCode::kResourceExhausted));
}

TEST_F(PosixFileSystemTest, AllocationIsNoPromiseWhereNobodyKeepsIt) {
  EXPECT_THAT(fs_->AllocationIsPromise("/proc"), IsOkAndHolds(Eq(false)));
}

TEST_F(PosixFileSystemTest, IdentityIsTheSystemsOwn) {
  const auto file = MakeFile("a", "content");
  struct stat expected = {};
  ASSERT_EQ(::stat(Path("a").c_str(), &expected), 0);
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo info, file->Info());
  EXPECT_EQ(info.identity.device, expected.st_dev);
  EXPECT_EQ(info.identity.inode, expected.st_ino);
  EXPECT_EQ(info.owner, expected.st_uid);
  // Only an id that no later mount is given identifies one: 0x4000 asks for it, and stays where a kernel answers it.
  constexpr unsigned kStatxMountIdUnique = 0x4000;
  struct statx answered = {};
  ASSERT_EQ(::statx(AT_FDCWD, Path("a").c_str(), 0, kStatxMountIdUnique, &answered), 0);
  const bool is_unique = (answered.stx_mask & kStatxMountIdUnique) != 0;
  EXPECT_EQ(info.identity.mount, is_unique ? answered.stx_mnt_id : 0);
  EXPECT_EQ(info.modified_ms, expected.st_mtim.tv_sec * 1000 + expected.st_mtim.tv_nsec / 1'000'000);
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo other_mount, fs_->Info("/proc"));
  EXPECT_EQ(info.identity.mount != other_mount.identity.mount, is_unique);
}

// What a crash leaves cannot be tried here: that the system is asked at all can.
TEST_F(PosixFileSystemTest, SyncsAskTheSystem) {
  const auto file = MakeFile("a", "content");
  const auto of_file = TraceSystemCalls([&] {
    MarkSystemCalls();
    const bool synced = file->SyncData().ok();
    MarkSystemCalls();
    return synced;
  });
  ASSERT_TRUE(of_file.has_value());
  EXPECT_THAT(*of_file, ElementsAre(SYS_fdatasync));
  const auto of_directory = TraceSystemCalls([&] {
    MarkSystemCalls();
    const bool synced = fs_->SyncDirectory(directory_.path()).ok();
    MarkSystemCalls();
    return synced;
  });
  ASSERT_TRUE(of_directory.has_value());
  EXPECT_THAT(*of_directory, Contains(SYS_fsync));
}

TEST_F(PosixFileSystemTest, DescriptorsDoNotLeakIntoOtherPrograms) {
  const auto file = MakeFile("a", "content");
  EXPECT_EQ(::fcntl(file->Descriptor(), F_GETFD), FD_CLOEXEC);
}

TEST(ErrnoStatus, EachErrorNumberHasOneCodeAndNamesPathAndOperation) {
  struct Case {
    StatusCode code;
    std::vector<int> errors;
  };
  const std::vector<Case> cases = {
      {StatusCode::kNotFound, {ENOENT, ENOTDIR}},
      {StatusCode::kAlreadyExists, {EEXIST, ENOTEMPTY}},
      {StatusCode::kPermissionDenied, {EACCES, EPERM, EROFS}},
      {StatusCode::kResourceExhausted, {ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM}},
      {StatusCode::kUnimplemented, {EOPNOTSUPP, ENOSYS}},
      {StatusCode::kInvalidArgument, {EINVAL, EISDIR, ENAMETOOLONG, EBADF, EFBIG}},
      {StatusCode::kInternal, {EIO, EPIPE, ENOLCK, ELOOP}},
  };
  for (const Case& c : cases) {
    for (const int error : c.errors) EXPECT_EQ(internal::CodeOfErrno(error), c.code) << error;
  }
  EXPECT_THAT(internal::ErrnoStatus(EIO, "a/b", "sync"),
              StatusIs(StatusCode::kInternal, Eq("a/b: sync: Input/output error")));
}

TEST(SystemClock, TellsTheTime) {
  Clock* const clock = Clock::Default();
  EXPECT_NEAR(static_cast<double>(clock->WallMs()), static_cast<double>(::time(nullptr)) * 1000, 10'000);
  const int64_t before = clock->MonotonicNs();
  EXPECT_GE(clock->MonotonicNs(), before);
}

}  // namespace
}  // namespace varve
