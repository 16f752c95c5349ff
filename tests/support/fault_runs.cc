#include "support/fault_runs.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <map>

#include "fmt/format.h"
#include "gtest/gtest.h"
#include "io/errno_status.h"

namespace varve::testing_support {
namespace {

using enum FileOperation;

// The first bytes of a batch; a header, and a little of what follows.
constexpr size_t kFewBytes = 7;
constexpr size_t kMoreBytes = 70;

constexpr FaultKind kKinds[] = {
    {.operation = kOpen, .name = "open: EIO", .error = EIO},
    {.operation = kOpen, .name = "open: EMFILE", .error = EMFILE},
    {.operation = kRead, .name = "read: EIO", .error = EIO},
    {.operation = kRead, .name = "read: ENOMEM", .error = ENOMEM},
    {.operation = kWrite, .name = "write: EIO", .error = EIO},
    {.operation = kWrite, .name = "write: ENOSPC", .error = ENOSPC},
    {.operation = kWrite, .name = "write: short, then EIO", .error = EIO, .partial_bytes = kMoreBytes},
    {.operation = kWrite, .name = "write: short, then EDQUOT", .error = EDQUOT, .partial_bytes = kFewBytes},
    {.operation = kWrite, .name = "write: EIO, though written", .error = EIO, .after_effect = true},
    {.operation = kTruncate, .name = "truncate: EIO", .error = EIO},
    {.operation = kTruncate, .name = "truncate: ENOSPC", .error = ENOSPC},
    {.operation = kAllocate, .name = "allocate: EIO", .error = EIO},
    {.operation = kAllocate, .name = "allocate: ENOSPC", .error = ENOSPC},
    {.operation = kAllocate, .name = "allocate: EDQUOT", .error = EDQUOT},
    {.operation = kSync, .name = "sync: EIO", .error = EIO},
    {.operation = kSync, .name = "sync: EINTR", .error = EINTR, .after_effect = true},
    {.operation = kSync, .name = "sync: EIO, pages dropped", .error = EIO, .drops_pages = true},
    {.operation = kSync, .name = "sync: ENOSPC, pages dropped", .error = ENOSPC, .drops_pages = true},
    {.operation = kSync, .name = "sync: EDQUOT, pages dropped", .error = EDQUOT, .drops_pages = true},
    {.operation = kMap, .name = "map: ENOMEM", .error = ENOMEM},
    {.operation = kMap, .name = "map: EIO", .error = EIO},
    {.operation = kPopulate, .name = "populate: EIO", .error = EIO},
    {.operation = kPopulate, .name = "populate: ENOSPC", .error = ENOSPC},
    {.operation = kCopy, .name = "copy: EIO", .error = EIO},
    {.operation = kCopy, .name = "copy: ENOSPC", .error = ENOSPC},
    {.operation = kInfo, .name = "statx: EIO", .error = EIO},
    {.operation = kInfo, .name = "statx: ENOMEM", .error = ENOMEM},
    {.operation = kRename, .name = "rename: EIO", .error = EIO},
    {.operation = kRename, .name = "rename: ENOSPC", .error = ENOSPC},
    {.operation = kRename, .name = "rename: EIO, though renamed", .error = EIO, .after_effect = true},
    {.operation = kRemove, .name = "remove: EIO", .error = EIO},
    {.operation = kRemove, .name = "remove: EIO, though removed", .error = EIO, .after_effect = true},
    {.operation = kCreateDirectory, .name = "create directory: EIO", .error = EIO},
    {.operation = kCreateDirectory, .name = "create directory: ENOSPC", .error = ENOSPC},
    {.operation = kList, .name = "list: EIO", .error = EIO},
    {.operation = kList, .name = "list: EMFILE", .error = EMFILE},
    {.operation = kSyncDirectory, .name = "sync of a directory: EIO", .error = EIO},
    {.operation = kSyncDirectory, .name = "sync of a directory: ENOSPC", .error = ENOSPC},
    {.operation = kSyncDirectory,
     .name = "sync of a directory: EIO, though synced",
     .error = EIO,
     .after_effect = true},
    {.operation = kLock, .name = "lock: EIO", .error = EIO},
    {.operation = kLock, .name = "lock: EMFILE", .error = EMFILE},
};

absl::Status StatusOf(const FaultKind& kind, std::string_view path) {
  return internal::ErrnoStatus(kind.error, path, "injected fault");
}

// Of one kind of fault.
struct Tally {
  uint64_t runs = 0;
  uint64_t of = 0;  // runs that there are, of which one in so many is made
  uint64_t fired = 0;
};

void Report(std::string_view workload, const FaultShare& share, const std::map<std::string_view, Tally>& tallies) {
  const char* const path = std::getenv("VARVE_FAULTS_REPORT");
  if (path == nullptr) return;
  std::ofstream out(path, std::ios::app);
  for (const auto& [kind, tally] : tallies) {
    out << fmt::format(R"({{"workload":"{}","kind":"{}","one_in":{},"runs":{},"of":{},"fired":{}}})", workload, kind,
                       share.one_in, tally.runs, tally.of, tally.fired)
        << "\n";
  }
}

}  // namespace

bool FaultKind::IsFullDisk() const { return error == ENOSPC || error == EDQUOT; }

std::ostream& operator<<(std::ostream& out, const FaultKind& kind) { return out << kind.name; }

std::span<const FaultKind> FaultKinds() { return kKinds; }

std::ostream& operator<<(std::ostream& out, const FaultPlan& plan) {
  if (plan.kind == nullptr) return out << "no fault";
  return out << *plan.kind << ", call " << plan.nth << (plan.for_ever ? " and all later ones" : "");
}

FaultInjector::FaultInjector(MemoryFileSystem* disk, const FaultPlan& plan)
    : disk_(disk), plan_(plan), file_system_(disk) {}

void FaultInjector::Begin() {
  file_system_.SetObserver([this](const FileCall& call) { Observe(call); });
  if (plan_.kind == nullptr || plan_.kind->drops_pages) return;
  file_system_.AddRule({.operation = plan_.kind->operation,
                        .nth = plan_.nth,
                        .for_ever = plan_.for_ever,
                        .status = StatusOf(*plan_.kind, "the disk"),
                        .after_effect = plan_.kind->after_effect,
                        .partial_bytes = plan_.kind->partial_bytes});
}

void FaultInjector::End() {
  file_system_.SetObserver(nullptr);
  file_system_.ClearRules();
}

void FaultInjector::Observe(const FileCall& call) {
  const uint64_t count = ++calls_[static_cast<size_t>(call.operation)];
  if (plan_.kind == nullptr || plan_.kind->operation != call.operation || count < plan_.nth) return;
  if (count == plan_.nth) failed_path_ = call.path;
  if (!plan_.kind->drops_pages || (count > plan_.nth && !plan_.for_ever)) return;
  disk_->FailNextSync(std::string(call.path), StatusOf(*plan_.kind, call.path));
  ++dropped_syncs_;
}

uint64_t FaultInjector::fired() const {
  return plan_.kind == nullptr || plan_.kind->drops_pages ? dropped_syncs_ : file_system_.faults_fired();
}

FaultOutcome FaultInjector::outcome() const { return {.calls = calls_, .fired = fired()}; }

void ForEveryFault(std::string_view workload, const FaultShare& share,
                   const std::function<FaultOutcome(const FaultPlan& plan)>& run) {
  FaultOutcome undisturbed;
  {
    SCOPED_TRACE(fmt::format("{}: no fault", workload));
    undisturbed = run({});
    if (::testing::Test::HasFailure()) return;
  }
  std::map<std::string_view, Tally> tallies;
  uint64_t number = share.seed;
  for (const FaultKind& kind : FaultKinds()) {
    const uint64_t calls = undisturbed.calls[static_cast<size_t>(kind.operation)];
    if (calls == 0) continue;
    Tally& tally = tallies[kind.name];
    tally.of = 2 * calls;
    for (uint64_t draw = 0; draw < tally.of; ++draw) {
      const FaultPlan plan{.kind = &kind, .nth = draw / 2 + 1, .for_ever = draw % 2 == 1};
      const bool always = draw == share.seed % tally.of;
      if (++number % share.one_in != 0 && !always) continue;
      SCOPED_TRACE(::testing::Message() << workload << ": " << plan);
      const FaultOutcome outcome = run(plan);
      if (::testing::Test::HasFailure()) return;
      ASSERT_GT(outcome.fired, 0u) << "the call was never made";
      ++tally.runs;
      tally.fired += outcome.fired;
    }
  }
  for (size_t operation = 0; operation < undisturbed.calls.size(); ++operation) {
    if (undisturbed.calls[operation] == 0) continue;
    const auto is_of = [&](const FaultKind& kind) { return static_cast<size_t>(kind.operation) == operation; };
    ASSERT_TRUE(std::ranges::any_of(FaultKinds(), is_of)) << "operation " << operation << " never failed";
    for (const FaultKind& kind : FaultKinds()) ASSERT_TRUE(!is_of(kind) || tallies[kind.name].fired > 0) << kind;
  }
  Report(workload, share, tallies);
}

}  // namespace varve::testing_support
