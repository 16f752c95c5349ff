// DeletedFiles: when the files go that a deletion or a compaction has renamed to .deleted. They stay for
// LogOptions::file_delete_delay_ms (Kafka's file.delete.delay.ms), so that who holds a range of them can still send it; a
// hold alone keeps the bytes, not the name. What is left when the process ends, the next opening removes (leftovers.h).
//
// The directory says which files there are; only when each was first seen is kept here, so whoever renames one need not
// say so. A file that cannot be removed is tried again the next time: it takes room and is in nobody's way.
//
// Thread rules: any thread, without the writer lock: removing a large file takes long.
#ifndef VARVE_LIB_LOG_DELETED_FILES_H_
#define VARVE_LIB_LOG_DELETED_FILES_H_

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "io/mutex.h"
#include "varve/clock.h"
#include "varve/file_system.h"
#include "varve/retention.h"

namespace varve::internal {

inline constexpr std::chrono::nanoseconds kNoTimeLimit = std::chrono::nanoseconds::max();

class DeletedFiles {
 public:
  DeletedFiles(FileSystem* file_system, Clock* clock, std::string directory, int64_t delay_ms);

  // Notes the files that are new, and removes those whose time is up until it has taken so long, the oldest first: one at
  // least, unless that is 0. Cost: a listing of the directory.
  FileRemovalResult RemoveDue(std::chrono::nanoseconds time_limit = kNoTimeLimit);

  // Removes all that RemoveDue has noted and left.
  void RemoveAll();

 private:
  // Removes it; true if it is gone.
  [[nodiscard]] bool Remove(const std::string& name);

  FileSystem* const file_system_;
  Clock* const clock_;
  const std::string directory_;
  const int64_t delay_ms_;
  Mutex mutex_;
  std::map<std::string, int64_t> seen_ns_ ABSL_GUARDED_BY(mutex_);  // by name, when it was seen first
};

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_DELETED_FILES_H_
