#include "log/partition_lock.h"

#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;

TEST(PartitionLockTest, OneHolderAtATime) {
  const testing_support::TemporaryDirectory directory;
  MemoryFileSystem memory;
  VARVE_ASSERT_OK(memory.CreateDirectory("orders-0"));
  const std::pair<FileSystem*, std::string> places[] = {{FileSystem::Default(), directory.path()},
                                                        {&memory, "orders-0"}};
  for (const auto& [file_system, path] : places) {
    EXPECT_THAT(PartitionIsLocked(file_system, path), IsOkAndHolds(false));  // no file yet
    VARVE_EXPECT_OK(CheckUnlocked(file_system, path));
    auto first = LockPartition(file_system, path);
    VARVE_ASSERT_OK(first);
    EXPECT_THAT(PartitionIsLocked(file_system, path), IsOkAndHolds(true));
    const absl::Status refused = LockPartition(file_system, path).status();
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kUnavailable,
                                  AllOf(HasSubstr("open for writing elsewhere"), HasSubstr("varve.lock"))));
    EXPECT_EQ(CheckUnlocked(file_system, path), refused);
    *first = nullptr;
    VARVE_EXPECT_OK(CheckUnlocked(file_system, path));
    EXPECT_THAT(PartitionIsLocked(file_system, path), IsOkAndHolds(false));
    VARVE_EXPECT_OK(LockPartition(file_system, path));
  }
}

// Who copies needs the file to be there, and whoever makes it may write.
TEST(PartitionLockTest, ReadersShareItAndKeepWritersOut) {
  const testing_support::TemporaryDirectory directory;
  MemoryFileSystem memory;
  VARVE_ASSERT_OK(memory.CreateDirectory("orders-0"));
  const std::pair<FileSystem*, std::string> places[] = {{FileSystem::Default(), directory.path()},
                                                        {&memory, "orders-0"}};
  for (const auto& [file_system, path] : places) {
    VARVE_ASSERT_OK(LockPartitionForReading(file_system, path));
    auto first = LockPartitionForReading(file_system, path);
    VARVE_ASSERT_OK(first);
    auto second = LockPartitionForReading(file_system, path);
    VARVE_ASSERT_OK(second);
    EXPECT_THAT(PartitionIsLocked(file_system, path), IsOkAndHolds(false));
    EXPECT_THAT(LockPartition(file_system, path), StatusIs(absl::StatusCode::kUnavailable));
    *first = nullptr;
    EXPECT_THAT(LockPartition(file_system, path), StatusIs(absl::StatusCode::kUnavailable));
    *second = nullptr;
    const auto writer = LockPartition(file_system, path);
    VARVE_ASSERT_OK(writer);
    EXPECT_THAT(LockPartitionForReading(file_system, path), StatusIs(absl::StatusCode::kUnavailable));
  }
  EXPECT_THAT(LockPartitionForReading(&memory, "absent-0"), StatusIs(absl::StatusCode::kNotFound));
}

// Another process that holds the lock is named.
TEST(PartitionLockTest, NamesTheProcessThatHoldsIt) {
  const testing_support::TemporaryDirectory directory;
  int locked[2];
  int release[2];
  ASSERT_EQ(::pipe(locked), 0);
  ASSERT_EQ(::pipe(release), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::close(release[1]);
    const auto lock = LockPartition(FileSystem::Default(), directory.path());
    const char byte = lock.ok() ? 'y' : 'n';
    char wait = 0;
    const bool told = ::write(locked[1], &byte, 1) == 1 && ::read(release[0], &wait, 1) == 0;
    ::_exit(told && lock.ok() ? 0 : 1);
  }
  char byte = 0;
  ASSERT_EQ(::read(locked[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  EXPECT_THAT(LockPartition(FileSystem::Default(), directory.path()),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(std::to_string(child))));
  EXPECT_THAT(CheckUnlocked(FileSystem::Default(), directory.path()),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(std::to_string(child))));
  EXPECT_THAT(PartitionIsLocked(FileSystem::Default(), directory.path()), IsOkAndHolds(true));
  for (const int descriptor : {release[0], release[1], locked[0], locked[1]}) ::close(descriptor);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  // The lock ends with its holder, whatever became of it.
  VARVE_EXPECT_OK(LockPartition(FileSystem::Default(), directory.path()));
}

TEST(PartitionLockTest, ErrorsOfTheSystemAreGivenAsTheyAre) {
  MemoryFileSystem memory;
  EXPECT_THAT(LockPartition(&memory, "absent-0"), StatusIs(absl::StatusCode::kNotFound));
  VARVE_ASSERT_OK(memory.CreateDirectory("orders-0"));
  uint64_t fired = 0;
  for (uint64_t nth = 1;; ++nth) {
    FaultyFileSystem faulty(&memory);
    faulty.AddRule({.nth = nth, .status = absl::PermissionDeniedError("injected")});
    const absl::Status status = LockPartition(&faulty, "orders-0").status();
    if (faulty.faults_fired() == 0) break;
    ++fired;
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied));
  }
  EXPECT_GE(fired, 2u);
  FaultyFileSystem faulty(&memory);
  faulty.AddRule({.operation = FileOperation::kLock, .status = absl::InternalError("injected")});
  EXPECT_THAT(PartitionIsLocked(&faulty, "orders-0"), StatusIs(absl::StatusCode::kInternal));
}

// Two that start at once and both find no file: one of them makes it, and the other uses that.
TEST(PartitionLockTest, AFileThatAppearsMeanwhileIsUsed) {
  MemoryFileSystem memory;
  VARVE_ASSERT_OK(memory.CreateDirectory("orders-0"));
  VARVE_ASSERT_OK(memory.Open("orders-0/varve.lock", OpenMode::kCreate));
  FaultyFileSystem faulty(&memory);
  const size_t rule = faulty.AddRule({.operation = FileOperation::kOpen, .status = absl::NotFoundError("not yet")});
  VARVE_EXPECT_OK(LockPartition(&faulty, "orders-0"));
  EXPECT_EQ(faulty.faults_fired(rule), 1u);
}

}  // namespace
}  // namespace varve::internal
