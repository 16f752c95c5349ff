#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <vector>

#include "store.h"

namespace varve::bench {

namespace {

namespace fs = std::filesystem;
using Values = std::vector<double>;

constexpr int64_t kThreads = 16;
constexpr int64_t kRecordBytes = kKeyBytes + kValueBytes;

int64_t NowNs() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double Since(int64_t begin_ns) { return static_cast<double>(NowNs() - begin_ns); }

double At(std::vector<double>* values, double share) {
  const auto rank = std::max<size_t>(static_cast<size_t>(std::ceil(share * static_cast<double>(values->size()))), 1);
  std::nth_element(values->begin(), values->begin() + static_cast<std::ptrdiff_t>(rank - 1), values->end());
  return (*values)[rank - 1];
}

uint64_t Below(uint64_t end, uint64_t* state) {
  *state = *state * 6364136223846793005U + 1442695040888963407U;
  return ((*state >> 32U) * end) >> 32U;
}

// What the files take of the disk, holes left out.
int64_t SpaceOf(const std::string& directory) {
  constexpr int64_t kBlockBytes = 512;
  int64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    struct stat info = {};
    if (::lstat(entry.path().c_str(), &info) != 0) Fail("lstat " + entry.path().string());
    if (entry.is_regular_file()) bytes += info.st_blocks * kBlockBytes;
  }
  return bytes;
}

// Holes stay holes: LMDB's file is as large as its map.
void CopyDirectory(const std::string& source, const std::string& target) {
  const std::string command = "cp --recursive --sparse=always -- '" + source + "' '" + target + "'";
  if (std::system(command.c_str()) != 0) Fail(command);
}

class Works {
 public:
  Works(const Peer& peer, std::string directory, std::map<std::string, int64_t> sizes)
      : peer_(peer), directory_(std::move(directory)), sizes_(std::move(sizes)) {}

  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> names = {"append.one_by_one",       "append.tail",
                                      "append.batches_of_100",   "append.batches_of_1_MiB",
                                      "durable.one_thread",      "lookup.offset.equal_records",
                                      "scan.one_record_batches", "open.one_record_batches",
                                      "space.one_record_batches"};
    if (peer_.many_writers) names.emplace_back("durable.16_threads");
    return names;
  }

  // One round. Absent: there is no such work.
  std::optional<Values> Run(const std::string& work) {
    if (work != prepared_for_) Forget();
    if (work == "append.one_by_one") return AppendOneByOne();
    if (work == "append.tail") return AppendTail();
    if (work == "append.batches_of_100") return AppendBatches(100);
    if (work == "append.batches_of_1_MiB") return AppendBatches((1 << 20) / kRecordBytes);
    if (work == "durable.one_thread") return DurableOneThread();
    if (work == "durable.16_threads" && peer_.many_writers) return DurableThreads();
    if (work == "lookup.offset.equal_records") return Lookup(work);
    if (work == "scan.one_record_batches") return Scan(work);
    if (work == "open.one_record_batches") return OpenUnclean(work);
    if (work == "space.one_record_batches") return Space();
    return std::nullopt;
  }

  void Forget() {
    prepared_.reset();
    prepared_for_.clear();
    fs::remove_all(directory_ + "/prepared");
    fs::remove_all(directory_ + "/round");
  }

 private:
  [[nodiscard]] int64_t size(const std::string& name) const {
    const auto found = sizes_.find(name);
    if (found == sizes_.end()) Fail("no size " + name);
    return found->second;
  }

  // As many records as a log of one-record batches of this size has.
  [[nodiscard]] int64_t log_records() const { return std::max<int64_t>(size("log_bytes") / 179, 1); }

  std::unique_ptr<Store> OpenFresh(Durability durability) {
    const std::string directory = directory_ + "/round";
    fs::remove_all(directory);
    fs::create_directories(directory);
    ::sync();
    return peer_.open(directory, durability);
  }

  static void CheckHolds(Store* store, int64_t count) {
    for (const int64_t number : {int64_t{0}, count / 2, count - 1}) store->Read(number);
  }

  Values AppendOneByOne() {
    const int64_t records = size("append_records");
    const auto store = OpenFresh(Durability::kProcess);
    const int64_t begin_ns = NowNs();
    for (int64_t number = 0; number < records; ++number) store->Append(number, 1);
    const double ns = Since(begin_ns) / static_cast<double>(records);
    CheckHolds(store.get(), records);
    return {ns};
  }

  Values AppendTail() {
    const int64_t records = size("append_records");
    const auto store = OpenFresh(Durability::kProcess);
    std::vector<double> took_ns;
    took_ns.reserve(static_cast<size_t>(records));
    int64_t before_ns = NowNs();
    for (int64_t number = 0; number < records; ++number) {
      store->Append(number, 1);
      const int64_t now_ns = NowNs();
      took_ns.push_back(static_cast<double>(now_ns - before_ns));
      before_ns = now_ns;
    }
    return {At(&took_ns, 0.5), At(&took_ns, 0.99), At(&took_ns, 0.999), At(&took_ns, 1)};
  }

  // GB/s of keys and values.
  Values AppendBatches(int64_t batch_records) {
    const int64_t batches = std::max<int64_t>(size("append_bytes") / (batch_records * kRecordBytes), 1);
    const auto store = OpenFresh(Durability::kProcess);
    const int64_t begin_ns = NowNs();
    for (int64_t batch = 0; batch < batches; ++batch) store->Append(batch * batch_records, batch_records);
    const double rate = static_cast<double>(batches * batch_records * kRecordBytes) / Since(begin_ns);
    CheckHolds(store.get(), batches * batch_records);
    return {rate};
  }

  Values DurableOneThread() {
    const int64_t appends = size("durable_appends");
    const auto store = OpenFresh(Durability::kPower);
    std::vector<double> took_us;
    for (int64_t number = 0; number < appends; ++number) {
      const int64_t begin_ns = NowNs();
      store->Append(number, 1);
      took_us.push_back(Since(begin_ns) / 1e3);
    }
    CheckHolds(store.get(), appends);
    return {At(&took_us, 0.5), At(&took_us, 0.99)};
  }

  Values DurableThreads() {
    const int64_t each = std::max<int64_t>(size("shared_appends") / kThreads, 1);
    const auto store = OpenFresh(Durability::kPower);
    std::vector<std::jthread> threads;
    const int64_t begin_ns = NowNs();
    for (int64_t thread = 0; thread < kThreads; ++thread) {
      threads.emplace_back([&store, thread, each] {
        for (int64_t number = thread * each; number < (thread + 1) * each; ++number) store->Append(number, 1);
      });
    }
    threads.clear();
    const double rate = static_cast<double>(each * kThreads) * 1e9 / Since(begin_ns);
    CheckHolds(store.get(), each * kThreads);
    return {rate};
  }

  Store* Prepared(const std::string& work) {
    if (!prepared_) {
      constexpr int64_t kBatch = 1'000;
      const std::string directory = directory_ + "/prepared";
      fs::create_directories(directory);
      prepared_ = peer_.open(directory, Durability::kProcess);
      for (int64_t number = 0; number < log_records(); number += kBatch) {
        prepared_->Append(number, std::min(kBatch, log_records() - number));
      }
      prepared_for_ = work;
    }
    return prepared_.get();
  }

  Values Lookup(const std::string& work) {
    Store* const store = Prepared(work);
    const int64_t lookups = size("lookups");
    uint64_t state = ++seed_;
    const int64_t begin_ns = NowNs();
    for (int64_t lookup = 0; lookup < lookups; ++lookup) {
      store->Read(static_cast<int64_t>(Below(static_cast<uint64_t>(log_records()), &state)));
    }
    return {Since(begin_ns) / static_cast<double>(lookups)};
  }

  Values Scan(const std::string& work) {
    Store* const store = Prepared(work);
    const int64_t begin_ns = NowNs();
    if (store->Scan() != log_records()) Fail("records are missing");
    return {static_cast<double>(log_records() * kRecordBytes) / Since(begin_ns)};
  }

  // A copy of the files while they are open is what an unclean stop leaves.
  Values OpenUnclean(const std::string& work) {
    (void)Prepared(work);
    const std::string copy = directory_ + "/round";
    fs::remove_all(copy);
    CopyDirectory(directory_ + "/prepared", copy);
    ::sync();
    const int64_t begin_ns = NowNs();
    const auto store = peer_.open(copy, Durability::kProcess);
    CheckHolds(store.get(), log_records());
    const double none = std::nan("");
    return {Since(begin_ns) / 1e6, none, none};
  }

  Values Space() {
    const int64_t records = size("codec_bytes") / kRecordBytes;
    auto store = OpenFresh(Durability::kProcess);
    for (int64_t number = 0; number < records; ++number) store->Append(number, 1);
    store.reset();
    const double none = std::nan("");
    return {static_cast<double>(SpaceOf(directory_ + "/round")) / static_cast<double>(records) -
                static_cast<double>(kRecordBytes),
            none};
  }

  const Peer& peer_;
  const std::string directory_;
  const std::map<std::string, int64_t> sizes_;
  std::unique_ptr<Store> prepared_;
  std::string prepared_for_;
  uint64_t seed_ = 0;
};

}  // namespace

void Fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  std::_Exit(3);
}

NumberedRecord::NumberedRecord(int64_t number) {
  const uint64_t big_endian = __builtin_bswap64(static_cast<uint64_t>(number));
  static_assert(std::endian::native == std::endian::little);
  std::memcpy(key_.data(), &big_endian, key_.size());
  value_.fill('v');
  std::memcpy(value_.data(), &number, sizeof(number));
}

void CheckValue(int64_t number, std::string_view key, std::string_view value) {
  const NumberedRecord record(number);
  if (key != record.key() || value != record.value()) Fail("another record than " + std::to_string(number));
}

int Serve(int argc, char** argv, const Peer& peer) {
  if (argc < 2) Fail("a directory expected, then sizes: NAME=NUMBER");
  std::map<std::string, int64_t> sizes;
  for (int index = 2; index < argc; ++index) {
    const std::string argument = argv[index];
    const size_t equals = argument.find('=');
    if (equals == std::string::npos) Fail("NAME=NUMBER expected, found " + argument);
    sizes[argument.substr(0, equals)] = std::atoll(argument.c_str() + equals + 1);
  }
  Works works(peer, argv[1], std::move(sizes));
  std::cout << nlohmann::json{{"subject", peer.name},
                              {"version", peer.version},
                              {"works", works.names()},
                              {"process_durability", peer.process_durability},
                              {"power_durability", peer.power_durability}}
            << std::endl;
  for (std::string work; std::getline(std::cin, work);) {
    const auto values = works.Run(work);
    if (!values) Fail("there is no work " + work);
    nlohmann::json numbers = nlohmann::json::array();
    for (const double value : *values) numbers.push_back(std::isnan(value) ? nlohmann::json() : nlohmann::json(value));
    std::cout << nlohmann::json{{"work", work}, {"round", {{{"subject", peer.name}, {"values", numbers}}}}}
              << std::endl;
  }
  works.Forget();
  return 0;
}

}  // namespace varve::bench
