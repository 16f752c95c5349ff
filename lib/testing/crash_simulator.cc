#include "varve/testing/crash_simulator.h"

#include <array>
#include <atomic>
#include <random>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/status.h"
#include "fmt/format.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace internal {

// What all machines of a simulator share.
struct CrashTrials {
  CrashTrials(const CrashSimulatorOptions& simulator_options, CrashSimulator::Check state_check)
      : options(simulator_options), check(std::move(state_check)) {}

  const CrashSimulatorOptions options;
  const CrashSimulator::Check check;
  std::atomic<uint64_t> point_count{0};
  std::atomic<uint64_t> state_count{0};
  std::atomic<bool> failed{false};
  absl::Mutex mutex;
  absl::Status failure ABSL_GUARDED_BY(mutex);

  void Fail(const CrashState& state, const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex) {
    const absl::MutexLock lock(&mutex);
    if (failed.exchange(true)) return;
    failure = Error(status.code(), "seed {}, state {}, {}, {}: {}", options.seed, state.id,
                    state.rebooted ? "power lost" : "process killed", state.point, std::string(status.message()));
  }
};

namespace {

enum class Loss { kAllUnsynced, kRandom, kNothing, kProcess };

// Mostly what no order explains, now and then the extremes.
constexpr std::array<Loss, 12> kLosses = {Loss::kRandom,      Loss::kRandom,      Loss::kRandom,  Loss::kRandom,
                                          Loss::kRandom,      Loss::kRandom,      Loss::kRandom,  Loss::kNothing,
                                          Loss::kAllUnsynced, Loss::kAllUnsynced, Loss::kProcess, Loss::kProcess};

const char* NameOf(FileOperation operation) {
  switch (operation) {
    case FileOperation::kOpen:
      return "creation";
    case FileOperation::kRead:
      return "read";
    case FileOperation::kWrite:
      return "write";
    case FileOperation::kTruncate:
      return "change of the size";
    case FileOperation::kAllocate:
      return "allocation";
    case FileOperation::kSync:
      return "sync";
    case FileOperation::kMap:
      return "mapping";
    case FileOperation::kPopulate:
      return "populating a window";
    case FileOperation::kCopy:
      return "copy";
    case FileOperation::kSend:
      return "sending";
    case FileOperation::kInfo:
      return "information";
    case FileOperation::kRename:
      return "renaming";
    case FileOperation::kRemove:
      return "removal";
    case FileOperation::kCreateDirectory:
      return "creation of the directory";
    case FileOperation::kList:
      return "list";
    case FileOperation::kSyncDirectory:
      return "sync of the names";
    case FileOperation::kLock:
      return "lock";
  }
  return "operation";
}

std::string Describe(const FileCall& call) {
  std::string text = fmt::format("{} of {}", NameOf(call.operation), call.path);
  if (!call.other_path.empty()) text += fmt::format(" to {}", call.other_path);
  return text;
}

uint64_t HashOf(uint64_t seed, std::string_view id) {
  constexpr uint64_t kFnvPrime = 1099511628211U;
  uint64_t hash = 14695981039346656037U ^ seed;
  for (const char character : id) hash = (hash ^ static_cast<unsigned char>(character)) * kFnvPrime;
  return hash;
}

// Random numbers that the seed and the id of a state decide, whatever else was tried.
std::mt19937_64 RandomOf(uint64_t seed, std::string_view id) { return std::mt19937_64(HashOf(seed, id)); }

// One in `one_in` is, as the seed and the id decide. Asked at every point, where a whole generator would be dear.
bool IsDrawn(uint64_t seed, std::string_view id, int one_in) {
  uint64_t bits = HashOf(seed, id);
  // The finish of SplitMix64: every bit of the hash counts for every bit of the result.
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9U;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebU;
  return (bits ^ (bits >> 31)) % static_cast<uint64_t>(one_in) == 0;
}

}  // namespace

// One disk and what runs on it, between two crashes.
class SimulatedMachine {
 public:
  // `prefix` begins the ids of the states that crashes of this machine leave.
  SimulatedMachine(std::shared_ptr<CrashTrials> trials, std::unique_ptr<MemoryFileSystem> disk, std::string prefix,
                   int depth, bool power_lost)
      : trials_(std::move(trials)),
        prefix_(std::move(prefix)),
        depth_(depth),
        power_lost_(power_lost),
        disk_(std::move(disk)),
        file_system_(disk_.get()) {
    if (depth_ <= trials_->options.max_depth) {
      file_system_.SetObserver([this](const FileCall& call) {
        if (call.changes) Crash([&] { return Describe(call); });
      });
    }
  }

  ~SimulatedMachine() { file_system_.SetObserver(nullptr); }
  SimulatedMachine(const SimulatedMachine&) = delete;
  SimulatedMachine& operator=(const SimulatedMachine&) = delete;

  [[nodiscard]] FaultyFileSystem* file_system() { return &file_system_; }
  [[nodiscard]] MemoryFileSystem* disk() { return disk_.get(); }

  // Tries a crash here and now; `where` is called for a text only if anybody is to read it.
  template <typename Where>
  void Crash(Where where) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    if (!running_ || trials_->failed.load()) return;
    const std::string point_id = fmt::format("{}{}", prefix_, ++point_count_);
    if (!IsWanted(point_id)) return;
    ++trials_->point_count;
    const std::string point = where();
    const int states = depth_ == 0 ? trials_->options.states_per_point : 1;
    for (int number = 0; number < states && !trials_->failed.load(); ++number) {
      const std::string id = fmt::format("{}.{}", point_id, number);
      if (IsOnTheWay(id)) Try(id, point);
    }
  }

  // Nothing that runs on this machine any more is crashed.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    running_ = false;
  }

 private:
  [[nodiscard]] bool IsOnTheWay(const std::string& id) const {
    const std::optional<std::string>& only = trials_->options.only_id;
    if (!only.has_value()) return true;
    if (!only->starts_with(id)) return false;
    return only->size() == id.size() || (*only)[id.size()] == '/';
  }

  [[nodiscard]] bool IsWanted(const std::string& point_id) const {
    const CrashSimulatorOptions& options = trials_->options;
    if (options.only_id.has_value()) return options.only_id->starts_with(point_id + ".");
    const int one_in = depth_ == 0 ? options.point_one_in : options.nested_point_one_in;
    return IsDrawn(options.seed, point_id, one_in);
  }

  void Try(const std::string& id, const std::string& point) {
    std::mt19937_64 random = RandomOf(trials_->options.seed, id);
    const Loss loss = kLosses[random() % kLosses.size()];
    std::unique_ptr<MemoryFileSystem> found;
    switch (loss) {
      case Loss::kProcess:
        found = disk_->CloneAfterProcessDeath();
        break;
      case Loss::kAllUnsynced:
        found = disk_->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
        break;
      case Loss::kNothing:
        found = disk_->CloneAfterCrash({.mode = CrashMode::kKeepAll});
        break;
      case Loss::kRandom:
        found = disk_->CloneAfterCrash({.seed = random(), .mode = CrashMode::kRandom});
        break;
    }
    const bool power_lost = power_lost_ || loss != Loss::kProcess;
    SimulatedMachine after(trials_, std::move(found), id + "/", depth_ + 1, power_lost);
    const CrashState state{.file_system = after.file_system(),
                           .disk = after.disk(),
                           .power_lost = power_lost,
                           .rebooted = loss != Loss::kProcess,
                           .depth = depth_,
                           .id = id,
                           .point = point};
    ++trials_->state_count;
    if (const absl::Status status = trials_->check(state); !status.ok()) trials_->Fail(state, status);
  }

  const std::shared_ptr<CrashTrials> trials_;
  const std::string prefix_;
  const int depth_;
  const bool power_lost_;
  const std::unique_ptr<MemoryFileSystem> disk_;
  FaultyFileSystem file_system_;
  absl::Mutex mutex_;
  bool running_ ABSL_GUARDED_BY(mutex_) = true;
  uint64_t point_count_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace internal

using internal::SimulatedMachine;

CrashSimulator::CrashSimulator(const CrashSimulatorOptions& options, Check check)
    : trials_(std::make_shared<internal::CrashTrials>(options, std::move(check))) {
  Replace(std::make_unique<MemoryFileSystem>(options.disk));
}

CrashSimulator::~CrashSimulator() = default;

FileSystem* CrashSimulator::file_system() const { return machines_.back()->file_system(); }

MemoryFileSystem* CrashSimulator::disk() const { return machines_.back()->disk(); }

void CrashSimulator::CrashHere(std::string_view where) {
  machines_.back()->Crash([&] { return std::string(where); });
}

void CrashSimulator::CutPower() {
  const std::string id = fmt::format("life {}", machines_.size());
  std::mt19937_64 random = internal::RandomOf(trials_->options.seed, id);
  Replace(disk()->CloneAfterCrash({.seed = random()}));
}

void CrashSimulator::KillProcess() { Replace(disk()->CloneAfterProcessDeath()); }

void CrashSimulator::Replace(std::unique_ptr<MemoryFileSystem> found) {
  if (!machines_.empty()) machines_.back()->Stop();
  const std::string prefix = machines_.empty() ? "" : fmt::format("{}:", machines_.size());
  machines_.push_back(std::make_unique<SimulatedMachine>(trials_, std::move(found), prefix, /*depth=*/0,
                                                         /*power_lost=*/false));
}

uint64_t CrashSimulator::point_count() const { return trials_->point_count.load(); }

uint64_t CrashSimulator::state_count() const { return trials_->state_count.load(); }

absl::Status CrashSimulator::status() const {
  const absl::MutexLock lock(&trials_->mutex);
  return trials_->failure;
}

}  // namespace varve
