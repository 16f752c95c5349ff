// What the linker calls in place of the locks, waits and clocks that the library uses, in a program that is linked as in
// CMakeLists.txt: of the threads of a SeededScheduler they are its points, of all others what they are.
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>

#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdint>
#include <ctime>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "schedules/seeded_scheduler.h"

using varve::testing_support::SeededScheduler;
using SteadyTime = std::chrono::steady_clock::time_point;

extern "C" {

void __real__ZN4absl7debian35Mutex4LockEv(absl::Mutex* mutex);
void __real__ZN4absl7debian35Mutex6UnlockEv(absl::Mutex* mutex);
int __real_pthread_mutex_lock(pthread_mutex_t* mutex);
int __real_pthread_mutex_unlock(pthread_mutex_t* mutex);
void __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(absl::CondVar* condition, absl::Mutex* mutex);
bool __real__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(absl::CondVar* condition,
                                                                              absl::Mutex* mutex, absl::Time deadline);
void __real__ZN4absl7debian37CondVar9SignalAllEv(absl::CondVar* condition);
void __real_AbslInternalSleepFor_debian3(absl::Duration duration);
long __real_syscall(long number, ...);

}  // extern "C"

// What returns a class is not C's.
absl::Time RealNow() __asm__("__real__ZN4absl7debian33NowEv");
absl::Time WrappedNow() __asm__("__wrap__ZN4absl7debian33NowEv");
SteadyTime RealSteadyNow() __asm__("__real__ZNSt6chrono3_V212steady_clock3nowEv");
SteadyTime WrappedSteadyNow() __asm__("__wrap__ZNSt6chrono3_V212steady_clock3nowEv");

namespace {

// Times of absl are counted from its epoch, as those of the scheduler from its beginning.
int64_t NsOf(absl::Time time) {
  return time == absl::InfiniteFuture() ? SeededScheduler::kNever : absl::ToUnixNanos(time);
}

bool WaitFor(SeededScheduler* scheduler, absl::CondVar* condition, absl::Mutex* mutex, int64_t deadline_ns) {
  __real__ZN4absl7debian35Mutex6UnlockEv(mutex);
  scheduler->Unlock(mutex);
  const bool late = scheduler->Wait("waits", condition, deadline_ns);
  scheduler->Lock(mutex);
  __real__ZN4absl7debian35Mutex4LockEv(mutex);
  return late;
}

// As the kernel's FUTEX_WAIT_BITSET and FUTEX_WAKE, of one process.
long Futex(SeededScheduler* scheduler, const uint32_t* word, int operation, uint32_t value, const timespec* deadline) {
  if (operation == FUTEX_WAKE_PRIVATE) {
    scheduler->WakeAll("wakes who sleeps", word);
    return 0;
  }
  scheduler->Point("is about to sleep");
  if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != value) {
    errno = EAGAIN;
    return -1;
  }
  const int64_t deadline_ns =
      deadline == nullptr ? SeededScheduler::kNever : deadline->tv_sec * int64_t{1'000'000'000} + deadline->tv_nsec;
  if (!scheduler->Wait("sleeps", word, deadline_ns)) return 0;
  errno = ETIMEDOUT;
  return -1;
}

}  // namespace

extern "C" {

void __wrap__ZN4absl7debian35Mutex4LockEv(absl::Mutex* mutex) {
  if (SeededScheduler* const scheduler = SeededScheduler::OfThisThread()) scheduler->Lock(mutex);
  __real__ZN4absl7debian35Mutex4LockEv(mutex);
}

void __wrap__ZN4absl7debian35Mutex6UnlockEv(absl::Mutex* mutex) {
  __real__ZN4absl7debian35Mutex6UnlockEv(mutex);
  if (SeededScheduler* const scheduler = SeededScheduler::OfThisThread()) scheduler->Unlock(mutex);
}

int __wrap_pthread_mutex_lock(pthread_mutex_t* mutex) {
  SeededScheduler* const scheduler = SeededScheduler::OfThisThread();
  if (scheduler != nullptr && !scheduler->IsOwn(mutex)) scheduler->Lock(mutex);
  return __real_pthread_mutex_lock(mutex);
}

int __wrap_pthread_mutex_unlock(pthread_mutex_t* mutex) {
  const int result = __real_pthread_mutex_unlock(mutex);
  SeededScheduler* const scheduler = SeededScheduler::OfThisThread();
  if (scheduler != nullptr && !scheduler->IsOwn(mutex)) scheduler->Unlock(mutex);
  return result;
}

void __wrap__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(absl::CondVar* condition, absl::Mutex* mutex) {
  SeededScheduler* const scheduler = SeededScheduler::OfThisThread();
  if (scheduler == nullptr) return __real__ZN4absl7debian37CondVar4WaitEPNS0_5MutexE(condition, mutex);
  (void)WaitFor(scheduler, condition, mutex, SeededScheduler::kNever);
}

bool __wrap__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(absl::CondVar* condition,
                                                                              absl::Mutex* mutex, absl::Time deadline) {
  SeededScheduler* const scheduler = SeededScheduler::OfThisThread();
  if (scheduler == nullptr) {
    return __real__ZN4absl7debian37CondVar16WaitWithDeadlineEPNS0_5MutexENS0_4TimeE(condition, mutex, deadline);
  }
  return WaitFor(scheduler, condition, mutex, NsOf(deadline));
}

void __wrap__ZN4absl7debian37CondVar9SignalAllEv(absl::CondVar* condition) {
  __real__ZN4absl7debian37CondVar9SignalAllEv(condition);
  if (SeededScheduler* const scheduler = SeededScheduler::OfThisThread()) scheduler->WakeAll("wakes all", condition);
}

void __wrap_AbslInternalSleepFor_debian3(absl::Duration duration) {
  SeededScheduler* const scheduler = SeededScheduler::OfThisThread();
  if (scheduler == nullptr) return __real_AbslInternalSleepFor_debian3(duration);
  const int64_t end_ns = scheduler->Now() + absl::ToInt64Nanoseconds(duration);
  (void)scheduler->Wait("sleeps for a time", nullptr, end_ns);
}

long __wrap_syscall(long number, ...) {
  va_list arguments;
  va_start(arguments, number);
  long values[6];
  for (long& value : values) value = va_arg(arguments, long);
  va_end(arguments);
  SeededScheduler* const scheduler = SeededScheduler::OfThisThread();
  if (scheduler == nullptr || number != SYS_futex) {
    return __real_syscall(number, values[0], values[1], values[2], values[3], values[4], values[5]);
  }
  return Futex(scheduler, reinterpret_cast<const uint32_t*>(values[0]), static_cast<int>(values[1]),
               static_cast<uint32_t>(values[2]), reinterpret_cast<const timespec*>(values[3]));
}

}  // extern "C"

absl::Time WrappedNow() {
  SeededScheduler* const scheduler = SeededScheduler::OfThisThread();
  return scheduler == nullptr ? RealNow() : absl::FromUnixNanos(scheduler->Now());
}

SteadyTime WrappedSteadyNow() {
  SeededScheduler* const scheduler = SeededScheduler::OfThisThread();
  return scheduler == nullptr ? RealSteadyNow() : SteadyTime(std::chrono::nanoseconds(scheduler->Now()));
}
