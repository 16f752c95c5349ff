// Measures varve beside the limits of the machine, in interleaved rounds of one run.
//
//   build/bench/varve_bench                         a quick try of every work
//   build/bench/varve_bench --full --rounds 7       the sizes of the report
//   build/bench/varve_bench --work lookup           the works whose names contain that
//   build/bench/varve_bench --set log_bytes=4294967296 --work scan
//   build/bench/varve_bench --json measurements.jsonl
//   build/bench/varve_bench --serve                 a round of a work for each line read, for a program that compares several
//
// Each subject of a work runs once a round; a round before the first one warms up and does not count. A line a result:
// the median of the rounds, the least and the most, and the ratio of the median to that of each limit.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "driver/failure.h"
#include "driver/report.h"
#include "driver/rounds.h"
#include "driver/sizes.h"
#include "driver/work.h"

namespace varve::bench {

namespace {

namespace fs = std::filesystem;

struct Asked {
  std::string directory = fs::temp_directory_path();
  int64_t rounds = 5;
  bool full = false;
  bool tiny = false;
  bool list = false;
  bool serve = false;
  std::vector<std::string> works;
  std::vector<std::string> sizes;
  std::string json;
};

// Below the directory that was asked for, and removed with all it holds.
class OwnDirectory {
 public:
  explicit OwnDirectory(const std::string& parent)
      : path_(fmt::format("{}/varve-bench-{}", parent, static_cast<int64_t>(::getpid()))) {
    std::error_code error;
    if (!fs::create_directories(path_, error)) Fail("making " + path_);
  }
  ~OwnDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  OwnDirectory(const OwnDirectory&) = delete;
  OwnDirectory& operator=(const OwnDirectory&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  const std::string path_;
};

Sizes SizesOf(const Asked& asked) {
  Sizes sizes = asked.full ? Sizes::Full() : asked.tiny ? Sizes::Tiny() : Sizes::Quick();
  for (const std::string& one : asked.sizes) {
    const size_t equals = std::min(one.find('='), one.size());
    if (!sizes.Set(one.substr(0, equals), std::atoll(one.c_str() + std::min(equals + 1, one.size())))) {
      Fail("no size can be set by " + one);
    }
  }
  return sizes;
}

// In the order of the report.
std::vector<WorkMaker> WorksOf(const Asked& asked) {
  std::vector<WorkMaker> works;
  for (WorkMaker& maker : AllWorks()) {
    const auto is_asked = [&](const std::string& part) { return maker.name.find(part) != std::string::npos; };
    if (asked.works.empty() || std::any_of(asked.works.begin(), asked.works.end(), is_asked)) {
      works.push_back(std::move(maker));
    }
  }
  if (works.empty()) Fail("there is no such work");
  return works;
}

void Measure(const Asked& asked, const Conditions& conditions) {
  std::ofstream json;
  if (!asked.json.empty()) {
    json.open(asked.json);
    if (!json) Fail("writing " + asked.json);
  }
  for (const WorkMaker& maker : WorksOf(asked)) {
    const RoundRunner runner(maker.make(conditions), conditions.directory);
    (void)runner.RunRound();
    Results results;
    for (int64_t round = 0; round < asked.rounds; ++round) {
      for (auto& [subject, values] : runner.RunRound()) results[subject].push_back(values);
    }
    PrintTable(runner.work(), results);
    for (const nlohmann::json& one : MeasurementsOf(runner.work(), results)) json << one << std::endl;
  }
}

// What there is to measure, for the program at the other end.
nlohmann::json Introduction(const Asked& asked, const Conditions& conditions) {
  nlohmann::json introduction = {{"subject", "varve"}, {"works", nlohmann::json::array()}};
  for (const WorkMaker& maker : WorksOf(asked)) introduction["works"].push_back(FormOf(maker.make(conditions)));
  for (const auto& [name, value] : conditions.sizes.All()) introduction["sizes"][name] = value;
  return introduction;
}

// A line asks for a round of a work, and is answered by a line. What a work prepared is kept until another one is asked
// for.
void Serve(const Asked& asked, const Conditions& conditions) {
  const std::vector<WorkMaker> works = WorksOf(asked);
  std::cout << Introduction(asked, conditions) << std::endl;
  std::unique_ptr<RoundRunner> runner;
  for (std::string name; std::getline(std::cin, name);) {
    if (!runner || runner->work().name != name) {
      const auto maker =
          std::find_if(works.begin(), works.end(), [&](const WorkMaker& one) { return one.name == name; });
      if (maker == works.end()) Fail("there is no work " + name);
      runner.reset();
      runner = std::make_unique<RoundRunner>(maker->make(conditions), conditions.directory);
    }
    std::cout << RoundOf(runner->work(), runner->RunRound()) << std::endl;
  }
}

}  // namespace

std::vector<WorkMaker> AllWorks() {
  std::vector<WorkMaker> all;
  for (const auto& some : {AppendWorks(), PaceWorks(), BatchWorks(), DurableWorks(), LookupWorks(), ScanWorks(),
                           CodecWorks(), OpeningWorks(), HandOverWorks(), SpaceWorks(), GrowthWorks()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

int Main(int argc, char** argv) {
  Asked asked;
  CLI::App app{"Measures varve beside the limits of the machine, in interleaved rounds of one run."};
  app.add_option("--directory", asked.directory, "where the files go")->capture_default_str();
  app.add_option("--rounds", asked.rounds, "that count")->capture_default_str()->check(CLI::Range(1, 1000));
  app.add_option("--work", asked.works, "only the works whose names contain this; may be given again");
  app.add_option("--set", asked.sizes, "NAME=VALUE, a size; may be given again; --serve tells all");
  app.add_option("--json", asked.json, "a file for the measurements, a line of JSON each");
  auto* const full = app.add_flag("--full", asked.full, "the sizes of the report: an hour, 20 GB");
  app.add_flag("--tiny", asked.tiny, "hardly anything, to see that all runs")->excludes(full);
  auto* const list = app.add_flag("--list", asked.list, "the works, and no more");
  app.add_flag("--serve", asked.serve, "runs a round of the work that a line of the input names")->excludes(list);
  CLI11_PARSE(app, argc, argv);
  if (asked.list) {
    for (const WorkMaker& maker : WorksOf(asked)) fmt::print("{}\n", maker.name);
    return 0;
  }
  const OwnDirectory directory(asked.directory);
  const Conditions conditions{SizesOf(asked), directory.path()};
  if (asked.serve) {
    Serve(asked, conditions);
  } else {
    Measure(asked, conditions);
  }
  return 0;
}

}  // namespace varve::bench

int main(int argc, char** argv) { return varve::bench::Main(argc, argv); }
