// CrashSimulator: a machine that may lose power, or lose the process, at any moment of a program's life.
//
// The program under test runs on file_system() and never notices. Before each of its calls that changes something (a
// write, a truncation, a sync, a change of a name, populating a mapped window ...) the simulator asks what would be found
// if the machine crashed now: it clones the disk some times over, each time with other unsynced sectors, sizes and names
// lost, torn or kept (memory_file_system.h says what may happen to them), and hands each clone to a check. The check
// opens what is there and compares it with what had been acknowledged. What it does through CrashState::file_system is
// crashed in the same way: a crash in the midst of the recovery from a crash.
//
//   varve::CrashSimulator simulator({.seed = 7}, [&](const varve::CrashState& state) -> absl::Status {
//     varve::LogOptions options;
//     options.file_system = state.file_system;
//     const auto log = varve::Log::Open("orders-0", options);
//     if (!log.ok()) return log.status();
//     if ((*log)->log_end_offset() < acknowledged) return absl::DataLossError("an acknowledged record is lost");
//     return absl::OkStatus();
//   });
//   options.file_system = simulator.file_system();
//   ... open a log, append with varve::Ack::kDurable, note in `acknowledged` what returned ...
//   simulator.CrashHere("at the end");
//   EXPECT_TRUE(simulator.status().ok()) << simulator.status();
//
// Between two calls a program changes only mapped memory, which the next point sees; CrashHere makes a point wherever
// one is wanted. A state is told by the seed and its id, so long as the program makes the same calls in the same order;
// one with threads does not, and its states are judged as they come.
//
// Thread rules: the program may run in any number of threads; points are taken one at a time, and while one is checked,
// threads that call the file system wait. The check is called on the thread that made the call, so it must not wait for
// another, nor take a lock that is held across calls of the file system. CutPower and KillProcess put another
// machine in the place of this one: meanwhile no other thread may call file_system(), disk() or CrashHere, nor either of
// them; what it does on a file system that it got before may go on. Lifetime: the simulator outlives the program's files.
// Cost: a point clones the disk for each of its states.
#ifndef VARVE_TESTING_CRASH_SIMULATOR_H_
#define VARVE_TESTING_CRASH_SIMULATOR_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "varve/file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve {

namespace internal {
class SimulatedMachine;
struct CrashTrials;
}  // namespace internal

// What a crash has left. Both file systems are gone once the check has returned, and so must be every log that was opened
// on them.
struct CrashState {
  FileSystem* file_system = nullptr;  // of the machine after the crash; calls through it may be crashed again
  MemoryFileSystem* disk = nullptr;   // the same files; calls through this are not
  // True: power was lost, at this crash or an earlier one on the way here, and what was never synced may be gone. False:
  // processes died, and what was written is there.
  bool power_lost = false;
  bool rebooted = false;  // power was lost at this crash, not only at an earlier one: no page cache has survived
  int depth = 0;          // 0: the program crashed; 1: the check of such a state did; and so on
  std::string id;     // "12.3": the state 3 at point 12; "12.3/7.0": the state 0 at point 7 of the check of that one
  std::string point;  // what was about to happen: "sync of orders-0/00000000000000000000.log"
};

struct CrashSimulatorOptions {
  uint64_t seed = 1;
  // One in so many points of the program is crashed, as the seed says; 1: all of them. With fewer, more lives fit in
  // the same time.
  int point_one_in = 1;
  int states_per_point = 4;
  // Checks of states of a depth below this are crashed in their turn, each at one in so many points of theirs, with
  // one state at each. 0: none is.
  int max_depth = 1;
  int nested_point_one_in = 16;
  // The state with this id alone, and those on the way to it.
  std::optional<std::string> only_id = std::nullopt;
  MemoryFileSystem::Options disk = {};
};

class CrashSimulator {
 public:
  // OK if the state is one that a crash may leave. After the first that is not, no more states are made.
  using Check = std::function<absl::Status(const CrashState& state)>;

  CrashSimulator(const CrashSimulatorOptions& options, Check check);
  ~CrashSimulator();
  CrashSimulator(const CrashSimulator&) = delete;
  CrashSimulator& operator=(const CrashSimulator&) = delete;

  // Of the machine as it runs now: until CutPower or KillProcess.
  [[nodiscard]] FileSystem* file_system() const;
  [[nodiscard]] MemoryFileSystem* disk() const;

  // A point where no call is; `where` names it in CrashState::point.
  void CrashHere(std::string_view where);

  // The machine crashes in earnest: from here on file_system() and disk() are what is found afterwards, as the seed says.
  // What the old program still does goes to the disk that is no more. What was lost here is for the program to know:
  // later states are as if the machine had been on all the time.
  void CutPower();
  void KillProcess();

  [[nodiscard]] uint64_t point_count() const;
  [[nodiscard]] uint64_t state_count() const;

  // What the check said to the first state that it did not like, with seed, id and point.
  [[nodiscard]] absl::Status status() const;

 private:
  void Replace(std::unique_ptr<MemoryFileSystem> found);

  std::shared_ptr<internal::CrashTrials> trials_;
  std::vector<std::unique_ptr<internal::SimulatedMachine>> machines_;  // the last one runs
};

}  // namespace varve

#endif  // VARVE_TESTING_CRASH_SIMULATOR_H_
