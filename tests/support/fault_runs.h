// ForEveryFault: runs a workload again and again, each time with another of its calls of the file system failing, by
// every error that such a call may meet; once, and from then on for ever.
//
//   ForEveryFault("flush", {}, [](const FaultPlan& plan) {
//     MemoryFileSystem disk;
//     FaultInjector faults(&disk, plan);
//     ... what comes before is not counted ...
//     faults.Begin();
//     ... the workload, on faults.file_system(), and what must hold of it ...
//     return faults.outcome();
//   });
#ifndef VARVE_TESTS_SUPPORT_FAULT_RUNS_H_
#define VARVE_TESTS_SUPPORT_FAULT_RUNS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve::testing_support {

// One way in which a call of one operation fails.
struct FaultKind {
  FileOperation operation = FileOperation::kOpen;
  std::string_view name;
  int error = 0;                                       // the system's number
  std::optional<size_t> partial_bytes = std::nullopt;  // of a write: so many are written first
  bool after_effect = false;                           // it is carried out all the same
  bool drops_pages = false;  // of a sync: as Linux does, the pages count as clean and the disk never got them

  [[nodiscard]] bool IsFullDisk() const;
  friend std::ostream& operator<<(std::ostream& out, const FaultKind& kind);
};

// All of them. Closing is not among them: it tells nothing that a caller could use. Nor is a read that ends early: a File
// reads on, so that one which still does tells of a file that was cut by others.
[[nodiscard]] std::span<const FaultKind> FaultKinds();

// What fails in one run.
struct FaultPlan {
  const FaultKind* kind = nullptr;  // null: nothing
  uint64_t nth = 1;                 // of the calls of its operation, from 1
  bool for_ever = false;            // all later ones too

  friend std::ostream& operator<<(std::ostream& out, const FaultPlan& plan);
};

// What came of it.
struct FaultOutcome {
  std::array<uint64_t, static_cast<size_t>(FileOperation::kLock) + 1> calls = {};  // by operation
  uint64_t fired = 0;
};

// Carries a plan out on a disk that outlives this. Not for several threads.
class FaultInjector {
 public:
  FaultInjector(MemoryFileSystem* disk, const FaultPlan& plan);

  [[nodiscard]] FileSystem* file_system() { return &file_system_; }
  [[nodiscard]] MemoryFileSystem* disk() const { return disk_; }
  [[nodiscard]] const FaultPlan& plan() const { return plan_; }

  // Counting and failing begin; end.
  void Begin();
  void End();

  [[nodiscard]] uint64_t fired() const;
  [[nodiscard]] FaultOutcome outcome() const;
  // The file or directory of the call that failed first; empty before.
  [[nodiscard]] const std::string& failed_path() const { return failed_path_; }

 private:
  void Observe(const FileCall& call);

  MemoryFileSystem* disk_;
  FaultPlan plan_;
  FaultyFileSystem file_system_;
  std::array<uint64_t, static_cast<size_t>(FileOperation::kLock) + 1> calls_ = {};
  uint64_t dropped_syncs_ = 0;
  std::string failed_path_;
};

// Of all runs one in so many, as the seed says; of each kind one at least.
struct FaultShare {
  uint64_t one_in = 1;
  uint64_t seed = 1;
};

// One run without a fault, which tells how often each operation is called, and then all others. A run that fails the
// test is the last. Fails the test, too, where a fault did not fire, or an operation that the workload calls has no kind.
// VARVE_FAULTS_REPORT names a file to which a line of JSON is added for each kind.
void ForEveryFault(std::string_view workload, const FaultShare& share,
                   const std::function<FaultOutcome(const FaultPlan& plan)>& run);

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_SUPPORT_FAULT_RUNS_H_
