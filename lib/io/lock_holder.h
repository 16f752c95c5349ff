// Who is in the way of a lock: a message for people, found only after a lock was refused.
#ifndef VARVE_LIB_IO_LOCK_HOLDER_H_
#define VARVE_LIB_IO_LOCK_HOLDER_H_

#include <fcntl.h>

#include <string>

namespace varve::internal {

// "process 4711", "this process" or "another process", for whoever holds a lock that conflicts with `wanted` on the
// open file. A record lock (a Java broker's) carries its process; an open-file-description lock belongs to none, so the
// descriptors of all processes that may be looked at are searched for the one whose /proc/PID/fdinfo shows it: a few
// microseconds for every open descriptor on the machine.
[[nodiscard]] std::string DescribeLockHolder(int descriptor, struct flock wanted);

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_LOCK_HOLDER_H_
