// varve.damage: damage that an opening found and left is known to every later one, while it is there and no longer.
#include "log/damage_notes.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "varve/testing/faulty_file_system.h"

namespace varve::internal {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing_support::AppendMany;
using testing_support::BatchesBytes;
using testing_support::IsOk;
using testing_support::kDirectory;
using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::Partition;
using testing_support::ReadFile;
using testing_support::ReadFiles;
using testing_support::StatusIs;
using testing_support::WriteFile;

constexpr int64_t kEnd = 30;
constexpr size_t kHeaderBytes = 61;
const std::string kFirstLog = std::string(kDirectory) + "/00000000000000000000.log";
const std::string kFirstIndex = std::string(kDirectory) + "/00000000000000000000.index";
const std::string kNotes = std::string(kDirectory) + "/varve.damage";

// The offsets whose batch a reader is given, and gives their own record.
std::set<int64_t> Readable(const Log& log) {
  std::set<int64_t> readable;
  for (int64_t offset = 0; offset < kEnd; ++offset) {
    const auto batch = log.NewReader().ReadBatch(offset, Isolation::kLogEnd);
    if (batch.ok() && batch->has_value() && (*batch)->base_offset() == offset && (*batch)->CrcMatches()) {
      readable.insert(offset);
    }
  }
  return readable;
}

std::set<int64_t> AllBut(int64_t damaged, int64_t from = 0) {
  std::set<int64_t> offsets;
  for (int64_t offset = from; offset < kEnd; ++offset) offsets.insert(offset);
  offsets.erase(damaged);
  return offsets;
}

// A log of several segments of five batches, closed cleanly. Then the header of a batch in the first one is lost.
class DamageNotesTest : public LogTest {
 protected:
  static constexpr int64_t kDamaged = 2;

  void SetUp() override {
    options_.io_mode = IoMode::kWrite;
    {
      const std::unique_ptr<Log> log = Open();
      AppendMany(log.get(), kEnd);
      ASSERT_GT(log->segments().size(), 3u);
      VARVE_ASSERT_OK_AND_ASSIGN(const auto found, log->NewReader().Find(kDamaged, Isolation::kLogEnd));
      position_ = static_cast<size_t>(found->position);
    }
    good_ = ReadFile(&memory_, kFirstLog);
    WriteDamage(&memory_);
  }

  void WriteDamage(FileSystem* file_system) const {
    std::string log = good_;
    log.replace(position_, kHeaderBytes, kHeaderBytes, '\0');
    Overwrite(file_system, log);
  }
  // In place, as a device changes bytes.
  static void Overwrite(FileSystem* file_system, const std::string& log) {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file, file_system->Open(kFirstLog, OpenMode::kReadWrite));
    ASSERT_THAT(file->WriteAt(0, AsBytes(log)), IsOk());
    ASSERT_THAT(file->SyncData(), IsOk());
  }

  // What finds the damage at first: an opening that reads everything.
  std::unique_ptr<Log> OpenReadingAll() {
    LogOptions options = options_;
    options.recover_all = true;
    return OpenLog(directory_, options);
  }

  void ExpectDamageKnown(const Log& log) const {
    const std::vector<DamagedRange> damage = log.damage();
    ASSERT_EQ(damage.size(), 1u);
    EXPECT_EQ(damage.front().position, static_cast<int64_t>(position_));
    EXPECT_EQ(damage.front().first_offset, kDamaged);
    EXPECT_EQ(damage.front().last_offset, kDamaged);
    EXPECT_EQ(log.recovery_report().damage, damage);
    EXPECT_EQ(Readable(log), AllBut(kDamaged));
    EXPECT_THAT(log.NewReader().Read(kDamaged, {.isolation = Isolation::kLogEnd}),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("offsets 2 to 2 cannot be served")));
  }

  size_t position_ = 0;
  std::string good_;
};

TEST_F(DamageNotesTest, EveryLaterOpeningKnowsIt) {
  ExpectDamageKnown(*OpenReadingAll());
  for (int opening = 0; opening < 3; ++opening) {
    const std::unique_ptr<Log> log = Open();
    ExpectDamageKnown(*log);
    EXPECT_TRUE(log->recovery_report().clean);
    EXPECT_EQ(log->recovery_report().segments_recovered, 0);
  }
}

TEST_F(DamageNotesTest, SoDoesOneAfterTheDeathOfTheProcess) {
  const std::unique_ptr<Log> log = OpenReadingAll();
  const std::unique_ptr<MemoryFileSystem> dead = memory_.CloneAfterProcessDeath();
  LogOptions options = options_;
  options.file_system = dead.get();
  ExpectDamageKnown(*OpenLog(directory_, options));
}

TEST_F(DamageNotesTest, SoDoesAReadOnlyOneBesideTheWriter) {
  const std::unique_ptr<Log> log = OpenReadingAll();
  LogOptions options = options_;
  options.read_only = true;
  const std::unique_ptr<Log> reader = OpenLog(directory_, options);
  EXPECT_THAT(reader->damage(), ElementsAre(Field(&DamagedRange::first_offset, kDamaged)));
  EXPECT_EQ(Readable(*reader), AllBut(kDamaged));
}

// Where the damage is in the segment that is written, batches behind it are served, those to come included.
TEST_F(LogTest, DamageInTheActiveSegmentIsKnownToo) {
  options_.io_mode = IoMode::kWrite;
  options_.segment_bytes = 1 << 20;
  int64_t position = 0;
  {
    const std::unique_ptr<Log> log = Open();
    AppendMany(log.get(), kEnd - 1);
    VARVE_ASSERT_OK_AND_ASSIGN(const auto found, log->NewReader().Find(2, Isolation::kLogEnd));
    position = found->position;
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, memory_.Open(kFirstLog, OpenMode::kReadWrite));
  ASSERT_THAT(file->WriteAt(static_cast<uint64_t>(position), std::vector<std::byte>(kHeaderBytes)), IsOk());
  options_.recover_all = true;
  { EXPECT_EQ(Open()->damage().size(), 1u); }
  options_.recover_all = false;
  const std::unique_ptr<Log> log = Open();
  EXPECT_THAT(log->damage(), ElementsAre(Field(&DamagedRange::position, position)));
  AppendMany(log.get(), 1);
  LogOptions options = options_;
  options.read_only = true;
  const std::unique_ptr<Log> reader = OpenLog(directory_, options);
  EXPECT_EQ(reader->damage(), log->damage());
  EXPECT_EQ(Readable(*log), AllBut(2));
  EXPECT_EQ(Readable(*reader), AllBut(2));
}

TEST_F(DamageNotesTest, BytesThatAreGoodAgainAreServedAndForgotten) {
  ASSERT_THAT(OpenReadingAll()->Close(), IsOk());
  Overwrite(&memory_, good_);
  {
    const std::unique_ptr<Log> log = Open();
    EXPECT_THAT(log->damage(), IsEmpty());
    EXPECT_EQ(log->recovery_report().segments_recovered, 1);
    EXPECT_EQ(Readable(*log), AllBut(-1));
  }
  EXPECT_THAT(memory_.Info(kNotes), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Open()->recovery_report().segments_recovered, 0);
}

TEST_F(DamageNotesTest, SegmentThatGrewOrShrankIsReadAgain) {
  ASSERT_THAT(OpenReadingAll()->Close(), IsOk());
  const auto last_batch = good_.size() - good_.size() / 5;
  std::string shorter = good_.substr(0, last_batch);
  shorter.replace(position_, kHeaderBytes, kHeaderBytes, '\0');
  WriteFile(&memory_, kFirstLog, shorter);
  const std::unique_ptr<Log> log = Open();
  EXPECT_EQ(log->recovery_report().segments_recovered, 1);
  ASSERT_EQ(log->damage().size(), 2u);
}

TEST_F(DamageNotesTest, DeletedSegmentTakesItsNotesAlong) {
  {
    const std::unique_ptr<Log> log = OpenReadingAll();
    ASSERT_THAT(log->DeleteBefore(10), IsOk());
    EXPECT_THAT(log->damage(), IsEmpty());
  }
  EXPECT_THAT(Open()->damage(), IsEmpty());
  EXPECT_THAT(memory_.Info(kNotes), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(DamageNotesTest, TruncatedLogTakesItsNotesAlong) {
  {
    const std::unique_ptr<Log> log = OpenReadingAll();
    ASSERT_THAT(log->TruncateFullyAndStartAt(0), IsOk());
    AppendMany(log.get(), kEnd);
  }
  const std::unique_ptr<Log> log = Open();
  EXPECT_THAT(log->damage(), IsEmpty());
  EXPECT_EQ(Readable(*log), AllBut(-1));
}

TEST_F(DamageNotesTest, IsTakenOutByALaterOpeningThatIsAskedTo) {
  ASSERT_THAT(OpenReadingAll()->Close(), IsOk());
  {
    const std::unique_ptr<MemoryFileSystem> files = memory_.CloneAfterProcessDeath();
    LogOptions options = options_;
    options.file_system = files.get();
    options.on_damage = OnDamage::kQuarantine;
    EXPECT_EQ(OpenLog(directory_, options)->recovery_report().damage.size(), 1u);
    const std::unique_ptr<Log> log = OpenLog(directory_, options);
    EXPECT_THAT(log->damage(), IsEmpty());
    EXPECT_EQ(Readable(*log), AllBut(kDamaged));
    EXPECT_THAT(files->Info(kNotes), StatusIs(absl::StatusCode::kNotFound));
  }
  options_.on_damage = OnDamage::kTruncate;
  const std::unique_ptr<Log> log = Open();
  EXPECT_EQ(log->log_end_offset(), kDamaged);
  EXPECT_FALSE(log->recovery_report().clean);
  EXPECT_GT(log->recovery_report().batches_saved_aside, 20);
  EXPECT_THAT(log->damage(), IsEmpty());
  EXPECT_THAT(memory_.Info(kNotes), StatusIs(absl::StatusCode::kNotFound));
}

// Where a middle segment is read after a clean stop because its index went, its damage ends the log all the same.
TEST_F(DamageNotesTest, TruncatesAtDamageThatOnlyALostIndexBringsToLight) {
  ASSERT_THAT(memory_.Remove(kFirstIndex), IsOk());
  options_.on_damage = OnDamage::kTruncate;
  const std::unique_ptr<Log> log = Open();
  EXPECT_FALSE(log->recovery_report().clean);
  EXPECT_EQ(log->log_end_offset(), kDamaged);
  EXPECT_EQ(log->segments().size(), 1u);
  EXPECT_GT(log->recovery_report().batches_saved_aside, 20);
  EXPECT_THAT(log->recovery_report().findings, Contains(Field(&RecoveryFinding::action, RecoveryAction::kSavedAside)));
}

TEST_F(DamageNotesTest, NotesThatCannotBeBelievedMakeEverySegmentBeRead) {
  ASSERT_THAT(OpenReadingAll()->Close(), IsOk());
  std::string notes = ReadFile(&memory_, kNotes);
  const auto ignored = Contains(
      AllOf(Field(&RecoveryFinding::action, RecoveryAction::kIgnored), Field(&RecoveryFinding::file, "varve.damage")));
  {
    const std::unique_ptr<MemoryFileSystem> files = memory_.CloneAfterProcessDeath();
    FaultyFileSystem faulty(files.get());
    faulty.AddRule({.operation = FileOperation::kRead, .path_part = "varve.damage", .for_ever = true});
    LogOptions options = options_;
    options.file_system = &faulty;
    const std::unique_ptr<Log> log = OpenLog(directory_, options);
    ExpectDamageKnown(*log);
    EXPECT_THAT(log->recovery_report().findings, ignored);
  }
  notes[20] = static_cast<char>(notes[20] ^ 4);
  WriteFile(&memory_, kNotes, notes);
  {
    const std::unique_ptr<Log> log = Open();
    ExpectDamageKnown(*log);
    EXPECT_THAT(log->recovery_report().findings, ignored);
  }
  EXPECT_THAT(Open()->recovery_report().findings, Not(ignored));
}

// The opening that finds the damage, because the index is gone, is stopped at its n-th operation: the next one, which
// may see a good index, knows the damage too.
TEST_F(DamageNotesTest, OpeningThatIsStoppedAnywhereLeavesThemToTheNext) {
  ASSERT_THAT(memory_.Remove(kFirstIndex), IsOk());
  for (uint64_t n = 1;; ++n) {
    const std::unique_ptr<MemoryFileSystem> files = memory_.CloneAfterProcessDeath();
    FaultyFileSystem faulty(files.get());
    faulty.AddRule({.nth = n, .for_ever = true});
    LogOptions options = options_;
    options.file_system = &faulty;
    { const absl::StatusOr<std::unique_ptr<Log>> stopped = Log::Open(directory_, options); }
    const bool fired = faulty.faults_fired() > 0;
    const std::unique_ptr<MemoryFileSystem> dead = files->CloneAfterProcessDeath();
    options.file_system = dead.get();
    SCOPED_TRACE(n);
    const std::unique_ptr<Log> log = OpenLog(directory_, options);
    ASSERT_NO_FATAL_FAILURE(ExpectDamageKnown(*log));
    if (!fired) break;
  }
}

// The line of the writer before tells of more than an opening leaves that ends the log at damage. Wherever that opening
// is stopped, what it has cut is not missing to the next one.
TEST_F(DamageNotesTest, WhatATruncatingOpeningCutIsNotMissedByTheNext) {
  constexpr int64_t kLost = kEnd + 3;
  std::string path;
  std::unique_ptr<MemoryFileSystem> unclean;
  int64_t position = 0;
  Overwrite(&memory_, good_);
  {
    const std::unique_ptr<Log> log = Open();
    ASSERT_THAT(log->Roll(), IsOk());
    AppendMany(log.get(), 5);
    VARVE_ASSERT_OK_AND_ASSIGN(const auto found, log->NewReader().Find(kLost, Isolation::kLogEnd));
    position = found->position;
    path = std::string(kDirectory) + "/" + SegmentFileName(kEnd, SegmentFileKind::kLog);
    unclean = memory_.CloneAfterProcessDeath();
  }
  const std::string whole = ReadFile(unclean.get(), path);
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const auto file, unclean->Open(path, OpenMode::kReadWrite));
    ASSERT_THAT(file->WriteAt(static_cast<uint64_t>(position), std::vector<std::byte>(kHeaderBytes)), IsOk());
  }
  bool cut_once = false;
  for (uint64_t n = 1;; ++n) {
    SCOPED_TRACE(n);
    const std::unique_ptr<MemoryFileSystem> files = unclean->CloneAfterProcessDeath();
    FaultyFileSystem faulty(files.get());
    faulty.AddRule({.nth = n, .for_ever = true});
    LogOptions options = options_;
    options.file_system = &faulty;
    options.on_damage = OnDamage::kTruncate;
    { const absl::StatusOr<std::unique_ptr<Log>> stopped = Log::Open(directory_, options); }
    const bool fired = faulty.faults_fired() > 0;
    const std::unique_ptr<MemoryFileSystem> dead = files->CloneAfterProcessDeath();
    VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo info, dead->Info(path));
    const bool cut = info.size <= static_cast<uint64_t>(position);
    cut_once |= cut && fired;
    options.file_system = dead.get();
    options.on_damage = OnDamage::kKeep;
    const std::unique_ptr<Log> log = OpenLog(directory_, options);
    const auto lost = Contains(Field(&DamagedRange::first_offset, kLost));
    if (cut) {
      EXPECT_THAT(log->damage(), Not(lost));
    } else {
      EXPECT_THAT(log->damage(), lost);
    }
    if (!fired) break;
  }
  EXPECT_TRUE(cut_once);
}

// An end that is missing has no bytes that could change when it is made a gap: only the notes called it damage.
TEST(DamageNotesGapTest, AGapStaysOneAfterAPowerLoss) {
  Partition partition;
  const std::string log = BatchesBytes(0, 10);
  const size_t batch_bytes = log.size() / 10;
  partition.AddSegment(0, log);
  partition.SetDurablePoint(0, static_cast<int64_t>(log.size()), 10, /*survived=*/true);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto file, partition.fs->Open(partition.LogPath(0), OpenMode::kReadWrite));
  VARVE_ASSERT_OK(file->Truncate(9 * batch_bytes));
  VARVE_ASSERT_OK(file->SyncData());
  {
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog kept, partition.Load());
    ASSERT_THAT(kept.report.damage, ElementsAre(Field(&DamagedRange::bytes, 0)));
  }
  partition.options.on_damage = OnDamage::kQuarantine;
  VARVE_ASSERT_OK(partition.Load());
  for (const CrashMode mode : {CrashMode::kLoseAllUnsynced, CrashMode::kKeepAll}) {
    Partition after(partition.fs->CloneAfterCrash({.mode = mode}));
    VARVE_ASSERT_OK_AND_ASSIGN(const LoadedLog loaded, after.Load());
    EXPECT_EQ(loaded.log_end_offset, 10);
    EXPECT_THAT(loaded.report.damage, IsEmpty());
  }
}

TEST(DamageNotesFileTest, HoldsWhatWasWritten) {
  Partition partition;
  partition.AddSegment(0, BatchesBytes(0, 10));
  partition.AddSegment(10, BatchesBytes(10, 20));
  const std::vector<DamagedRange> damage = {
      {.segment = 0, .position = 100, .bytes = 50, .first_offset = 1, .last_offset = 2, .reason = "a reason"},
      {.segment = 0, .position = 300, .bytes = 0, .first_offset = 3, .last_offset = 9, .reason = ""},
      {.segment = 10, .position = 0, .bytes = 10, .first_offset = 10, .last_offset = 10, .reason = "another"}};
  ASSERT_THAT(DamageNotes::Write(partition.fs.get(), kDirectory, damage), IsOk());
  VARVE_ASSERT_OK_AND_ASSIGN(const DamageNotes notes, DamageNotes::Read(partition.fs.get(), kDirectory));
  EXPECT_EQ(notes.Of(0), std::vector(damage.begin(), damage.begin() + 2));
  EXPECT_EQ(notes.Of(10), std::vector(damage.begin() + 2, damage.end()));
  EXPECT_TRUE(notes.Names(10));
  EXPECT_FALSE(notes.Names(20));
  EXPECT_THAT(notes.Of(20), IsEmpty());
}

void NoteOneRange(Partition* partition) {
  partition->AddSegment(0, BatchesBytes(0, 10));
  ASSERT_THAT(DamageNotes::Write(
                  partition->fs.get(), kDirectory,
                  {{.segment = 0, .position = 100, .bytes = 50, .first_offset = 1, .last_offset = 2, .reason = "why"}}),
              IsOk());
}

TEST(DamageNotesFileTest, EveryFlippedBitAndEveryCutIsSeen) {
  Partition partition;
  ASSERT_NO_FATAL_FAILURE(NoteOneRange(&partition));
  const std::string content = ReadFile(partition.fs.get(), kNotes);
  for (size_t bit = 0; bit < content.size() * 8; ++bit) {
    std::string flipped = content;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    WriteFile(partition.fs.get(), kNotes, flipped);
    ASSERT_THAT(DamageNotes::Read(partition.fs.get(), kDirectory),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr("varve.damage")));
  }
  for (size_t size = 0; size < content.size(); ++size) {
    WriteFile(partition.fs.get(), kNotes, content.substr(0, size));
    ASSERT_THAT(DamageNotes::Read(partition.fs.get(), kDirectory), StatusIs(absl::StatusCode::kDataLoss));
  }
}

// By a good checksum alone no bytes are notes.
TEST(DamageNotesFileTest, OtherBytesWithAGoodChecksumAreSeen) {
  Partition partition;
  ASSERT_NO_FATAL_FAILURE(NoteOneRange(&partition));
  const std::string file = ReadFile(partition.fs.get(), kNotes);
  const std::string content = file.substr(0, file.size() - sizeof(uint32_t));
  constexpr size_t kCount = 11;  // the last byte of the number of ranges, behind the magic
  const auto read = [&](std::string bytes) {
    std::byte checksum[sizeof(uint32_t)];
    StoreBigEndian(checksum, Crc32c(AsBytes(bytes)));
    WriteFile(partition.fs.get(), kNotes, bytes.append(AsText(checksum)));
    return DamageNotes::Read(partition.fs.get(), kDirectory).status();
  };
  ASSERT_THAT(read(content), IsOk());
  std::string more = content;
  ++more[kCount];
  std::string many = content;
  many[kCount] = '\x7f';
  std::string fewer = content;
  --fewer[kCount];
  std::string another = content;
  another[0] = 'V';
  const std::string long_reason = content.substr(0, content.size() - 4) + "\x7f" + content.substr(content.size() - 3);
  for (const std::string& bytes : {more, many, fewer, another, long_reason, content + "x", content.substr(0, 40)}) {
    EXPECT_THAT(read(bytes), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("varve.damage")));
  }
}

// Behind damage within the last segment somebody may have appended; that it is shorter now, or damaged to its end, tells
// of a change. Any other segment is as long as it was.
TEST(DamageNotesFileTest, WhatWasNotedHoldsWhereTheFileIsAsLongAsItMayBe) {
  Partition partition;
  ASSERT_NO_FATAL_FAILURE(NoteOneRange(&partition));
  VARVE_ASSERT_OK_AND_ASSIGN(const DamageNotes notes, DamageNotes::Read(partition.fs.get(), kDirectory));
  const int64_t noted_bytes = static_cast<int64_t>(partition.Log(0).size());
  const auto holds = [&](int64_t base_offset, int64_t size_bytes, bool is_last) {
    const absl::StatusOr<bool> held =
        notes.Hold(partition.fs.get(), kDirectory, {.base_offset = base_offset, .size_bytes = size_bytes}, is_last);
    EXPECT_THAT(held, IsOk());
    return held.value_or(false);
  };
  EXPECT_TRUE(holds(0, noted_bytes, /*is_last=*/true));
  EXPECT_TRUE(holds(0, noted_bytes + 1, /*is_last=*/true));
  EXPECT_FALSE(holds(0, noted_bytes - 1, /*is_last=*/true));
  EXPECT_FALSE(holds(0, 150, /*is_last=*/true)) << "the damage reaches to the end";
  EXPECT_TRUE(holds(0, noted_bytes, /*is_last=*/false));
  EXPECT_FALSE(holds(0, noted_bytes + 1, /*is_last=*/false));
  EXPECT_TRUE(holds(10, 1, /*is_last=*/false)) << "nothing is noted of it";
}

TEST(DamageNotesFileTest, BytesThatCouldNotBeReadHoldUntilTheyCan) {
  Partition partition;
  partition.AddSegment(0, BatchesBytes(0, 10));
  partition.AddSegment(10, BatchesBytes(10, 20));
  const int64_t size_bytes = static_cast<int64_t>(partition.Log(0).size());
  FaultyFileSystem faulty(partition.fs.get());
  faulty.AddRule({.operation = FileOperation::kRead, .path_part = "000000.log", .for_ever = true});
  ASSERT_THAT(DamageNotes::Write(
                  &faulty, kDirectory,
                  {{.segment = 0, .position = 100, .bytes = 50, .first_offset = 1, .last_offset = 2, .reason = ""}}),
              IsOk());
  VARVE_ASSERT_OK_AND_ASSIGN(const DamageNotes notes, DamageNotes::Read(&faulty, kDirectory));
  const FoundSegment segment{.base_offset = 0, .size_bytes = size_bytes};
  VARVE_ASSERT_OK_AND_ASSIGN(const bool hold, notes.Hold(&faulty, kDirectory, segment, /*is_last=*/false));
  EXPECT_TRUE(hold);
  VARVE_ASSERT_OK_AND_ASSIGN(const bool readable_now,
                             notes.Hold(partition.fs.get(), kDirectory, segment, /*is_last=*/false));
  EXPECT_FALSE(readable_now);
}

}  // namespace
}  // namespace varve::internal
