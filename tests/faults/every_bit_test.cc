// Every bit of a log of 64 KiB and of the files beside it is turned in its turn, while nobody has the log open: after a
// clean stop, after the death of the process, and after a power loss when all of it is read anew (flipped_log.h says
// what must hold then). Of so many bits one is turned, as VARVE_BITS_SEED says; VARVE_BITS_ONE_IN=1 in the environment
// turns them all. VARVE_BITS_REPORT names a file to which a line of JSON is added for each way to stop.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/path.h"
#include "faults/flipped_log.h"
#include "faults/sound_log.h"
#include "fmt/format.h"
#include "gtest/gtest.h"
#include "record/batch_format.h"
#include "state/partition_metadata.h"
#include "support/status_matchers.h"
#include "varve/testing/manual_clock.h"
#include "varve/testing/memory_file_system.h"

namespace varve::testing_support {
namespace {

// How the log was stopped whose bits are turned.
struct Stop {
  const char* name;
  // All of it is durable then, else half.
  bool flush;
  bool close;
  bool power_lost;  // else the page cache has survived
  bool recover_all;

  friend std::ostream& operator<<(std::ostream& out, const Stop& stop) { return out << stop.name; }
};

constexpr Stop kStops[] = {
    {.name = "CleanStop", .flush = true, .close = true, .power_lost = false, .recover_all = false},
    {.name = "ProcessDied", .flush = false, .close = false, .power_lost = false, .recover_all = false},
    {.name = "PowerLost", .flush = true, .close = false, .power_lost = true, .recover_all = true},
};

uint64_t NumberOf(const char* variable, uint64_t otherwise) {
  const char* const text = std::getenv(variable);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

class EveryBitTest : public ::testing::TestWithParam<Stop> {
 protected:
  void SetUp() override {
    MemoryFileSystem disk;
    options_ = SoundOptions(&disk, &clock_, IoMode::kMapped);
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<Log> log, Log::Open(kSoundPartition, options_));
    SoundLogWriter writer(log.get());
    writer.FillTo(kSoundLogBytes / 2);
    VARVE_ASSERT_OK(log->Flush());
    writer.FillTo(kSoundLogBytes);
    const absl::Status flushed = GetParam().flush ? log->Flush() : absl::OkStatus();
    VARVE_ASSERT_OK(flushed);
    sound_ = ReadSoundLog(*log);
    ASSERT_FALSE(HasFailure());
    const absl::Status closed = GetParam().close ? log->Close() : absl::OkStatus();
    VARVE_ASSERT_OK(closed);
    left_ = GetParam().power_lost ? disk.CloneAfterCrash({.mode = CrashMode::kKeepAll}) : disk.CloneAfterProcessDeath();
    options_.file_system = left_.get();
    options_.recover_all = GetParam().recover_all;
    // What a broker would leave beside the log.
    VARVE_ASSERT_OK_AND_ASSIGN(
        const std::unique_ptr<File> metadata,
        left_->Open(internal::JoinPath(kSoundPartition, internal::kPartitionMetadataFile), OpenMode::kCreate));
    VARVE_ASSERT_OK(metadata->WriteAt(0, internal::AsBytes(internal::FormatPartitionMetadata({1, 2, 3}))));
  }

  // The files whose bits are turned, with their sizes.
  std::vector<std::pair<std::string, uint64_t>> Files() {
    std::vector<std::pair<std::string, uint64_t>> files;
    const absl::StatusOr<std::vector<std::string>> names = left_->List(kSoundPartition);
    EXPECT_THAT(names, IsOk());
    if (!names.ok()) return files;
    for (const std::string& name : *names) {
      const absl::StatusOr<FileInfo> info = left_->Info(internal::JoinPath(kSoundPartition, name));
      EXPECT_THAT(info, IsOk());
      if (info.ok()) files.emplace_back(name, info->size);
    }
    return files;
  }

  void Turn(File* file, const Flip& flip) {
    std::byte byte{};
    ASSERT_THAT(file->ReadAt(static_cast<uint64_t>(flip.position), {&byte, 1}), IsOk());
    byte ^= std::byte{1} << flip.bit;
    ASSERT_THAT(file->WriteAt(static_cast<uint64_t>(flip.position), {&byte, 1}), IsOk());
  }

  ManualClock clock_{1'700'000'000'000, 1'000'000'000'000};
  LogOptions options_;
  SoundLog sound_;
  std::unique_ptr<MemoryFileSystem> left_;
};
INSTANTIATE_TEST_SUITE_P(, EveryBitTest, ::testing::ValuesIn(kStops),
                         [](const auto& param) { return std::string(param.param.name); });

// Lengths that a single bit turns into those of other batches: of one in this batch's value, in the value behind, or of
// two batches together. Of those that go to the next batch's end the headers alone tell nothing.
TEST_P(EveryBitTest, TurnsLengthsIntoThoseThatLeadToOtherBatches) {
  int64_t into_values = 0;
  int64_t over_batches = 0;
  for (const SoundBatch& batch : sound_.batches) {
    const auto size_bytes = static_cast<int64_t>(batch.bytes.size());
    const int64_t length = size_bytes - static_cast<int64_t>(internal::kLogOverheadBytes);
    for (int bit = 0; bit < 12; ++bit) {
      const int64_t end =
          batch.position + (length ^ int64_t{1} << bit) + static_cast<int64_t>(internal::kLogOverheadBytes);
      const SoundBatch* const around = end > batch.position ? sound_.At(batch.segment, end) : nullptr;
      if (around == nullptr) continue;
      const absl::StatusOr<RecordBatchView> led_to =
          RecordBatchView::Parse(std::span(around->bytes).subspan(static_cast<size_t>(end - around->position)));
      if (!led_to.ok() || !led_to->CrcMatches() || led_to->base_offset() <= batch.last_offset) continue;
      (end == around->position ? over_batches : into_values) += 1;
    }
  }
  EXPECT_GE(into_values, 20);
  EXPECT_GE(over_batches, 5);
}

struct Tally {
  uint64_t bits = 0;
  uint64_t flips = 0;
  uint64_t failures = 0;
};

void Report(const Stop& stop, uint64_t one_in, const Tally& tally) {
  const char* const path = std::getenv("VARVE_BITS_REPORT");
  if (path == nullptr) return;
  std::ofstream(path, std::ios::app) << fmt::format(R"({{"stop":"{}","one_in":{},"bits":{},"flips":{},"failures":{}}})",
                                                    stop.name, one_in, tally.bits, tally.flips, tally.failures)
                                     << "\n";
}

TEST_P(EveryBitTest, CostsItsBatchAtMost) {
  constexpr uint64_t kFailuresTold = 5;
  const uint64_t one_in = NumberOf("VARVE_BITS_ONE_IN", VARVE_BITS_ONE_IN);
  const uint64_t phase = NumberOf("VARVE_BITS_SEED", 1) % one_in;
  VARVE_ASSERT_OK(CheckFlippedLog(sound_, options_, GetParam().close, std::nullopt));
  Tally tally;
  for (const auto& [name, size_bytes] : Files()) {
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file,
                               left_->Open(internal::JoinPath(kSoundPartition, name), OpenMode::kReadWrite));
    for (uint64_t bit = 0; bit < 8 * size_bytes; ++bit) {
      if (tally.bits++ % one_in != phase) continue;
      const Flip flip{.file = name, .position = static_cast<int64_t>(bit / 8), .bit = static_cast<int>(bit % 8)};
      ASSERT_NO_FATAL_FAILURE(Turn(file.get(), flip));
      const absl::Status checked = CheckFlippedLog(sound_, options_, GetParam().close, flip);
      ASSERT_NO_FATAL_FAILURE(Turn(file.get(), flip));
      ++tally.flips;
      if (!checked.ok() && ++tally.failures <= kFailuresTold) ADD_FAILURE() << flip << ": " << checked;
    }
  }
  EXPECT_EQ(tally.failures, 0u) << "of " << tally.flips << " flips";
  EXPECT_GE(tally.bits, uint64_t{8} * kSoundLogBytes);
  Report(GetParam(), one_in, tally);
}

}  // namespace
}  // namespace varve::testing_support
