// Mutex and MutexLock: a lock that clang's thread-safety analysis understands, for what an append or a read passes.
//
// It is the C library's adaptive mutex with annotations: whoever finds it locked tries again for a moment before it
// sleeps, as an append takes less time than falling asleep. absl::Mutex is not taken there: Debian builds Abseil with its
// checks on, so that each lock and unlock walks a graph of all the locks of the process to look for deadlocks. Where
// threads wait for a condition, absl::Mutex and absl::CondVar serve.
//
// Thread rules: any thread. A Mutex is not recursive, and is unlocked by the thread that locked it.
#ifndef VARVE_LIB_IO_MUTEX_H_
#define VARVE_LIB_IO_MUTEX_H_

#include <pthread.h>

#include "absl/base/thread_annotations.h"

namespace varve::internal {

class ABSL_LOCKABLE Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // Neither can fail: it is no mutex that checks its owner.
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { (void)pthread_mutex_lock(&mutex_); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { (void)pthread_mutex_unlock(&mutex_); }

 private:
  pthread_mutex_t mutex_ = PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP;
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

#endif  // VARVE_LIB_IO_MUTEX_H_
