// Mutex and MutexLock: a lock that clang's thread-safety analysis understands, for what an append or a read passes.
//
// It is std::mutex with annotations. absl::Mutex is not taken there: Debian builds Abseil with its checks on, so that each
// lock and unlock walks a graph of all the locks of the process to look for deadlocks, which costs more than the append
// that it guards. Where threads wait for a condition, absl::Mutex and absl::CondVar serve.
//
// Thread rules: any thread. A Mutex is not recursive, and is unlocked by the thread that locked it.
#ifndef VARVE_LIB_BASE_MUTEX_H_
#define VARVE_LIB_BASE_MUTEX_H_

#include <mutex>

#include "absl/base/thread_annotations.h"

namespace varve::internal {

class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) { mutex_->Lock(); }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_BASE_MUTEX_H_
