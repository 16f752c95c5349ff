// Verify on partitions that Kafka wrote, on small logs with every kind of fault, and beside a live writer.
#include "varve/verify.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/path.h"
#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/live_line.h"
#include "log/partition_fixture.h"
#include "log/partition_lock.h"
#include "log/partition_state.h"
#include "record/batch_header.h"
#include "segment/segment_files.h"
#include "support/status_matchers.h"
#include "varve/log.h"
#include "varve/sparse_offset_index.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/time_index.h"
#include "varve/transaction_index.h"

namespace varve::internal {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing_support::BatchBytes;
using testing_support::BatchesBytes;
using testing_support::FileMap;
using testing_support::GoldenCase;
using testing_support::IsOk;
using testing_support::kDirectory;
using testing_support::Partition;
using testing_support::ReadFile;
using testing_support::ReadFiles;
using testing_support::StatusIs;
using testing_support::WriteFile;

std::string Summary(const VerifyReport& report) {
  std::string text = fmt::format("torn {}\n", report.torn_tail_bytes);
  for (const DamagedRange& range : report.damage) {
    text += fmt::format("damage {}:{}+{}: {}\n", range.segment, range.position, range.bytes, range.reason);
  }
  for (const IndexFault& fault : report.index_faults) {
    text += fmt::format("fault {} {}: {}\n", fault.file, fault.entry, fault.reason);
  }
  for (const std::string& note : report.notes) text += "note " + note + "\n";
  return text;
}

// --- What Kafka wrote ---

class GoldenVerifyTest : public testing::TestWithParam<std::string> {
 protected:
  GoldenVerifyTest() : golden_(testing_support::LoadGoldenCase(GetParam())) {
    testing_support::SetUpGolden(golden_, &partition_);
  }

  // What the .log files have more than Kafka leaves of them.
  int64_t BytesKafkaCuts() const {
    int64_t bytes = 0;
    for (const auto& [name, content] : golden_.files) {
      if (name.ends_with(".log")) bytes += static_cast<int64_t>(content.size());
    }
    for (const nlohmann::json& segment : golden_.manifest["segments"]) bytes -= segment["log_bytes"].get<int64_t>();
    return bytes;
  }

  GoldenCase golden_;
  Partition partition_;
};

TEST_P(GoldenVerifyTest, FindsWhatTheCaseIsMadeOf) {
  const FileMap before = ReadFiles(partition_.fs.get(), kDirectory);
  VARVE_ASSERT_OK_AND_ASSIGN(const VerifyReport report,
                             Verify(partition_.fs.get(), kDirectory, partition_.options.marks));
  EXPECT_EQ(ReadFiles(partition_.fs.get(), kDirectory), before);
  const std::string& name = GetParam();
  const bool is_damaged = name == "bad-crc-last";
  const bool is_torn = name == "torn-tail";
  const bool lacks_indexes = name == "no-index-unclean";
  EXPECT_EQ(report.ok, !is_damaged && !is_torn && !lacks_indexes) << Summary(report);
  EXPECT_EQ(report.torn_tail_bytes, is_torn ? BytesKafkaCuts() : 0) << Summary(report);
  EXPECT_THAT(report.damage, SizeIs(is_damaged ? 1 : 0)) << Summary(report);
  const size_t segments = golden_.manifest["segments"].size();
  // Of the batch that was cut, the .timeindex has kept an entry.
  const size_t faults = lacks_indexes ? 2 * segments : is_torn ? 1 : 0;
  EXPECT_THAT(report.index_faults, SizeIs(faults)) << Summary(report);
  if (is_damaged) {
    // Kafka ends the log at the damage; here the batches behind it count.
    EXPECT_GT(report.batches, golden_.manifest["log"]["batches"].get<int64_t>());
    return;
  }
  EXPECT_EQ(report.batches, golden_.manifest["log"]["batches"].get<int64_t>());
  EXPECT_EQ(report.records, golden_.manifest["log"]["records"].get<int64_t>());
  int64_t bytes = 0;
  for (const nlohmann::json& segment : golden_.manifest["segments"]) bytes += segment["log_bytes"].get<int64_t>();
  EXPECT_EQ(report.bytes, bytes);
  const bool is_padded = name == "crash" || name == "crash-recovery-point";
  EXPECT_THAT(report.notes, SizeIs(is_padded ? 2 : is_torn ? 1 : 0)) << Summary(report);
}

INSTANTIATE_TEST_SUITE_P(Kafka, GoldenVerifyTest, testing::ValuesIn(testing_support::GoldenCaseNames()),
                         [](const testing::TestParamInfo<std::string>& param) {
                           std::string name = param.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// --- Small logs ---

constexpr int64_t kRecords = 24;

class VerifyTest : public testing::Test {
 protected:
  VerifyTest() {
    partition_.options.segment_bytes = 1500;
    partition_.options.index_interval_bytes = 256;
  }

  FileSystem* fs() { return partition_.fs.get(); }

  std::unique_ptr<Log> OpenLog() {
    absl::StatusOr<std::unique_ptr<Log>> log = Log::Open(kDirectory, partition_.options);
    EXPECT_THAT(log, IsOk());
    return log.ok() ? *std::move(log) : nullptr;
  }

  // Batches of one record each, in several segments.
  void AppendRecords(Log* log, int64_t count = kRecords) {
    for (int64_t i = 0; i < count; ++i) {
      const std::string value(100, 'v');
      ASSERT_THAT(log->Append({{.value = value, .timestamp_ms = 1'700'000'000'000 + i}}), IsOk());
    }
  }

  void WriteClosedLog() {
    const std::unique_ptr<Log> log = OpenLog();
    ASSERT_NE(log, nullptr);
    AppendRecords(log.get());
    ASSERT_THAT(log->Close(), IsOk());
  }

  // The report, after having seen that nothing was written.
  VerifyReport VerifyUnchanged(FileSystem* file_system = nullptr) {
    const FileMap before = ReadFiles(fs(), kDirectory);
    const absl::StatusOr<VerifyReport> report = Verify(file_system == nullptr ? fs() : file_system, kDirectory);
    EXPECT_THAT(report, IsOk());
    EXPECT_EQ(ReadFiles(fs(), kDirectory), before);
    if (!report.ok()) return {};
    EXPECT_EQ(report->ok, report->damage.empty() && report->index_faults.empty() && report->torn_tail_bytes == 0);
    return *report;
  }

  static std::string Path(const std::string& name) { return JoinPath(kDirectory, name); }
  static std::string Path(int64_t base_offset, SegmentFileKind kind) {
    return Path(SegmentFileName(base_offset, kind));
  }

  void Change(const std::string& path, const std::function<void(std::string*)>& change) {
    std::string content = ReadFile(fs(), path);
    change(&content);
    WriteFile(fs(), path, content);
  }

  Partition partition_;
};

TEST_F(VerifyTest, SoundLogIsCountedWhole) {
  WriteClosedLog();
  int64_t bytes = 0;
  for (const auto& [name, content] : ReadFiles(fs(), kDirectory)) {
    if (name.ends_with(".log")) bytes += static_cast<int64_t>(content.size());
  }
  const VerifyReport report = VerifyUnchanged();
  EXPECT_TRUE(report.ok) << Summary(report);
  EXPECT_EQ(report.batches, kRecords);
  EXPECT_EQ(report.records, kRecords);
  EXPECT_EQ(report.bytes, bytes);
  EXPECT_THAT(report.notes, IsEmpty());
}

TEST_F(VerifyTest, ProgressRisesToTheWhole) {
  WriteClosedLog();
  std::vector<std::pair<int64_t, int64_t>> calls;
  const auto note = [&](int64_t done, int64_t total) { calls.emplace_back(done, total); };
  VARVE_ASSERT_OK_AND_ASSIGN(const VerifyReport report, Verify(fs(), kDirectory, {}, note));
  ASSERT_FALSE(calls.empty());
  EXPECT_TRUE(std::is_sorted(calls.begin(), calls.end()));
  EXPECT_EQ(calls.back().first, report.bytes);
  for (const auto& [done, total] : calls) EXPECT_EQ(total, report.bytes);
}

TEST_F(VerifyTest, EmptyDirectoryIsSound) {
  const VerifyReport report = VerifyUnchanged();
  EXPECT_TRUE(report.ok);
  EXPECT_EQ(report.batches, 0);
}

TEST_F(VerifyTest, MissingDirectoryIsNotFound) {
  EXPECT_THAT(Verify(fs(), "absent-0"), StatusIs(absl::StatusCode::kNotFound));
}

// A leader epoch is outside the checksum, so only neighbours in the same segment speak against it, and only where they
// agree with each other.
TEST_F(VerifyTest, FlippedBitAnywhereIsDamage) {
  WriteClosedLog();
  const std::string path = Path(0, SegmentFileKind::kLog);
  const std::string sound = ReadFile(fs(), path);
  const size_t batch_bytes = DecodeBatchHeader(AsBytes(sound).data()).size_bytes;
  ASSERT_GE(sound.size(), 3 * batch_bytes);
  for (size_t position = 0; position < sound.size(); ++position) {
    const size_t within = position % batch_bytes;
    const bool is_epoch = within >= kLeaderEpochPosition && within < kMagicPosition;
    const bool has_neighbours = position >= batch_bytes && position + batch_bytes < sound.size();
    if (is_epoch && !has_neighbours) continue;
    std::string flipped = sound;
    flipped[position] ^= static_cast<char>(1 << (position % 8));
    WriteFile(fs(), path, flipped);
    VARVE_ASSERT_OK_AND_ASSIGN(const VerifyReport report, Verify(fs(), kDirectory));
    ASSERT_FALSE(report.ok) << "byte " << position;
    ASSERT_THAT(report.damage, SizeIs(1)) << "byte " << position << "\n" << Summary(report);
    const DamagedRange& range = report.damage.front();
    EXPECT_EQ(range.segment, 0);
    EXPECT_LE(range.position, static_cast<int64_t>(position));
    EXPECT_GT(range.position + range.bytes, static_cast<int64_t>(position));
    EXPECT_EQ(range.first_offset, static_cast<int64_t>(position / batch_bytes));
    EXPECT_EQ(range.last_offset, range.first_offset);
    EXPECT_THAT(report.index_faults, IsEmpty()) << "byte " << position << "\n" << Summary(report);
    EXPECT_GE(report.batches, kRecords - 1);
  }
}

TEST_F(VerifyTest, BytesTheDeviceCannotReadAreDamage) {
  WriteClosedLog();
  FaultyFileSystem faulty(fs());
  faulty.AddRule({.operation = FileOperation::kRead,
                  .path_part = SegmentFileName(0, SegmentFileKind::kLog),
                  .nth = 1,
                  .for_ever = true});
  const VerifyReport report = VerifyUnchanged(&faulty);
  ASSERT_THAT(report.damage, SizeIs(1)) << Summary(report);
  EXPECT_THAT(report.damage.front().reason, HasSubstr("injected fault"));
  EXPECT_GT(report.batches, 0);
}

TEST_F(VerifyTest, MalformedRecordsUnderARightChecksumAreDamage) {
  struct Case {
    const char* name;
    size_t byte;  // of the batch
    char value;
    const char* reason;
  };
  // The record begins behind the header: length, attributes, timestamp delta, offset delta, key length.
  const Case cases[] = {
      {"length", kBatchHeaderBytes, 2, "record"},
      {"offset delta", kBatchHeaderBytes + 4, 2, "a record offset above -1 and up to 0 expected, found 1"},
      {"record count", kRecordCountPosition + 3, 2, "length of a record"},
  };
  for (const Case& test : cases) {
    SCOPED_TRACE(test.name);
    std::string bad = BatchBytes({.base_offset = 0});
    bad.at(test.byte) = test.value;
    SealBatch(std::as_writable_bytes(std::span(bad.data(), bad.size())));
    partition_.AddSegment(0, bad + BatchesBytes(1, 4));
    VARVE_ASSERT_OK_AND_ASSIGN(const VerifyReport report, Verify(fs(), kDirectory));
    EXPECT_EQ(report.batches, 3);
    EXPECT_EQ(report.records, 3);
    ASSERT_THAT(report.damage, SizeIs(1)) << Summary(report);
    EXPECT_EQ(report.damage.front().position, 0);
    EXPECT_EQ(report.damage.front().bytes, static_cast<int64_t>(bad.size()));
    EXPECT_EQ(report.damage.front().first_offset, 0);
    EXPECT_EQ(report.damage.front().last_offset, 0);
    EXPECT_THAT(report.damage.front().reason, HasSubstr(test.reason));
  }
}

TEST_F(VerifyTest, ControlRecordOfNoFormIsDamage) {
  RecordBatchBuilder builder({.producer_id = 7, .producer_epoch = 0, .transactional = true, .control = true});
  ASSERT_THAT(builder.Add({.key = "k", .timestamp_ms = 1'700'000'000'000}), IsOk());
  VARVE_ASSERT_OK_AND_ASSIGN(const std::span<const std::byte> batch, builder.Build());
  partition_.AddSegment(0, AsText(batch));
  const VerifyReport report = VerifyUnchanged();
  ASSERT_THAT(report.damage, SizeIs(1)) << Summary(report);
  EXPECT_EQ(report.batches, 0);
}

TEST_F(VerifyTest, TornTailIsCountedAndZerosAreANote) {
  WriteClosedLog();
  const int64_t base_offset = kRecords;
  const std::string batch = BatchBytes({.base_offset = base_offset, .timestamp_ms = 1'700'000'000'000 + base_offset});
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, fs()->List(kDirectory));
  std::string last;
  for (const std::string& name : names) {
    if (name.ends_with(".log")) last = Path(name);
  }
  const std::string sound = ReadFile(fs(), last);

  WriteFile(fs(), last, sound + batch.substr(0, 90));
  VerifyReport report = VerifyUnchanged();
  EXPECT_FALSE(report.ok);
  EXPECT_EQ(report.torn_tail_bytes, 90) << Summary(report);
  EXPECT_THAT(report.damage, IsEmpty());
  EXPECT_EQ(report.batches, kRecords);

  WriteFile(fs(), last, sound + std::string(500, '\0'));
  report = VerifyUnchanged();
  EXPECT_TRUE(report.ok) << Summary(report);
  ASSERT_THAT(report.notes, SizeIs(1));
  EXPECT_THAT(report.notes.front(), HasSubstr("500 zero bytes"));

  // A batch cut off below the durable point was whole once.
  WriteFile(fs(), last, sound.substr(0, sound.size() - 1));
  report = VerifyUnchanged();
  EXPECT_FALSE(report.ok) << Summary(report);
}

TEST_F(VerifyTest, OldMessageFormatsAreRefused) {
  // A message of magic 1: offset, size, CRC-32, magic, attributes, timestamp, null key, empty value.
  const std::string message(
      "\0\0\0\0\0\0\0\0"
      "\0\0\0\x16"
      "\x0f\x4a\x5d\x21"
      "\x01\x00"
      "\0\0\0\0\0\0\0\0"
      "\xff\xff\xff\xff"
      "\0\0\0\0",
      34);
  std::string bytes = message;
  uint32_t crc = 0xffffffffU;  // CRC-32 (IEEE) of everything behind the field
  for (size_t i = 16; i < bytes.size(); ++i) {
    crc ^= static_cast<uint8_t>(bytes[i]);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xedb88320U : 0U);
  }
  StoreBigEndian(std::as_writable_bytes(std::span(bytes.data(), bytes.size())).data() + 12, ~crc);
  partition_.AddSegment(0, bytes + bytes + bytes);
  EXPECT_THAT(Verify(fs(), kDirectory), StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("magic")));
}

// --- Indexes ---

struct IndexCase {
  const char* name;
  SegmentFileKind kind;
  std::function<void(std::string*)> change;
  int64_t entry;  // the one at fault
  const char* reason;
};

// Gives one byte of an entry another value; entries count from the end where negative.
std::function<void(std::string*)> SetByte(int64_t position, char value) {
  return [=](std::string* content) {
    const int64_t at = position < 0 ? static_cast<int64_t>(content->size()) + position : position;
    content->at(static_cast<size_t>(at)) = value;
  };
}

TEST_F(VerifyTest, FaultsOfIndexesAreFoundAndNamed) {
  WriteClosedLog();
  constexpr SegmentFileKind kOffsets = SegmentFileKind::kOffsetIndex;
  constexpr SegmentFileKind kTimes = SegmentFileKind::kTimeIndex;
  const std::string offsets = ReadFile(fs(), Path(0, kOffsets));
  const std::string times = ReadFile(fs(), Path(0, kTimes));
  ASSERT_GE(offsets.size(), 2 * SparseOffsetIndex::kEntryBytes);
  ASSERT_GE(times.size(), 2 * TimeIndex::kEntryBytes);
  const IndexCase cases[] = {
      {"odd size", kOffsets, [](std::string* c) { c->push_back('x'); }, -1, "entries of 8 bytes expected"},
      {"odd size", kTimes, [](std::string* c) { c->push_back('x'); }, -1, "entries of 12 bytes expected"},
      {"garbage", kOffsets, [](std::string* c) { c->assign(16, '\x7f'); }, 1, "an entry above"},
      {"garbage", kTimes, [](std::string* c) { c->assign(24, '\x7f'); }, 1, "an entry above"},
      {"one entry of garbage", kOffsets, [](std::string* c) { c->assign(8, '\x7f'); }, 0, "the position of a batch"},
      {"one entry of garbage", kTimes, [](std::string* c) { c->assign(12, '\x7f'); }, 0, "the offset of a batch"},
      {"zeros", kOffsets, [](std::string* c) { c->assign(c->size(), '\0'); }, 0, "found offset 0 at position 0"},
      {"zeros", kTimes, [](std::string* c) { c->assign(c->size(), '\0'); }, 1, "found timestamp 0 with offset 0"},
      {"zeros behind", kOffsets, [](std::string* c) { c->append(8, '\0'); }, -2, "found offset 0 at position 0"},
      {"zeros behind", kTimes, [](std::string* c) { c->append(12, '\0'); }, -2, "found timestamp 0 with offset 0"},
      {"position between batches", kOffsets, [](std::string* c) { ++c->at(7); }, 0, "the position of a batch"},
      {"offset of the batch before", kOffsets, SetByte(3, 1), 0, "an offset above"},
      {"offset beyond the segment", kOffsets, SetByte(-8, 1), -2, "below the segment's end"},
      {"wrong order", kOffsets, [](std::string* c) { std::rotate(c->begin(), c->begin() + 8, c->begin() + 16); }, 1,
       "an entry above"},
      {"wrong order", kTimes, [](std::string* c) { std::rotate(c->begin(), c->begin() + 12, c->begin() + 24); }, 1,
       "an entry above"},
      {"timestamp of no batch", kTimes, [](std::string* c) { --c->at(7); }, 0, "the largest timestamp"},
      {"last entry lacking", kTimes, [](std::string* c) { c->resize(c->size() - 12); }, -1, "largest timestamp"},
      {"emptied", kTimes, [](std::string* c) { c->clear(); }, -1, "largest timestamp"},
  };
  for (const IndexCase& test : cases) {
    SCOPED_TRACE(fmt::format("{} {}", test.name, SegmentFileName(0, test.kind)));
    WriteFile(fs(), Path(0, kOffsets), offsets);
    WriteFile(fs(), Path(0, kTimes), times);
    ASSERT_TRUE(VerifyUnchanged().ok);
    Change(Path(0, test.kind), test.change);
    const VerifyReport report = VerifyUnchanged();
    EXPECT_THAT(report.damage, IsEmpty()) << Summary(report);
    const auto found =
        std::find_if(report.index_faults.begin(), report.index_faults.end(), [&](const IndexFault& fault) {
          return fault.file == SegmentFileName(0, test.kind) && (fault.entry == test.entry || test.entry == -2) &&
                 fault.reason.find(test.reason) != std::string::npos;
        });
    EXPECT_NE(found, report.index_faults.end()) << Summary(report);
    EXPECT_EQ(report.batches, kRecords);
  }
}

TEST_F(VerifyTest, MissingIndexIsAFault) {
  for (const SegmentFileKind kind : {SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
    WriteClosedLog();
    ASSERT_THAT(fs()->Remove(Path(0, kind)), IsOk());
    const VerifyReport report = VerifyUnchanged();
    ASSERT_THAT(report.index_faults, SizeIs(1)) << Summary(report);
    EXPECT_EQ(report.index_faults.front().file, SegmentFileName(0, kind));
    EXPECT_EQ(report.index_faults.front().entry, -1);
    EXPECT_EQ(report.index_faults.front().reason, "the file is missing");
    // Opening makes it anew, for the next turn.
    ASSERT_THAT(OpenLog()->Close(), IsOk());
  }
}

// A lookup by such an entry would pass over the batch before, which is later.
TEST_F(VerifyTest, TimestampThatABatchBeforeExceedsIsAFault) {
  constexpr int64_t kEarly = 1'700'000'000'000;
  partition_.AddSegment(0, BatchBytes({.base_offset = 0, .timestamp_ms = kEarly + 500}) +
                               BatchBytes({.base_offset = 1, .timestamp_ms = kEarly}));
  WriteFile(fs(), Path(0, SegmentFileKind::kOffsetIndex), "");
  std::byte entry[TimeIndex::kEntryBytes];
  StoreBigEndian(entry, kEarly);
  StoreBigEndian(entry + 8, int32_t{1});
  WriteFile(fs(), Path(0, SegmentFileKind::kTimeIndex), AsText(entry));
  const VerifyReport report = VerifyUnchanged();
  ASSERT_THAT(report.index_faults, SizeIs(1)) << Summary(report);
  EXPECT_EQ(report.index_faults.front().entry, 0);
  EXPECT_THAT(report.index_faults.front().reason, HasSubstr("above the 1700000000500 before it"));
}

TEST_F(VerifyTest, UnreadableIndexIsAFault) {
  WriteClosedLog();
  FaultyFileSystem faulty(fs());
  faulty.AddRule({.operation = FileOperation::kRead,
                  .path_part = SegmentFileName(0, SegmentFileKind::kTimeIndex),
                  .nth = 1,
                  .for_ever = true});
  const VerifyReport report = VerifyUnchanged(&faulty);
  ASSERT_THAT(report.index_faults, SizeIs(1)) << Summary(report);
  EXPECT_THAT(report.index_faults.front().reason, HasSubstr("injected fault"));
}

TEST_F(VerifyTest, FaultsOfATransactionIndexAreFound) {
  testing_support::SetUpGolden(testing_support::LoadGoldenCase("transactions"), &partition_);
  const std::string path = Path(0, SegmentFileKind::kTransactionIndex);
  const std::string sound = ReadFile(fs(), path);
  ASSERT_GE(sound.size(), TransactionIndex::kEntryBytes);
  const IndexCase cases[] = {
      {"cut", {}, [](std::string* c) { c->pop_back(); }, -1, ""},
      {"other version", {}, SetByte(1, 9), -1, ""},
      {"other producer", {}, [](std::string* c) { c->at(9) ^= 0x40; }, 0, "an abort marker of producer"},
      {"beyond the end", {}, SetByte(-14, 1), -2, "a last offset below the segment's end"},
  };
  for (const IndexCase& test : cases) {
    SCOPED_TRACE(test.name);
    WriteFile(fs(), path, sound);
    Change(path, test.change);
    const VerifyReport report = VerifyUnchanged();
    ASSERT_THAT(report.index_faults, SizeIs(1)) << Summary(report);
    EXPECT_EQ(report.index_faults.front().file, SegmentFileName(0, SegmentFileKind::kTransactionIndex));
    if (test.entry != -2) {
      EXPECT_EQ(report.index_faults.front().entry, test.entry);
    }
    EXPECT_THAT(report.index_faults.front().reason, HasSubstr(test.reason));
  }
}

// --- Marks and leftovers ---

TEST_F(VerifyTest, MissingSegmentAboveTheDurablePointIsDamage) {
  partition_.AddSegment(0, BatchesBytes(0, 3));
  partition_.AddSegment(5, BatchesBytes(5, 8));
  partition_.SetDurablePoint(0, 0, 0, /*survived=*/true);
  const VerifyReport report = VerifyUnchanged();
  ASSERT_THAT(report.damage, SizeIs(1)) << Summary(report);
  EXPECT_EQ(report.damage.front().segment, 5);
  EXPECT_EQ(report.damage.front().first_offset, 3);
  EXPECT_EQ(report.damage.front().last_offset, 4);
}

TEST_F(VerifyTest, LeftoversAreNotes) {
  WriteClosedLog();
  WriteFile(fs(), Path("00000000000000000003.log.deleted"), "rest");
  const VerifyReport report = VerifyUnchanged();
  EXPECT_TRUE(report.ok) << Summary(report);
  ASSERT_THAT(report.notes, SizeIs(1));
  EXPECT_THAT(report.notes.front(), HasSubstr("00000000000000000003.log.deleted"));
}

TEST_F(VerifyTest, PendingTruncationIsANote) {
  WriteClosedLog();
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<PartitionState> state, PartitionState::Open(fs(), kDirectory));
    PartitionStateValues values = state->values();
    values.pending = PendingOperation::kTruncateTo;
    values.pending_offset = 5;
    state->Store(values);
  }
  const VerifyReport report = VerifyUnchanged();
  ASSERT_THAT(report.notes, SizeIs(1)) << Summary(report);
  EXPECT_THAT(report.notes.front(), HasSubstr("offset 5"));
}

// --- Beside a writer ---

TEST_F(VerifyTest, LiveWriterIsNoFault) {
  const std::unique_ptr<Log> log = OpenLog();
  ASSERT_NE(log, nullptr);
  for (int64_t count = 0; count < kRecords; ++count) {
    VARVE_ASSERT_OK_AND_ASSIGN(const VerifyReport report, Verify(fs(), kDirectory));
    ASSERT_TRUE(report.ok) << count << "\n" << Summary(report);
    ASSERT_EQ(report.records, count);
    AppendRecords(log.get(), 1);
  }
  ASSERT_THAT(log->Close(), IsOk());
}

// Nobody knows where such a writer's log ends: one that is not varve, or that is just opening.
TEST_F(VerifyTest, TailOfAWriterWithoutALineIsANote) {
  partition_.AddSegment(0, BatchesBytes(0, 3) + BatchBytes({.base_offset = 3}).substr(0, 80));
  for (const SegmentFileKind kind : {SegmentFileKind::kOffsetIndex, SegmentFileKind::kTimeIndex}) {
    WriteFile(fs(), Path(0, kind), "");
  }
  EXPECT_EQ(VerifyUnchanged().torn_tail_bytes, 80);
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<FileLock> lock, LockPartition(fs(), kDirectory));
  const VerifyReport report = VerifyUnchanged();
  EXPECT_TRUE(report.ok) << Summary(report);
  EXPECT_EQ(report.torn_tail_bytes, 0);
  ASSERT_THAT(report.notes, SizeIs(1));
  EXPECT_THAT(report.notes.front(), HasSubstr("live writer"));
}

TEST_F(VerifyTest, ReadingThatAWriterOverranIsDoneAgain) {
  const std::unique_ptr<Log> log = OpenLog();
  ASSERT_NE(log, nullptr);
  AppendRecords(log.get());
  bool truncated = false;
  const auto truncate_once = [&](int64_t, int64_t) {
    if (truncated) return;
    truncated = true;
    ASSERT_THAT(log->TruncateTo(4), IsOk());
  };
  VARVE_ASSERT_OK_AND_ASSIGN(const VerifyReport report, Verify(fs(), kDirectory, {}, truncate_once));
  EXPECT_TRUE(report.ok) << Summary(report);
  EXPECT_EQ(report.records, 4);

  int64_t end = 4;
  const auto truncate_always = [&](int64_t, int64_t) {
    AppendRecords(log.get(), 1);
    ASSERT_THAT(log->TruncateTo(end), IsOk());
  };
  EXPECT_THAT(Verify(fs(), kDirectory, {}, truncate_always), StatusIs(absl::StatusCode::kAborted));
}

// --- Failures of the file system ---

// The reading is done: whether a file was replaced meanwhile cannot be asked, which is no reason to tell nothing of it.
TEST_F(VerifyTest, AFileThatCannotBeAskedForAfterwardsCostsNoReport) {
  WriteClosedLog();
  FaultyFileSystem faulty(fs());
  const auto fail_at_the_end = [&](int64_t done_bytes, int64_t total_bytes) {
    if (done_bytes == total_bytes) faulty.AddRule({.operation = FileOperation::kInfo, .for_ever = true});
  };
  VARVE_ASSERT_OK_AND_ASSIGN(const VerifyReport report, Verify(&faulty, kDirectory, {}, fail_at_the_end));
  EXPECT_TRUE(report.ok) << Summary(report);
  EXPECT_EQ(report.records, kRecords);
  EXPECT_GT(faulty.faults_fired(), 0U);
}

// Whatever operation fails: an error, a finding, or the right answer all the same; never a wrong count called right.
TEST_F(VerifyTest, NoFailedOperationMakesAWrongReport) {
  WriteClosedLog();
  const FileMap before = ReadFiles(fs(), kDirectory);
  uint64_t errors = 0;
  uint64_t nth = 1;
  for (;; ++nth) {
    FaultyFileSystem faulty(fs());
    faulty.AddRule({.nth = nth});
    const absl::StatusOr<VerifyReport> report = Verify(&faulty, kDirectory);
    if (faulty.faults_fired() == 0) break;
    if (!report.ok()) {
      EXPECT_THAT(report, StatusIs(absl::StatusCode::kInternal, HasSubstr("injected fault")));
      ++errors;
    } else if (report->ok) {
      EXPECT_EQ(report->records, kRecords) << "operation " << nth;
    }
  }
  EXPECT_GT(nth, 20U);
  EXPECT_GT(errors, 5U);
  EXPECT_EQ(ReadFiles(fs(), kDirectory), before);
}

}  // namespace
}  // namespace varve::internal
