#include "state/producer_snapshot.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"

namespace varve::internal {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;

// Format notes §8.3.
constexpr char kExample[] =
    "000164907dc400000001000000000000109200000000000c0000000000000024000000000000018bcfe57b7cffffffffffffffffffffffff";
constexpr char kEmpty[] = "000148674bc700000000";

ProducerStateEntry ExampleEntry() {
  return {.producer_id = 4242,
          .epoch = 0,
          .last_timestamp_ms = 1700000004988,
          .batches = {{.last_sequence = 12, .last_offset = 36, .offset_delta = 0, .timestamp_ms = 1700000004988}}};
}

std::string WithCrc(std::string bytes) {
  StoreBigEndian<uint32_t>(reinterpret_cast<std::byte*>(bytes.data()) + 2, Crc32c(AsBytes(bytes).subspan(6)));
  return bytes;
}

TEST(ProducerSnapshotTest, ReadsAndWritesKafkasExamples) {
  const std::string example = absl::HexStringToBytes(kExample);
  EXPECT_THAT(DecodeProducerSnapshot("f", AsBytes(example)), IsOkAndHolds(ElementsAre(ExampleEntry())));
  EXPECT_EQ(AsText(EncodeProducerSnapshot(std::vector{ExampleEntry()})), example);
  const std::string empty = absl::HexStringToBytes(kEmpty);
  EXPECT_THAT(DecodeProducerSnapshot("f", AsBytes(empty)), IsOkAndHolds(IsEmpty()));
  EXPECT_EQ(AsText(EncodeProducerSnapshot({})), empty);
}

TEST(ProducerSnapshotTest, KeepsTheNewestBatchAndTheTransaction) {
  ProducerStateEntry producer = ExampleEntry();
  producer.coordinator_epoch = 7;
  producer.current_transaction_first_offset = 30;
  producer.batches.insert(producer.batches.begin(), {.last_sequence = 11, .last_offset = 35});
  const ProducerStateEntry without_batches{
      .producer_id = 1, .epoch = 3, .coordinator_epoch = 2, .last_timestamp_ms = 5, .batches = {}};
  const std::vector<std::byte> bytes = EncodeProducerSnapshot(std::vector{producer, without_batches});
  producer.batches.erase(producer.batches.begin());
  EXPECT_THAT(DecodeProducerSnapshot("f", bytes), IsOkAndHolds(ElementsAre(producer, without_batches)));
}

TEST(ProducerSnapshotTest, DamageIsNamed) {
  const std::string good = absl::HexStringToBytes(kExample);
  std::string version = good;
  version[1] = 2;
  std::string flipped = good;
  flipped[20] ^= 1;
  std::string count = good;
  count[9] = 2;
  std::string negative = good;
  negative[6] = '\xff';
  struct Case {
    std::string bytes;
    const char* message;
  };
  const std::vector<Case> cases = {
      {"", "f: expected 10 bytes or more, found 0"},
      {good.substr(0, 9), "f: expected 10 bytes or more, found 9"},
      {version, "f: at byte 0: expected version 1, found 2"},
      {flipped, "f: at byte 2: expected checksum"},
      {good.substr(0, 30), "f: at byte 2: expected checksum"},
      {WithCrc(count), "f: at byte 6: expected 2 entries of 46 bytes, found 46 bytes"},
      {WithCrc(negative), "entries of 46 bytes, found 46 bytes"},
      {WithCrc(good.substr(0, 55)), "expected 1 entries of 46 bytes, found 45 bytes"},
      {WithCrc(good + "x"), "expected 1 entries of 46 bytes, found 47 bytes"},
  };
  for (const Case& bad : cases) {
    EXPECT_THAT(DecodeProducerSnapshot("f", AsBytes(bad.bytes)),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(bad.message)));
  }
}

TEST(ProducerSnapshotTest, EveryFlippedBitIsNoticed) {
  const std::string good = absl::HexStringToBytes(kExample);
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    std::string bad = good;
    bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_THAT(DecodeProducerSnapshot("f", AsBytes(bad)), StatusIs(absl::StatusCode::kDataLoss)) << bit;
  }
}

TEST(ProducerSnapshotTest, NamesHave20Digits) {
  EXPECT_EQ(ProducerSnapshotName(240), "00000000000000000240.snapshot");
  EXPECT_EQ(ParseProducerSnapshotName("00000000000000000240.snapshot"), 240);
  EXPECT_EQ(ParseProducerSnapshotName("09223372036854775807.snapshot"), 9223372036854775807);
  for (const char* name : {"", "240.snapshot", "00000000000000000240.snapshot.deleted", "00000000000000000240.log",
                           "0000000000000000024x.snapshot", "-0000000000000000240.snapshot",
                           "09223372036854775808.snapshot", "99999999999999999999.snapshot"}) {
    EXPECT_EQ(ParseProducerSnapshotName(name), std::nullopt) << name;
  }
}

class ProducerSnapshotFileTest : public ::testing::TestWithParam<SnapshotSync> {};

TEST_P(ProducerSnapshotFileTest, IsWrittenReadAndListed) {
  const testing_support::TemporaryDirectory directory;
  FileSystem* const file_system = FileSystem::Default();
  EXPECT_THAT(ListProducerSnapshots(file_system, directory.path()), IsOkAndHolds(IsEmpty()));
  for (const int64_t offset : {1000, 7}) {
    // The second write replaces a longer file.
    for (const size_t count : {3U, 1U}) {
      const std::vector<ProducerStateEntry> producers(count, ExampleEntry());
      const std::string path = directory.path() + "/" + ProducerSnapshotName(offset);
      VARVE_ASSERT_OK(WriteProducerSnapshot(file_system, path, producers, GetParam()));
      EXPECT_THAT(ReadProducerSnapshot(file_system, path), IsOkAndHolds(producers));
    }
  }
  std::ofstream(directory.path() + "/00000000000000000009.log") << "x";
  EXPECT_THAT(ListProducerSnapshots(file_system, directory.path()), IsOkAndHolds(ElementsAre(7, 1000)));
}

TEST_P(ProducerSnapshotFileTest, MissingDirectoryIsNotFound) {
  const testing_support::TemporaryDirectory directory;
  const std::string nowhere = directory.path() + "/no";
  EXPECT_THAT(WriteProducerSnapshot(FileSystem::Default(), nowhere + "/f", {}, GetParam()),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ReadProducerSnapshot(FileSystem::Default(), nowhere + "/f"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(ListProducerSnapshots(FileSystem::Default(), nowhere), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(ProducerSnapshotFileTest, DamagedFileIsNamed) {
  const testing_support::TemporaryDirectory directory;
  const std::string path = directory.path() + "/" + ProducerSnapshotName(5);
  VARVE_ASSERT_OK(WriteProducerSnapshot(FileSystem::Default(), path, std::vector{ExampleEntry()}, GetParam()));
  fs::resize_file(path, 20);
  EXPECT_THAT(ReadProducerSnapshot(FileSystem::Default(), path),
              StatusIs(absl::StatusCode::kDataLoss, AllOf(HasSubstr(path), HasSubstr("expected checksum"))));
}

INSTANTIATE_TEST_SUITE_P(Both, ProducerSnapshotFileTest,
                         ::testing::Values(SnapshotSync::kNone, SnapshotSync::kDurable));

TEST(GoldenProducerSnapshotTest, KafkasSnapshotsAreReadAndWrittenAsTheyAre) {
  int compared = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(VARVE_TEST_DATA "/golden")) {
    if (!entry.is_directory()) continue;
    std::ifstream manifest_file(entry.path() / "manifest.json");
    const nlohmann::json manifest = nlohmann::json::parse(manifest_file);
    for (const auto& snapshot : manifest["snapshots"]) {
      const fs::path path =
          entry.path() / manifest["dir"].get<std::string>() / ProducerSnapshotName(snapshot["offset"]);
      if (!fs::exists(path)) continue;  // written by Kafka's own recovery
      SCOPED_TRACE(path.string());
      VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<ProducerStateEntry> producers,
                                 ReadProducerSnapshot(FileSystem::Default(), path.string()));
      std::map<int64_t, nlohmann::json> expected;
      for (const auto& producer : snapshot["entries"]) expected[producer["producer_id"]] = producer;
      ASSERT_EQ(producers.size(), expected.size());
      for (const ProducerStateEntry& producer : producers) {
        const nlohmann::json& kafkas = expected.at(producer.producer_id);
        EXPECT_EQ(producer.epoch, kafkas["epoch"]);
        EXPECT_EQ(producer.last_sequence(), kafkas["last_sequence"]);
        EXPECT_EQ(producer.last_offset(), kafkas["last_offset"]);
        EXPECT_EQ(producer.last_offset_delta(), kafkas["offset_delta"]);
        EXPECT_EQ(producer.last_timestamp_ms, kafkas["timestamp"]);
        EXPECT_EQ(producer.coordinator_epoch, kafkas["coordinator_epoch"]);
        EXPECT_EQ(producer.current_transaction_first_offset.value_or(-1), kafkas["current_txn_first_offset"]);
      }
      std::ifstream file(path, std::ios::binary);
      const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
      EXPECT_EQ(AsText(EncodeProducerSnapshot(producers)), bytes);
      ++compared;
    }
  }
  EXPECT_GE(compared, 60);
}

}  // namespace
}  // namespace varve::internal
