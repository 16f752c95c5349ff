#include "fuzz/command_directory.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>

#include "fuzz/fuzz_target.h"
#include "varve/log.h"
#include "varve/testing/manual_clock.h"

// Where a sanitizer writes what it found; absent without one.
extern "C" __attribute__((weak)) void __sanitizer_set_report_fd(void* descriptor);

namespace varve::fuzz {
namespace {

namespace fs = std::filesystem;

constexpr char kWork[] = "work";          // where commands run
constexpr char kTemplate[] = "template";  // what it is filled with

// In memory, if the system has such a directory: commands sync what they write.
std::string MakeRoot() {
  const fs::path shared_memory = "/dev/shm";
  const bool in_memory = ::access(shared_memory.c_str(), W_OK) == 0;
  std::string root = (in_memory ? shared_memory : fs::temp_directory_path()) / "varve-fuzz-XXXXXX";
  Require(::mkdtemp(root.data()) != nullptr, "a temporary directory");
  return root;
}

void WriteText(const fs::path& path, std::string_view text) {
  std::ofstream file(path, std::ios::binary);
  Require(bool(file.write(text.data(), static_cast<std::streamsize>(text.size())).flush()), "a file to be written");
}

// Closed cleanly, of a few segments.
void MakePartition(const fs::path& directory) {
  ManualClock clock(1'700'000'000'000, 1'000'000'000'000);
  LogOptions options;
  options.clock = &clock;
  options.io_mode = IoMode::kWrite;
  options.segment_bytes = 512;
  options.index_interval_bytes = 100;
  const auto log = Log::Open(directory, options);
  Require(log.ok(), log.status().ToString());
  for (int64_t number = 0; number < 20; ++number) {
    const std::string key = "key " + std::to_string(number % 3);
    const std::string value = "value " + std::to_string(number);
    Require((*log)->Append({{.key = key, .value = value, .timestamp_ms = 1'699'999'000'000 + number}}).ok(),
            "an append");
  }
  Require((*log)->Close().ok(), "a log to be closed");
}

void MakeTemplate(const fs::path& root) {
  fs::create_directories(root / "kafka/lines-0");
  MakePartition(root / "orders-0");
  fs::copy(root / "orders-0", root / "torn-0", fs::copy_options::recursive);
  fs::remove(root / "torn-0/varve.state");
  std::ofstream(root / "torn-0/00000000000000000020.log", std::ios::app) << "the beginning of a batch";
  fs::copy(root / "orders-0", root / "damaged-0", fs::copy_options::recursive);
  std::fstream(root / "damaged-0/00000000000000000000.log").seekp(200) << "damage";
  WriteText(root / "lines.txt", "one\ntwo\n");
  WriteText(root / "kafka/meta.properties", "node.id=7\nversion=1\ncluster.id=ab\n");
  WriteText(root / "kafka/.lock", "");
  WriteText(root / "kafka/.kafka_cleanshutdown", "{\"version\":0,\"brokerEpoch\":9}");
  WriteText(root / "kafka/recovery-point-offset-checkpoint", "0\n1\norders 0 0\n");
  WriteText(root / "kafka/replication-offset-checkpoint", "0\n1\norders 0 0\n");
  for (const char* const partition : {"kafka/orders-0", "kafka/lines-0"}) {
    fs::create_directories(root / partition);
    for (const char* const suffix : {"log", "index", "timeindex"}) {
      WriteText(root / partition / ("00000000000000000000." + std::string(suffix)), "");
    }
    WriteText(root / partition / "leader-epoch-checkpoint", "0\n1\n2 0\n");
    WriteText(root / partition / "partition.metadata", "version: 0\ntopic_id: 4L6g3nShT-eMCtK--X86sw");
  }
}

// Those that commands catch.
constexpr std::array kSignals = {SIGINT, SIGTERM};

// The three streams are these for as long as it lives, and the working directory another.
class Elsewhere {
 public:
  Elsewhere(const std::string& directory, std::string_view standard_input)
      : before_(::open(".", O_RDONLY | O_CLOEXEC)) {
    for (int stream = 0; stream < 3; ++stream) streams_[static_cast<size_t>(stream)] = ::dup(stream);
    if (__sanitizer_set_report_fd != nullptr) {
      __sanitizer_set_report_fd(reinterpret_cast<void*>(static_cast<intptr_t>(streams_[2])));
    }
    const int input = ::memfd_create("standard input", MFD_CLOEXEC);
    const auto size = static_cast<ssize_t>(standard_input.size());
    Require(::pwrite(input, standard_input.data(), standard_input.size(), 0) == size, "standard input");
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    Require(::dup2(input, 0) == 0 && ::dup2(nowhere, 1) == 1 && ::dup2(nowhere, 2) == 2, "streams");
    ::close(input);
    ::close(nowhere);
    for (size_t number = 0; number < kSignals.size(); ++number) {
      ::sigaction(kSignals[number], nullptr, &actions_[number]);
    }
    Require(before_ >= 0 && ::chdir(directory.c_str()) == 0, "a working directory");
  }
  ~Elsewhere() {
    std::cout.flush();
    std::fflush(stdout);
    for (int stream = 0; stream < 3; ++stream) {
      ::dup2(streams_[static_cast<size_t>(stream)], stream);
      ::close(streams_[static_cast<size_t>(stream)]);
    }
    if (__sanitizer_set_report_fd != nullptr) __sanitizer_set_report_fd(reinterpret_cast<void*>(intptr_t{2}));
    for (size_t number = 0; number < kSignals.size(); ++number) {
      ::sigaction(kSignals[number], &actions_[number], nullptr);
    }
    Require(::fchdir(before_) == 0, "the working directory of before");
    ::close(before_);
  }
  Elsewhere(const Elsewhere&) = delete;
  Elsewhere& operator=(const Elsewhere&) = delete;

 private:
  int before_;
  std::array<int, 3> streams_ = {};
  std::array<struct sigaction, kSignals.size()> actions_ = {};
};

}  // namespace

CommandDirectory::CommandDirectory() : root_(MakeRoot()) {
  fs::create_directory(fs::path(root_) / kTemplate);
  MakeTemplate(fs::path(root_) / kTemplate);
  Refill();
}

CommandDirectory::~CommandDirectory() {
  std::error_code error;
  fs::remove_all(root_, error);
}

void CommandDirectory::Refill() {
  const fs::path work = fs::path(root_) / kWork;
  fs::remove_all(work);
  fs::copy(fs::path(root_) / kTemplate, work, fs::copy_options::recursive);
  filled_ = Look();
}

CommandDirectory::Stamps CommandDirectory::Look() const {
  Stamps stamps;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(fs::path(root_) / kWork)) {
    const bool is_file = entry.is_regular_file();
    stamps[entry.path()] = {is_file ? entry.file_size() : 0,
                            is_file ? entry.last_write_time().time_since_epoch().count() : 0};
  }
  return stamps;
}

bool CommandDirectory::Run(std::string_view standard_input, const std::function<void()>& work) {
  {
    const Elsewhere elsewhere(root_ + "/" + kWork, standard_input);
    work();
  }
  for (const fs::directory_entry& entry : fs::directory_iterator(root_)) {
    const std::string name = entry.path().filename();
    Require(name == kWork || name == kTemplate, "nothing beside the directory, and found " + name);
  }
  if (Look() == filled_) return false;
  Refill();
  return true;
}

}  // namespace varve::fuzz
