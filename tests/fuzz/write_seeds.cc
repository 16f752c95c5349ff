// fuzz_seeds DIRECTORY: writes the seeds of every target, and what was found, to DIRECTORY/TARGET, as libFuzzer reads
// them.
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

#include "fuzz/fuzz_target.h"
#include "fuzz/seeds.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: fuzz_seeds DIRECTORY\n", stderr);
    return 2;
  }
  for (const varve::fuzz::FuzzTarget& target : varve::fuzz::FuzzTargets()) {
    const std::filesystem::path directory = std::filesystem::path(argv[1]) / target.name;
    std::filesystem::create_directories(directory);
    size_t number = 0;
    for (const auto& seeds : {varve::fuzz::GoldenSeeds(target), varve::fuzz::FoundInputs(target)}) {
      for (const auto& [name, input] : seeds) {
        std::ofstream file(directory / std::to_string(number++), std::ios::binary);
        file.write(reinterpret_cast<const char*>(input.data()), static_cast<std::streamsize>(input.size()));
        if (!file.flush()) {
          std::fprintf(stderr, "%s: cannot be written\n", directory.c_str());
          return 1;
        }
      }
    }
  }
  return 0;
}
