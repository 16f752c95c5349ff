// ScriptedCalls: the system calls of this program answer as a script says, where the library makes them. For a
// program that is linked as in tests/io/CMakeLists.txt; what the standard library calls by itself is not reached.
//
//   ScriptedCalls calls(SystemCall::kPread, {Interrupted(), AtMost(7)});
//   ... the first pread answers EINTR, the second reads 7 bytes at most, all others are the system's ...
//   EXPECT_EQ(calls.fired(), 2);
#ifndef VARVE_TESTS_IO_SCRIPTED_CALLS_H_
#define VARVE_TESTS_IO_SCRIPTED_CALLS_H_

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <vector>

namespace varve::testing_support {

enum class SystemCall {
  kOpen,
  kPread,
  kPwrite,
  kRead,
  kWrite,
  kFtruncate,
  kFallocate,
  kFdatasync,
  kFsync,
  kFstat,
  kStatx,
  kFstatfs,
  kStatfs,
  kFcntl,
  kMmap,
  kMadvise,
  kIoctl,
  kCopyFileRange,
  kSendfile,
  kPoll,
  kOpendir,
  kReaddir,
  kRename,
  kUnlink,
  kMkdir,
  kRmdir,
};
inline constexpr size_t kSystemCallCount = static_cast<size_t>(SystemCall::kRmdir) + 1;

// How one call is answered: with an error and without being made, or made for fewer bytes than were asked for.
struct ScriptedAnswer {
  int error = 0;
  std::optional<size_t> at_most = std::nullopt;
};
inline ScriptedAnswer Interrupted() { return {.error = EINTR}; }
inline ScriptedAnswer AtMost(size_t bytes) { return {.at_most = bytes}; }

// One at a time; of the thread that made it only.
class ScriptedCalls {
 public:
  // The next calls of one kind are answered so, one after the other.
  ScriptedCalls(SystemCall call, std::vector<ScriptedAnswer> answers);
  // Every call that may be repeated or continued is: interrupted up to three times, and then, if it moves bytes, moves
  // fewer than were asked for, by chance.
  explicit ScriptedCalls(uint64_t seed);
  ~ScriptedCalls();
  ScriptedCalls(const ScriptedCalls&) = delete;
  ScriptedCalls& operator=(const ScriptedCalls&) = delete;

  // Calls that were answered by the script: all, and of one kind.
  [[nodiscard]] uint64_t fired() const;
  [[nodiscard]] uint64_t fired(SystemCall call) const { return fired_[static_cast<size_t>(call)]; }
  // Calls that were made, answered by the script or not.
  [[nodiscard]] uint64_t made(SystemCall call) const { return made_[static_cast<size_t>(call)]; }

  // Of a call that is being made for so many bytes (0: it moves none).
  [[nodiscard]] ScriptedAnswer Next(SystemCall call, size_t bytes);

 private:
  [[nodiscard]] ScriptedAnswer ByChance(SystemCall call, size_t bytes);

  std::optional<SystemCall> call_;
  std::vector<ScriptedAnswer> answers_;
  std::mt19937_64 random_;
  std::array<int, kSystemCallCount> interrupted_ = {};  // times in a row
  std::array<uint64_t, kSystemCallCount> fired_ = {};
  std::array<uint64_t, kSystemCallCount> made_ = {};
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_IO_SCRIPTED_CALLS_H_
