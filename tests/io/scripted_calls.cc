#include "io/scripted_calls.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <numeric>
#include <utility>

namespace varve::testing_support {
namespace {

thread_local ScriptedCalls* current = nullptr;

// Such a call must not be repeated, whatever it answers: the kernel may have done what it was asked for, or have given
// up on it.
bool IsMadeOnce(SystemCall call) {
  return call == SystemCall::kFdatasync || call == SystemCall::kFsync || call == SystemCall::kMmap ||
         call == SystemCall::kRename || call == SystemCall::kUnlink || call == SystemCall::kMkdir ||
         call == SystemCall::kRmdir;
}

}  // namespace

ScriptedCalls::ScriptedCalls(SystemCall call, std::vector<ScriptedAnswer> answers)
    : call_(call), answers_(std::move(answers)) {
  std::ranges::reverse(answers_);
  current = this;
}

ScriptedCalls::ScriptedCalls(uint64_t seed) : random_(seed) { current = this; }

ScriptedCalls::~ScriptedCalls() { current = nullptr; }

uint64_t ScriptedCalls::fired() const { return std::accumulate(fired_.begin(), fired_.end(), uint64_t{0}); }

ScriptedAnswer ScriptedCalls::ByChance(SystemCall call, size_t bytes) {
  if (IsMadeOnce(call)) return {};
  int& interrupted = interrupted_[static_cast<size_t>(call)];
  if (interrupted < 3 && random_() % 2 == 0) {
    ++interrupted;
    return Interrupted();
  }
  interrupted = 0;
  if (bytes < 2 || random_() % 2 == 0) return {};
  return AtMost(1 + random_() % (bytes - 1));
}

ScriptedAnswer ScriptedCalls::Next(SystemCall call, size_t bytes) {
  ++made_[static_cast<size_t>(call)];
  ScriptedAnswer answer;
  if (!call_.has_value()) {
    answer = ByChance(call, bytes);
  } else if (*call_ == call && !answers_.empty()) {
    answer = answers_.back();
    answers_.pop_back();
  }
  if (answer.error != 0 || answer.at_most.has_value()) ++fired_[static_cast<size_t>(call)];
  return answer;
}

namespace {

// Answers `failed` with the script's error, or makes the call.
template <typename Result, typename Call>
Result Answer(SystemCall call, Result failed, Call real) {
  if (current == nullptr) return real();
  const ScriptedAnswer answer = current->Next(call, 0);
  if (answer.error == 0) return real();
  errno = answer.error;
  return failed;
}

// The same of a call that moves `bytes`; `real` gets how many it may.
template <typename Call>
ssize_t AnswerMoving(SystemCall call, size_t bytes, Call real) {
  if (current == nullptr) return real(bytes);
  const ScriptedAnswer answer = current->Next(call, bytes);
  if (answer.error == 0) {
    const size_t moved = std::min(bytes, answer.at_most.value_or(bytes));
    return moved == 0 ? 0 : real(moved);
  }
  errno = answer.error;
  return -1;
}

}  // namespace
}  // namespace varve::testing_support

// What the linker calls in place of the functions of these names, and the functions themselves.
using varve::testing_support::Answer;
using varve::testing_support::AnswerMoving;
using varve::testing_support::SystemCall;

extern "C" {

int __real_open(const char* path, int flags, ...);
ssize_t __real_pread(int descriptor, void* bytes, size_t count, off_t position);
ssize_t __real_pwrite(int descriptor, const void* bytes, size_t count, off_t position);
ssize_t __real_read(int descriptor, void* bytes, size_t count);
ssize_t __real_write(int descriptor, const void* bytes, size_t count);
int __real_ftruncate(int descriptor, off_t size);
int __real_fallocate(int descriptor, int mode, off_t position, off_t length);
int __real_fdatasync(int descriptor);
int __real_fsync(int descriptor);
int __real_fstat(int descriptor, struct stat* file);
int __real_statx(int directory, const char* path, int flags, unsigned mask, struct statx* file);
int __real_fstatfs(int descriptor, struct statfs* file_system);
int __real_statfs(const char* path, struct statfs* file_system);
int __real_fcntl(int descriptor, int command, ...);
void* __real_mmap(void* address, size_t length, int protection, int flags, int descriptor, off_t position);
int __real_madvise(void* address, size_t length, int advice);
int __real_ioctl(int descriptor, unsigned long request, ...);
ssize_t __real_copy_file_range(int in, off_t* from, int out, off_t* to, size_t count, unsigned flags);
ssize_t __real_sendfile(int out, int in, off_t* from, size_t count);
int __real_poll(struct pollfd* waiting, nfds_t count, int timeout);
DIR* __real_opendir(const char* path);
struct dirent* __real_readdir(DIR* stream);
int __real_rename(const char* from, const char* to);
int __real_unlink(const char* path);
int __real_mkdir(const char* path, mode_t mode);
int __real_rmdir(const char* path);

int __wrap_open(const char* path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(arguments, mode_t) : 0;
  va_end(arguments);
  return Answer(SystemCall::kOpen, -1, [&] { return __real_open(path, flags, mode); });
}
ssize_t __wrap_pread(int descriptor, void* bytes, size_t count, off_t position) {
  return AnswerMoving(SystemCall::kPread, count,
                      [&](size_t moved) { return __real_pread(descriptor, bytes, moved, position); });
}
ssize_t __wrap_pwrite(int descriptor, const void* bytes, size_t count, off_t position) {
  return AnswerMoving(SystemCall::kPwrite, count,
                      [&](size_t moved) { return __real_pwrite(descriptor, bytes, moved, position); });
}
ssize_t __wrap_read(int descriptor, void* bytes, size_t count) {
  return AnswerMoving(SystemCall::kRead, count, [&](size_t moved) { return __real_read(descriptor, bytes, moved); });
}
ssize_t __wrap_write(int descriptor, const void* bytes, size_t count) {
  return AnswerMoving(SystemCall::kWrite, count, [&](size_t moved) { return __real_write(descriptor, bytes, moved); });
}
int __wrap_ftruncate(int descriptor, off_t size) {
  return Answer(SystemCall::kFtruncate, -1, [&] { return __real_ftruncate(descriptor, size); });
}
int __wrap_fallocate(int descriptor, int mode, off_t position, off_t length) {
  return Answer(SystemCall::kFallocate, -1, [&] { return __real_fallocate(descriptor, mode, position, length); });
}
int __wrap_fdatasync(int descriptor) {
  return Answer(SystemCall::kFdatasync, -1, [&] { return __real_fdatasync(descriptor); });
}
int __wrap_fsync(int descriptor) {
  return Answer(SystemCall::kFsync, -1, [&] { return __real_fsync(descriptor); });
}
int __wrap_fstat(int descriptor, struct stat* file) {
  return Answer(SystemCall::kFstat, -1, [&] { return __real_fstat(descriptor, file); });
}
int __wrap_statx(int directory, const char* path, int flags, unsigned mask, struct statx* file) {
  return Answer(SystemCall::kStatx, -1, [&] { return __real_statx(directory, path, flags, mask, file); });
}
int __wrap_fstatfs(int descriptor, struct statfs* file_system) {
  return Answer(SystemCall::kFstatfs, -1, [&] { return __real_fstatfs(descriptor, file_system); });
}
int __wrap_statfs(const char* path, struct statfs* file_system) {
  return Answer(SystemCall::kStatfs, -1, [&] { return __real_statfs(path, file_system); });
}
// The library hands a pointer to each command that it has for these two.
int __wrap_fcntl(int descriptor, int command, ...) {
  va_list arguments;
  va_start(arguments, command);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return Answer(SystemCall::kFcntl, -1, [&] { return __real_fcntl(descriptor, command, argument); });
}
int __wrap_ioctl(int descriptor, unsigned long request, ...) {
  va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  return Answer(SystemCall::kIoctl, -1, [&] { return __real_ioctl(descriptor, request, argument); });
}
void* __wrap_mmap(void* address, size_t length, int protection, int flags, int descriptor, off_t position) {
  return Answer(SystemCall::kMmap, MAP_FAILED,
                [&] { return __real_mmap(address, length, protection, flags, descriptor, position); });
}
int __wrap_madvise(void* address, size_t length, int advice) {
  return Answer(SystemCall::kMadvise, -1, [&] { return __real_madvise(address, length, advice); });
}
ssize_t __wrap_copy_file_range(int in, off_t* from, int out, off_t* to, size_t count, unsigned flags) {
  return AnswerMoving(SystemCall::kCopyFileRange, count,
                      [&](size_t moved) { return __real_copy_file_range(in, from, out, to, moved, flags); });
}
ssize_t __wrap_sendfile(int out, int in, off_t* from, size_t count) {
  return AnswerMoving(SystemCall::kSendfile, count,
                      [&](size_t moved) { return __real_sendfile(out, in, from, moved); });
}
int __wrap_poll(struct pollfd* waiting, nfds_t count, int timeout) {
  return Answer(SystemCall::kPoll, -1, [&] { return __real_poll(waiting, count, timeout); });
}
DIR* __wrap_opendir(const char* path) {
  return Answer<DIR*>(SystemCall::kOpendir, nullptr, [&] { return __real_opendir(path); });
}
struct dirent* __wrap_readdir(DIR* stream) {
  return Answer<struct dirent*>(SystemCall::kReaddir, nullptr, [&] { return __real_readdir(stream); });
}
int __wrap_rename(const char* from, const char* to) {
  return Answer(SystemCall::kRename, -1, [&] { return __real_rename(from, to); });
}
int __wrap_unlink(const char* path) {
  return Answer(SystemCall::kUnlink, -1, [&] { return __real_unlink(path); });
}
int __wrap_mkdir(const char* path, mode_t mode) {
  return Answer(SystemCall::kMkdir, -1, [&] { return __real_mkdir(path, mode); });
}
int __wrap_rmdir(const char* path) {
  return Answer(SystemCall::kRmdir, -1, [&] { return __real_rmdir(path); });
}

}  // extern "C"
