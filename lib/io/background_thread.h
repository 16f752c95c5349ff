// BackgroundThread: the one way in which the library starts a thread, for a host that has asked for one.
//
// The thread blocks all signals, so that the host's handlers run on the host's threads. A child of fork() has the object
// and not the thread: destroying it there does nothing.
//
// Thread rules: one thread at a time.
#ifndef VARVE_LIB_IO_BACKGROUND_THREAD_H_
#define VARVE_LIB_IO_BACKGROUND_THREAD_H_

#include <pthread.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "io/fork_mark.h"

namespace varve::internal {

class BackgroundThread {
 public:
  // Runs `run` on a new thread, whose name is cut to the 15 bytes that Linux keeps. kResourceExhausted: the system gives
  // no thread.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<BackgroundThread>> Start(std::string name,
                                                                               std::function<void()> run);

  // Waits until `run` has returned.
  ~BackgroundThread();
  BackgroundThread(const BackgroundThread&) = delete;
  BackgroundThread& operator=(const BackgroundThread&) = delete;

  // True on the thread itself.
  [[nodiscard]] bool IsCurrent() const;
  // True in a child of fork(), where there is no such thread.
  [[nodiscard]] bool IsInherited() const { return fork_mark_.IsInherited(); }

 private:
  explicit BackgroundThread(pthread_t thread) : thread_(thread) {}

  const pthread_t thread_;
  const ForkMark fork_mark_;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_BACKGROUND_THREAD_H_
