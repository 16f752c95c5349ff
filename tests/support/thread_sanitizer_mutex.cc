// Tells the thread sanitizer of the locks of Debian's Abseil, which was compiled without it: what a thread did before
// it let a mutex go happened before what the next one does that takes it. The linker sends calls of the wrapped
// functions here (tests/CMakeLists.txt).
#include <sanitizer/tsan_interface.h>

#include "absl/synchronization/mutex.h"

namespace {

// The books that Abseil keeps of the order of locks are under a lock of its own, which nobody tells of. (The address
// sanitizer's builds keep them.)
[[maybe_unused]] const bool kNoBooks = [] {
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  return true;
}();

}  // namespace

extern "C" {

void __real__ZN4absl7debian35Mutex4LockEv(absl::Mutex*);
void __real__ZN4absl7debian35Mutex6UnlockEv(absl::Mutex*);
void __real__ZN4absl7debian35Mutex10ReaderLockEv(absl::Mutex*);
void __real__ZN4absl7debian35Mutex12ReaderUnlockEv(absl::Mutex*);
void __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(absl::CondVar*, absl::Mutex*);
bool __real__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(absl::CondVar*, absl::Mutex*, absl::Time);

void __wrap__ZN4absl7debian35Mutex4LockEv(absl::Mutex* mutex) {
  __real__ZN4absl7debian35Mutex4LockEv(mutex);
  __tsan_acquire(mutex);
}

void __wrap__ZN4absl7debian35Mutex6UnlockEv(absl::Mutex* mutex) {
  __tsan_release(mutex);
  __real__ZN4absl7debian35Mutex6UnlockEv(mutex);
}

void __wrap__ZN4absl7debian35Mutex10ReaderLockEv(absl::Mutex* mutex) {
  __real__ZN4absl7debian35Mutex10ReaderLockEv(mutex);
  __tsan_acquire(mutex);
}

void __wrap__ZN4absl7debian35Mutex12ReaderUnlockEv(absl::Mutex* mutex) {
  __tsan_release(mutex);
  __real__ZN4absl7debian35Mutex12ReaderUnlockEv(mutex);
}

void __wrap__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(absl::CondVar* condition, absl::Mutex* mutex) {
  __tsan_release(mutex);
  __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(condition, mutex);
  __tsan_acquire(mutex);
}

bool __wrap__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(absl::CondVar* condition,
                                                                              absl::Mutex* mutex, absl::Time deadline) {
  __tsan_release(mutex);
  const bool expired =
      __real__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(condition, mutex, deadline);
  __tsan_acquire(mutex);
  return expired;
}

}  // extern "C"
