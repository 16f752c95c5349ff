// Partitions of every kind are opened, judged, repaired and followed, and each call of the file system fails in its turn:
// the failure is answered, or what was to be done is done all the same; and nothing is lost by it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "gtest/gtest.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "log/recovery_scenarios.h"
#include "state/producer_batches.h"
#include "support/status_matchers.h"
#include "varve/log.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/verify.h"

namespace varve::internal {
namespace {

using Outcome = testing_support::RecoveryOutcome;
using testing_support::BatchBytes;
using testing_support::BatchesBytes;
using testing_support::DataBatch;
using testing_support::Describe;
using testing_support::IsOk;
using testing_support::kDirectory;
using testing_support::kFirstLog;
using testing_support::LegacyMessage;
using testing_support::MarkerBatch;
using testing_support::OpenLog;
using testing_support::Partition;
using testing_support::ReadFile;
using testing_support::StatusIs;
using testing_support::WriteFile;

constexpr char kSecondLog[] = "00000000000000000010.log";
const int64_t kBatchBytes = static_cast<int64_t>(BatchesBytes(0, 1).size());

struct Prepared {
  std::string name;
  std::function<void(Partition*)> set_up;
};

std::string PathOf(const std::string& name) { return absl::StrCat(kDirectory, "/", name); }

// The partition goes on with a disk of its own.
void MoveTo(std::unique_ptr<MemoryFileSystem> disk, Partition* partition) {
  partition->fs = std::move(disk);
  partition->options.file_system = partition->fs.get();
}

// What another process left of `before`.
std::unique_ptr<Partition> CloneOf(const Partition& before) {
  auto partition = std::make_unique<Partition>(before.fs->CloneAfterProcessDeath());
  FileSystem* const file_system = partition->options.file_system;
  Clock* const clock = partition->options.clock;
  partition->options = before.options;
  partition->options.file_system = file_system;
  partition->options.clock = clock;
  return partition;
}

enum class Stop { kClosed, kDied, kPowerLost };

// Offsets 0 to 29 in segments of a few batches: leader epochs 0 to 2, a producer, transactions that were committed,
// aborted and left open. Half of it is durable.
void WriteLog(Stop stop, Partition* partition) {
  partition->options.segment_bytes = 600;
  partition->options.index_interval_bytes = 100;
  partition->options.segment_index_bytes = 1024;
  partition->options.io_mode = IoMode::kWrite;
  auto log = OpenLog(kDirectory, partition->options);
  ASSERT_NE(log, nullptr);
  const auto take = [&](const std::vector<std::byte>& batch) {
    const int32_t epoch = static_cast<int32_t>(log->log_end_offset() / 12);
    const auto taken = log->AppendAsFollower(batch, epoch);
    ASSERT_TRUE(taken.ok()) << taken.status();
  };
  for (int32_t number = 0; log->log_end_offset() < 30; ++number) {
    const auto data = [&](int64_t producer_id) {
      take(DataBatch({.base_offset = log->log_end_offset(),
                      .producer_id = producer_id,
                      .base_sequence = number,
                      .transactional = true,
                      .timestamp_ms = 1'700'000'000'000 + number}));
    };
    data(7);
    data(8);
    take(DataBatch({.base_offset = log->log_end_offset(),
                    .producer_id = 9,
                    .base_sequence = 2 * number,
                    .record_count = 2,
                    .timestamp_ms = 1'700'000'000'000 - number}));
    take(MarkerBatch(ControlType::kCommit, log->log_end_offset(), 7, 0, 0, 1'700'000'000'000 + number));
    take(MarkerBatch(ControlType::kAbort, log->log_end_offset(), 8, 0, 0, 1'700'000'000'000 + number));
    if (log->log_end_offset() != 18) continue;
    VARVE_ASSERT_OK(log->Flush());
  }
  const int64_t end = log->log_end_offset();
  take(DataBatch({.base_offset = end, .producer_id = 10, .transactional = true, .timestamp_ms = 1'700'000'000'000}));
  const absl::Status closed = stop == Stop::kClosed ? log->Close() : absl::OkStatus();
  VARVE_ASSERT_OK(closed);
  std::unique_ptr<MemoryFileSystem> left =
      stop == Stop::kPowerLost ? partition->fs->CloneAfterCrash({.seed = 7}) : partition->fs->CloneAfterProcessDeath();
  log.reset();
  MoveTo(std::move(left), partition);
}

// The names in the partition that end so, in order.
std::vector<std::string> NamesWith(Partition* partition, std::string_view ending) {
  const absl::StatusOr<std::vector<std::string>> names = partition->fs->List(kDirectory);
  EXPECT_THAT(names, IsOk());
  std::vector<std::string> found;
  if (!names.ok()) return found;
  for (const std::string& name : *names) {
    if (name.ends_with(ending)) found.push_back(name);
  }
  std::ranges::sort(found);
  return found;
}

void Change(Partition* partition, const std::function<void(PartitionStateValues*)>& change) {
  VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Open(partition->fs.get(), kDirectory));
  PartitionStateValues values = state->values();
  change(&values);
  state->Store(values);
  VARVE_ASSERT_OK(state->Sync());
}

// Ten batches a segment, three segments, all durable, with their indexes.
void ThreeSegments(Partition* partition, bool clean) {
  for (int64_t base_offset = 0; base_offset < 30; base_offset += 10) {
    partition->AddSegment(base_offset, BatchesBytes(base_offset, base_offset + 10));
  }
  VARVE_ASSERT_OK(partition->Load());
  partition->SetDurablePoint(20, 10 * kBatchBytes, 30, /*survived=*/true, clean);
}

// Damage that an opening has found, kept and noted; closed since.
void NotedDamage(Partition* partition) {
  ThreeSegments(partition, /*clean=*/false);
  partition->FlipBit(kSecondLog, 4 * kBatchBytes + 90);
  partition->options.recover_all = true;
  {
    auto log = OpenLog(kDirectory, partition->options);
    ASSERT_NE(log, nullptr);
    ASSERT_EQ(log->damage().size(), 1u);
    VARVE_ASSERT_OK(log->Close());
  }
  partition->options.recover_all = false;
}

// A truncation or a deletion that was announced, and not begun.
void Announce(Partition* partition, PendingOperation operation, int64_t offset) {
  ThreeSegments(partition, /*clean=*/false);
  WriteFile(partition->fs.get(), PathOf("00000000000000000020.snapshot"), "damaged");
  Change(partition, [&](PartitionStateValues* values) {
    values->pending = operation;
    values->pending_offset = offset;
    values->pending_end = {.segment = 20, .position = 10 * kBatchBytes};
    if (operation != PendingOperation::kTruncateTo) return;
    const int64_t segment = offset / 10 * 10;
    const int64_t batches = offset - segment;
    values->durable = {.offset = offset, .segment = segment, .position = batches * kBatchBytes};
  });
}

// The last segment ends before the durable point, in the file that was written last.
void ShortOfItsPoint(OnDamage on_damage, Partition* partition) {
  ThreeSegments(partition, /*clean=*/false);
  partition->options.on_damage = on_damage;
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> log,
                             partition->fs->Open(partition->LogPath(20), OpenMode::kReadWrite));
  VARVE_ASSERT_OK(log->Truncate(static_cast<uint64_t>(6 * kBatchBytes)));
  VARVE_ASSERT_OK(log->SyncData());
}

std::vector<Prepared> Written() {
  std::vector<Prepared> all;
  for (const Stop stop : {Stop::kClosed, Stop::kDied, Stop::kPowerLost}) {
    const std::string name = stop == Stop::kClosed ? "Closed" : stop == Stop::kDied ? "Died" : "PowerLost";
    const auto add = [&all, &name, stop](const std::string& what, const std::function<void(Partition*)>& change) {
      all.push_back({name + what, [stop, change](Partition* partition) {
                       WriteLog(stop, partition);
                       if (change != nullptr) change(partition);
                     }});
    };
    add("", nullptr);
    if (stop == Stop::kPowerLost) continue;
    add("WithoutItsState",
        [](Partition* partition) { VARVE_ASSERT_OK(partition->fs->Remove(PathOf(PartitionState::kFileName))); });
    add("WithoutIndexes", [](Partition* partition) {
      for (const char* ending : {".index", ".timeindex", ".txnindex"}) {
        for (const std::string& file : NamesWith(partition, ending)) {
          VARVE_ASSERT_OK(partition->fs->Remove(PathOf(file)));
        }
      }
    });
    add("WithBadIndexes", [](Partition* partition) {
      const std::vector<std::string> offsets = NamesWith(partition, ".index");
      ASSERT_FALSE(offsets.empty());
      WriteFile(partition->fs.get(), PathOf(offsets[0]), "odd");
      for (const char* ending : {".index", ".timeindex", ".txnindex"}) {
        for (const std::string& file : NamesWith(partition, ending)) {
          if (ReadFile(partition->fs.get(), PathOf(file)).size() > 4) partition->FlipBit(file, 3, 4);
        }
      }
    });
    add("WithABadTimeIndexAtTheEnd", [](Partition* partition) {
      const std::string last = NamesWith(partition, ".timeindex").back();
      WriteFile(partition->fs.get(), PathOf(last), std::string(24, '\x01'));
    });
    add("WithBadSnapshots", [](Partition* partition) {
      const std::vector<std::string> snapshots = NamesWith(partition, ".snapshot");
      ASSERT_FALSE(snapshots.empty());
      for (const std::string& file : snapshots) partition->FlipBit(file, 1);
    });
    add("WithoutSnapshots", [](Partition* partition) {
      for (const std::string& file : NamesWith(partition, ".snapshot")) {
        VARVE_ASSERT_OK(partition->fs->Remove(PathOf(file)));
      }
    });
    add("WithBadEpochs",
        [](Partition* partition) { WriteFile(partition->fs.get(), PathOf("leader-epoch-checkpoint"), "0\n1\nx y\n"); });
    add("WithABadState", [](Partition* partition) {
      WriteFile(partition->fs.get(), PathOf(PartitionState::kFileName), std::string(1024, 'x'));
    });
    add("WithoutTheBatchOfItsPoint", [](Partition* partition) {
      Change(partition, [](PartitionStateValues* values) { values->durable.batch_crc ^= 1; });
    });
    add("WithAnotherBoot", [](Partition* partition) {
      Change(partition, [](PartitionStateValues* values) { values->boot_id = "another boot"; });
    });
    add("WithABadBatch", [](Partition* partition) { partition->FlipBit(kFirstLog, 65); });
    add("WithABadTail", [](Partition* partition) {
      const std::string last = NamesWith(partition, ".log").back();
      const size_t size_bytes = ReadFile(partition->fs.get(), PathOf(last)).size();
      ASSERT_GT(size_bytes, 0u);
      partition->FlipBit(last, static_cast<int64_t>(size_bytes) - 1);
    });
  }
  return all;
}

std::vector<Prepared> Built() {
  return {
      {"Empty", [](Partition* /*partition*/) {}},
      {"OnlyASnapshot",
       [](Partition* partition) { WriteFile(partition->fs.get(), PathOf("00000000000000000005.snapshot"), "stray"); }},
      {"NotedDamage", NotedDamage},
      {"NotedDamageToBeTakenOut",
       [](Partition* partition) {
         NotedDamage(partition);
         partition->options.on_damage = OnDamage::kQuarantine;
       }},
      {"NotedDamageToBeCutOff",
       [](Partition* partition) {
         NotedDamage(partition);
         partition->options.on_damage = OnDamage::kTruncate;
       }},
      {"NotedDamageThatHasChanged",
       [](Partition* partition) {
         NotedDamage(partition);
         partition->FlipBit(kSecondLog, 4 * kBatchBytes + 90);
       }},
      {"BadNotes",
       [](Partition* partition) {
         NotedDamage(partition);
         partition->FlipBit("varve.damage", 20);
       }},
      {"PendingTruncation", [](Partition* partition) { Announce(partition, PendingOperation::kTruncateTo, 14); }},
      {"PendingTruncationToABase",
       [](Partition* partition) { Announce(partition, PendingOperation::kTruncateTo, 10); }},
      {"PendingFreshStart", [](Partition* partition) { Announce(partition, PendingOperation::kStartAt, 40); }},
      {"PendingDeletion", [](Partition* partition) { Announce(partition, PendingOperation::kDeleteBefore, 20); }},
      {"PendingTruncationOvertaken",
       [](Partition* partition) {
         Announce(partition, PendingOperation::kTruncateTo, 14);
         partition->AddSegment(30, BatchesBytes(30, 33));
       }},
      {"PendingTruncationWithoutItsSegment",
       [](Partition* partition) {
         Announce(partition, PendingOperation::kTruncateTo, 14);
         Change(partition, [](PartitionStateValues* values) { values->durable.segment = 5; });
       }},
      {"ShortOfItsPoint", [](Partition* partition) { ShortOfItsPoint(OnDamage::kKeep, partition); }},
      {"ShortOfItsPointToBeTakenOut", [](Partition* partition) { ShortOfItsPoint(OnDamage::kQuarantine, partition); }},
      {"ShortOfItsPointToBeCutOff", [](Partition* partition) { ShortOfItsPoint(OnDamage::kTruncate, partition); }},
      {"TwoCompleteSwaps",
       [](Partition* partition) {
         ThreeSegments(partition, /*clean=*/false);
         for (const char* log : {kFirstLog, kSecondLog}) {
           WriteFile(partition->fs.get(), PathOf(std::string(log) + ".swap"),
                     ReadFile(partition->fs.get(), PathOf(log)));
         }
       }},
      {"CompleteSwaps",
       [](Partition* partition) {
         ThreeSegments(partition, /*clean=*/false);
         WriteFile(partition->fs.get(), PathOf(std::string(kFirstLog) + ".swap"),
                   BatchesBytes(0, 3) + BatchesBytes(12, 20));
         WriteFile(partition->fs.get(), PathOf("00000000000000000000.index.swap"), "");
         WriteFile(partition->fs.get(), PathOf("00000000000000000000.timeindex.swap"), "");
         WriteFile(partition->fs.get(), PathOf("00000000000000000010.snapshot"), "stale");
       }},
      {"UnfinishedSwaps",
       [](Partition* partition) {
         ThreeSegments(partition, /*clean=*/true);
         WriteFile(partition->fs.get(), PathOf(std::string(kFirstLog) + ".cleaned"), BatchesBytes(0, 3));
         WriteFile(partition->fs.get(), PathOf("00000000000000000000.index.swap"), "");
         WriteFile(partition->fs.get(), PathOf("00000000000000000010.log.deleted"), "old");
         WriteFile(partition->fs.get(), PathOf("leader-epoch-checkpoint.tmp"), "half");
       }},
      {"SavedAsideBefore",
       [](Partition* partition) {
         const std::string log = BatchesBytes(0, 10);
         partition->AddSegment(0, log);
         partition->SetDurablePoint(0, 2 * kBatchBytes, 2, /*survived=*/false);
         partition->FlipBit(kFirstLog, 5 * kBatchBytes + 90);
         const std::string lost = partition->Log(0).substr(static_cast<size_t>(5 * kBatchBytes));
         WriteFile(partition->fs.get(), PathOf("varve.cut-00000000000000000005"), "another");
         WriteFile(partition->fs.get(), PathOf("varve.cut-00000000000000000005-1"), std::string(lost.size(), 'x'));
         WriteFile(partition->fs.get(), PathOf("varve.cut-00000000000000000005-2"), lost);
       }},
      {"LegacyMessages",
       [](Partition* partition) {
         partition->AddSegment(0, BatchesBytes(0, 5) + LegacyMessage(1, 5));
         partition->AddSegment(10, BatchesBytes(10, 20));
         partition->SetDurablePoint(10, 10 * kBatchBytes, 20, /*survived=*/true, /*clean=*/true);
         WriteFile(partition->fs.get(), PathOf("leader-epoch-checkpoint"), "damaged");
       }},
      {"DamagedWhereEpochsAreRead",
       [](Partition* partition) {
         ThreeSegments(partition, /*clean=*/true);
         partition->FlipBit(kFirstLog, 4 * kBatchBytes + 16);
         partition->FlipBit(kSecondLog, 4 * kBatchBytes + 10, 6);
         partition->options.recover_all = true;
         WriteFile(partition->fs.get(), PathOf("leader-epoch-checkpoint"), "damaged");
       }},
  };
}

std::vector<Prepared> AllPrepared() {
  std::vector<Prepared> all = Written();
  for (Prepared& prepared : Built()) all.push_back(std::move(prepared));
  for (const testing_support::RecoveryScenario& scenario : testing_support::RecoveryScenarios()) {
    all.push_back({scenario.name, scenario.set_up});
  }
  return all;
}

// Some of what was written, by their names.
std::vector<Prepared> Of(const std::set<std::string>& names) {
  std::vector<Prepared> all = Written();
  std::erase_if(all, [&](const Prepared& prepared) { return !names.contains(prepared.name); });
  return all;
}

// As Apache Kafka left them.
std::vector<Prepared> LeftByKafka() {
  std::vector<Prepared> all;
  for (const char* name :
       {"compacted", "crash", "log-start-advanced", "no-index-unclean", "torn-tail", "transactions"}) {
    std::string test = name;
    std::ranges::replace(test, '-', '_');
    all.push_back({std::move(test), [name](Partition* partition) {
                     testing_support::SetUpGolden(testing_support::LoadGoldenCase(name), partition);
                   }});
  }
  return all;
}

class OpeningFaultsTest : public ::testing::TestWithParam<Prepared> {
 protected:
  void SetUp() override {
    GetParam().set_up(&whole_);
    ASSERT_FALSE(HasFailure());
  }

  // Lets each call fail once in its turn, on a disk of its own, until none is left. Short of memory, a call says nothing
  // of the files.
  template <typename Attempt>
  void ForEachCall(const Attempt& attempt) {
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(::testing::Message() << "call " << nth);
      const std::unique_ptr<Partition> partition = CloneOf(whole_);
      FaultyFileSystem faulty(partition->fs.get());
      faulty.AddRule({.nth = nth, .status = absl::ResourceExhaustedError("injected")});
      LogOptions options = partition->options;
      options.file_system = &faulty;
      attempt(&faulty, options, partition.get());
      if (HasFailure()) return;
      if (faulty.faults_fired() > 0) continue;
      EXPECT_GT(nth, 3u);
      return;
    }
  }

  Partition whole_;
};

std::string NameOf(const ::testing::TestParamInfo<Prepared>& info) { return info.param.name; }
INSTANTIATE_TEST_SUITE_P(, OpeningFaultsTest, ::testing::ValuesIn(AllPrepared()), NameOf);
INSTANTIATE_TEST_SUITE_P(Kafka, OpeningFaultsTest, ::testing::ValuesIn(LeftByKafka()), NameOf);

TEST_P(OpeningFaultsTest, AnOpeningSaysSoOrComesToTheSameAndSoDoesTheNext) {
  const std::unique_ptr<Partition> undisturbed = CloneOf(whole_);
  const absl::StatusOr<LoadedLog> opened = undisturbed->Load();
  const auto expect_same = [&](Partition* partition, const absl::StatusOr<LoadedLog>& loaded) {
    ASSERT_EQ(loaded.status().code(), opened.status().code()) << loaded.status() << ", expected " << opened.status();
    if (!loaded.ok()) return;
    const Outcome expected = Outcome::Of(undisturbed->fs.get(), *opened);
    const Outcome outcome = Outcome::Of(partition->fs.get(), *loaded);
    ASSERT_TRUE(outcome == expected) << Describe(outcome) << ", expected " << Describe(expected);
  };
  ForEachCall([&](FaultyFileSystem* faulty, const LogOptions& options, Partition* partition) {
    const absl::StatusOr<LoadedLog> loaded = LoadLog(faulty, kDirectory, options);
    if (faulty->faults_fired() == 0 || !absl::IsResourceExhausted(loaded.status())) {
      ASSERT_NO_FATAL_FAILURE(expect_same(partition, loaded));
    }
    ASSERT_NO_FATAL_FAILURE(expect_same(partition, partition->Load()));
  });
}

TEST_P(OpeningFaultsTest, AJudgementSaysSoOrIsTheSame) {
  const auto judge = [](FileSystem* file_system, const LogOptions& options) {
    return Verify(file_system, kDirectory, options.marks);
  };
  const std::unique_ptr<Partition> undisturbed = CloneOf(whole_);
  const absl::StatusOr<VerifyReport> expected = judge(undisturbed->fs.get(), undisturbed->options);
  ForEachCall([&](FaultyFileSystem* faulty, const LogOptions& options, Partition* /*partition*/) {
    faulty->SetObserver([](const FileCall& call) { EXPECT_FALSE(call.changes) << call.path; });
    const absl::StatusOr<VerifyReport> report = judge(faulty, options);
    if (absl::IsResourceExhausted(report.status()) && faulty->faults_fired() > 0) return;
    ASSERT_EQ(report.status().code(), expected.status().code()) << report.status();
    if (!report.ok()) return;
    ASSERT_EQ(report->ok, expected->ok);
    ASSERT_EQ(report->batches, expected->batches);
    ASSERT_EQ(report->records, expected->records);
    ASSERT_EQ(report->damage.size(), expected->damage.size());
    ASSERT_EQ(report->index_faults.size(), expected->index_faults.size());
  });
}

class RepairFaultsTest : public OpeningFaultsTest {};
INSTANTIATE_TEST_SUITE_P(, RepairFaultsTest, ::testing::ValuesIn(Built()), NameOf);

TEST_P(RepairFaultsTest, ARepairSaysSoAndTheNextComesToTheSame) {
  const auto repair = [](FileSystem* file_system, const LogOptions& options) {
    return Repair(file_system, kDirectory,
                  {.on_damage = options.on_damage,
                   .all = options.recover_all,
                   .force = true,
                   .index_interval_bytes = options.index_interval_bytes,
                   .marks = options.marks,
                   .clock = options.clock});
  };
  const std::unique_ptr<Partition> undisturbed = CloneOf(whole_);
  const absl::StatusOr<RecoveryReport> expected = repair(undisturbed->fs.get(), undisturbed->options);
  const auto files = testing_support::ReadKafkaFiles(undisturbed->fs.get(), kDirectory);
  ForEachCall([&](FaultyFileSystem* faulty, const LogOptions& options, Partition* partition) {
    const absl::StatusOr<RecoveryReport> report = repair(faulty, options);
    ASSERT_TRUE(report.status().code() == expected.status().code() ||
                (faulty->faults_fired() > 0 && absl::IsResourceExhausted(report.status())))
        << report.status() << ", expected " << expected.status();
    const absl::StatusOr<RecoveryReport> next = repair(partition->fs.get(), partition->options);
    ASSERT_EQ(next.status().code(), expected.status().code()) << next.status();
    if (!next.ok()) return;
    for (const auto& [name, content] : testing_support::ReadKafkaFiles(partition->fs.get(), kDirectory)) {
      if (!name.ends_with(".log")) continue;
      ASSERT_TRUE(files.contains(name) && files.at(name) == content) << name;
    }
  });
}

class ReadOnlyFaultsTest : public OpeningFaultsTest {};
INSTANTIATE_TEST_SUITE_P(
    , ReadOnlyFaultsTest,
    ::testing::ValuesIn(Of({"Closed", "Died", "PowerLost", "DiedWithBadIndexes", "ClosedWithoutSnapshots"})), NameOf);

// A reader beside no writer: it opens, reads all, and looks again.
TEST_P(ReadOnlyFaultsTest, AnOpeningSaysSoOrServesTheSame) {
  const auto read = [](FileSystem* file_system, LogOptions options) -> absl::StatusOr<std::vector<std::string>> {
    options.file_system = file_system;
    options.read_only = true;
    VARVE_ASSIGN_OR_RETURN(const std::unique_ptr<Log> log, Log::Open(kDirectory, options));
    VARVE_RETURN_IF_ERROR(log->Refresh());
    std::vector<std::string> records;
    LogScan scan = log->Scan(log->log_start_offset(), {.isolation = Isolation::kLogEnd});
    for (const RecordView& record : scan) {
      records.push_back(absl::StrCat(record.offset(), " ", std::string(record.value().value_or(std::string_view()))));
    }
    VARVE_RETURN_IF_ERROR(scan.status());
    return records;
  };
  const std::unique_ptr<Partition> undisturbed = CloneOf(whole_);
  const auto expected = read(undisturbed->fs.get(), undisturbed->options);
  const auto files = testing_support::ReadFiles(whole_.fs.get(), kDirectory);
  ForEachCall([&](FaultyFileSystem* faulty, const LogOptions& options, Partition* partition) {
    const auto records = read(faulty, options);
    ASSERT_TRUE(testing_support::ReadFiles(partition->fs.get(), kDirectory) == files);
    if (absl::IsResourceExhausted(records.status()) && faulty->faults_fired() > 0) return;
    ASSERT_EQ(records.status().code(), expected.status().code()) << records.status();
    if (!records.ok()) return;
    ASSERT_EQ(*records, *expected);
  });
}

}  // namespace
}  // namespace varve::internal
