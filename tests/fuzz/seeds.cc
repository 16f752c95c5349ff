#include "fuzz/seeds.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "fuzz/log_directory.h"
#include "varve/record_batch.h"

namespace varve::fuzz {
namespace {

namespace fs = std::filesystem;

const fs::path kTests = VARVE_TEST_DATA;
// More than any decoder needs to be led everywhere; the fuzzer goes through thousands of these in a second.
constexpr size_t kLargestSeedBytes = 16 << 10;
constexpr size_t kBatchesOfALog = 4;

std::string ReadText(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::byte> Copy(std::span<const std::byte> bytes) { return {bytes.begin(), bytes.end()}; }

void AddBatches(const std::string& name, std::string_view log, Seeds* seeds) {
  std::span<const std::byte> rest = internal::AsBytes(log);
  RecordBatchView batch;
  for (size_t count = 0; count < kBatchesOfALog && NextBatch(&rest, &batch); ++count) {
    if (batch.size_bytes() > kLargestSeedBytes) continue;
    seeds->emplace(name + "@" + std::to_string(batch.base_offset()), Copy(batch.bytes()));
  }
}

void AddDirectory(const fs::path& directory, Seeds* seeds) {
  DirectoryFiles files;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    files[entry.path().filename()] = ReadText(entry.path());
  }
  std::vector<std::byte> input = EncodeDirectory(files);
  if (input.size() <= 4 * kLargestSeedBytes) seeds->emplace(directory.filename(), std::move(input));
}

const std::vector<std::string_view>& Lines() {
  static const std::vector<std::string_view> lines = {"{\"value\":\"v\"}",
                                                      "{\"key\":null,\"value\":null,\"timestamp\":1700000000000}",
                                                      "{\"key\":\"k\",\"value_base64\":\"AAEC\",\"headers\":[{\"key\":"
                                                      "\"h\",\"value\":\"x\"},{\"key\":\"n\",\"value\":null}]}",
                                                      "key:value",
                                                      "2024-02-29 23:59:59 a line of a log",
                                                      ""};
  return lines;
}

// See DecodeCommandLine, and CommandDirectory for the names.
const std::vector<std::string_view>& CommandLines() {
  static const std::vector<std::string_view> lines = {
      "append\norders-0\nlines.txt\n--ack=durable\n--compression\nzstd\n--json",
      "append\nnew-0\n--format\njsonl\n--batch-records=2\n--segment-bytes\n64KiB\n--io=write\n\n{\"key\":\"k\","
      "\"value\":\"v\"}",
      "append\norders-0\n-\n--key-separator\n:\n--timestamp-format\n%Y-%m-%d\n\n2024-02-29 k:v\n",
      "read\norders-0\n--from\n3\n--json",
      "find\norders-0\n--time\n2023-11-14T22:00:00Z",
      "stat\n.\n--json",
      "dump\ndamaged-0\n--as-opened\n--full",
      "dump\norders-0/00000000000000000000.timeindex\n--json",
      "verify\norders-0\ndamaged-0\ntorn-0",
      "repair\ntorn-0\n--on-damage=quarantine\n--all\n--json",
      "repair\ndamaged-0\n--dry-run\n--on-damage\ntruncate",
      "explain\ntorn-0",
      "truncate\norders-0\n--to=7\n--whole-batch",
      "retain\norders-0\n--retention-bytes=1KiB\n--retention-ms\n0\n--before-offset\n5\n--now=1700000000000",
      "compact\norders-0\n--delete-retention-ms=0\n--map-bytes\n1MiB\n--drop-unkeyed",
      "adopt\norders-0\n--into=kafka\n--move\n--replication-factor=1\n--retention-ms=-1",
      "export\nkafka/lines-0\n--to=exported-0\n--dry-run",
      "--version",
      "append\n--help"};
  return lines;
}

void AddTexts(const std::vector<std::string_view>& texts, Seeds* seeds) {
  for (const std::string_view text : texts) seeds->emplace(text, Copy(internal::AsBytes(text)));
}

}  // namespace

Seeds GoldenSeeds(const FuzzTarget& target) {
  Seeds seeds;
  // Of these there is none among the golden files.
  if (target.name == "record_lines" || target.name == "command_line") {
    AddTexts(target.name == "record_lines" ? Lines() : CommandLines(), &seeds);
    return seeds;
  }
  if (target.name == "partition_metadata") {
    seeds.emplace("one", Copy(internal::AsBytes("version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAQ")));
    return seeds;
  }
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(kTests / "golden")) {
    const std::string name = entry.path().filename();
    if (target.name == "log_directory") {
      if (entry.is_directory() && name.find('-') != std::string::npos &&
          fs::exists(entry.path() / "leader-epoch-checkpoint")) {
        AddDirectory(entry.path(), &seeds);
      }
      continue;
    }
    const bool wanted =
        std::any_of(target.seed_endings.begin(), target.seed_endings.end(),
                    [&name](std::string_view ending) { return std::string_view(name).ends_with(ending); });
    if (!wanted || !entry.is_regular_file()) continue;
    const std::string label = entry.path().parent_path().filename().string() + "-" + name;
    const std::string content = ReadText(entry.path());
    if (name.ends_with(".log")) {
      AddBatches(label, content, &seeds);
    } else if (content.size() <= kLargestSeedBytes) {
      seeds.emplace(label, Copy(internal::AsBytes(content)));
    }
  }
  return seeds;
}

Seeds FoundInputs(const FuzzTarget& target) {
  Seeds found;
  const fs::path directory = kTests / "fuzz" / "found" / target.name;
  if (!fs::exists(directory)) return found;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    found.emplace(entry.path().filename(), Copy(internal::AsBytes(ReadText(entry.path()))));
  }
  return found;
}

}  // namespace varve::fuzz
