// What read_committed consumers get (format notes §4.4): the data of aborted transactions is left out, wherever the
// log is read and in whatever state its files are.
#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "segment/segment_files.h"
#include "state/producer_batches.h"
#include "support/hooked_file_system.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using ::testing::HasSubstr;
using testing_support::DataBatch;
using testing_support::LogTest;
using testing_support::MarkerBatch;
using testing_support::OpenLog;
using testing_support::StatusIs;

using Offsets = std::vector<int64_t>;

// What was appended, as the test knows it.
class History {
 public:
  explicit History(uint32_t seed) : random_(seed) {}

  // One record of one of a few producers, inside a transaction or outside, or the marker that ends one.
  void AppendOne(Log* log) {
    const int64_t offset = log->log_end_offset();
    const int64_t producer_id = Pick(5);
    if (producer_id == 0) {
      Take(log, DataBatch({.base_offset = offset}));
      plain_.push_back(offset);
      return;
    }
    std::optional<int64_t>& first_offset = open_[producer_id];
    if (first_offset.has_value() && Pick(3) == 0) {
      const bool aborted = Pick(2) == 0;
      Take(log, MarkerBatch(aborted ? ControlType::kAbort : ControlType::kCommit, offset, producer_id));
      ended_.push_back({producer_id, *first_offset, offset, aborted});
      first_offset.reset();
      return;
    }
    if (!first_offset.has_value()) first_offset = offset;
    Take(log, DataBatch({.base_offset = offset,
                         .producer_id = producer_id,
                         .base_sequence = sequences_[producer_id]++,
                         .transactional = true}));
    data_.push_back({producer_id, offset});
  }

  // Ends what is open, so that everything is stable.
  void EndAll(Log* log) {
    for (auto& [producer_id, first_offset] : open_) {
      if (!first_offset.has_value()) continue;
      const int64_t offset = log->log_end_offset();
      Take(log, MarkerBatch(ControlType::kAbort, offset, producer_id));
      ended_.push_back({producer_id, *first_offset, offset, true});
      first_offset.reset();
    }
  }

  // Forgets what a truncation took.
  void TruncateTo(int64_t offset) {
    std::erase_if(plain_, [offset](int64_t plain) { return plain >= offset; });
    std::erase_if(data_, [offset](const Data& data) { return data.offset >= offset; });
    for (const Ended& ended : ended_) {
      if (ended.marker_offset >= offset && ended.first_offset < offset) open_[ended.producer_id] = ended.first_offset;
    }
    for (auto& [producer_id, first_offset] : open_) {
      if (first_offset.has_value() && *first_offset >= offset) first_offset.reset();
    }
    std::erase_if(ended_, [offset](const Ended& ended) { return ended.marker_offset >= offset; });
  }

  // The offsets in [from, to) of which a committed reader gets records.
  Offsets Committed(int64_t from, int64_t to) const {
    Offsets offsets = plain_;
    for (const Data& data : data_) {
      const auto end = std::find_if(ended_.begin(), ended_.end(), [&](const Ended& ended) {
        return ended.producer_id == data.producer_id && ended.first_offset <= data.offset &&
               data.offset < ended.marker_offset;
      });
      if (end == ended_.end() || !end->aborted) offsets.push_back(data.offset);
    }
    std::erase_if(offsets, [&](int64_t offset) { return offset < from || offset >= to; });
    std::sort(offsets.begin(), offsets.end());
    return offsets;
  }

  // The producers and first offsets of the aborted transactions with offsets in [from, to), by their markers.
  std::vector<std::pair<int64_t, int64_t>> Aborted(int64_t from, int64_t to) const {
    std::vector<std::pair<int64_t, int64_t>> aborted;
    for (const Ended& ended : ended_) {
      if (!ended.aborted || ended.marker_offset < from || ended.first_offset >= to) continue;
      aborted.emplace_back(ended.producer_id, ended.first_offset);
    }
    return aborted;
  }

 private:
  struct Data {
    int64_t producer_id;
    int64_t offset;
  };
  struct Ended {
    int64_t producer_id;
    int64_t first_offset;
    int64_t marker_offset;
    bool aborted;
  };

  int64_t Pick(int64_t count) { return static_cast<int64_t>(random_() % static_cast<uint32_t>(count)); }

  static void Take(Log* log, const std::vector<std::byte>& batch) {
    const auto result = log->AppendAsFollower(batch, 0);
    ASSERT_TRUE(result.ok()) << result.status();
  }

  std::mt19937 random_;
  Offsets plain_;
  std::vector<Data> data_;
  std::vector<Ended> ended_;  // ascending by their markers
  std::map<int64_t, std::optional<int64_t>> open_;
  std::map<int64_t, int32_t> sequences_;
};

Offsets ScannedFrom(const Log& log, int64_t from) {
  Offsets offsets;
  LogScan scan = log.Scan(from, {.isolation = Isolation::kCommitted});
  for (const RecordView& record : scan) offsets.push_back(record.offset());
  EXPECT_TRUE(scan.status().ok()) << scan.status();
  return offsets;
}

// As a host does that hands ranges on.
Offsets ReadFrom(const Log& log, int64_t from) {
  Offsets offsets;
  LogReader reader = log.NewReader();
  for (int64_t next = from;;) {
    const auto range = reader.Read(next, {.max_bytes = 200, .isolation = Isolation::kCommitted});
    EXPECT_TRUE(range.ok()) << range.status();
    if (!range.ok() || range->empty()) return offsets;
    std::span<const std::byte> bytes = range->View();
    for (RecordBatchView batch; NextBatch(&bytes, &batch);) {
      const auto aborted = reader.IsAborted(batch);
      EXPECT_TRUE(aborted.ok()) << aborted.status();
      if (aborted.ok() && !*aborted && !batch.is_control()) offsets.push_back(batch.base_offset());
    }
    next = range->next_offset();
  }
}

std::vector<std::pair<int64_t, int64_t>> AbortedIn(const LogReader& reader, int64_t from, int64_t to) {
  std::vector<std::pair<int64_t, int64_t>> found;
  const auto aborted = reader.AbortedTransactions(from, to);
  EXPECT_TRUE(aborted.ok()) << aborted.status();
  if (!aborted.ok()) return found;
  for (const AbortedTransaction& transaction : *aborted) {
    found.emplace_back(transaction.producer_id, transaction.first_offset);
  }
  return found;
}

void ExpectCommitted(const Log& log, const History& history) {
  const int64_t last_stable = log.offsets().last_stable_offset;
  const LogReader reader = log.NewReader();
  for (int64_t from = 0; from <= last_stable; from += 1 + from % 3) {
    SCOPED_TRACE(from);
    EXPECT_EQ(ScannedFrom(log, from), history.Committed(from, last_stable));
    EXPECT_EQ(ReadFrom(log, from), history.Committed(from, last_stable));
    for (const int64_t to : {from, from + 1, from + 7, last_stable}) {
      if (to > last_stable) continue;
      EXPECT_EQ(AbortedIn(reader, from, to), history.Aborted(from, to)) << "to " << to;
    }
  }
}

class LogCommittedTest : public LogTest {
 protected:
  LogCommittedTest() { options_.producer_id_expiration_ms = std::numeric_limits<int64_t>::max(); }

  std::unique_ptr<Log> Follow() {
    LogOptions options = options_;
    options.read_only = true;
    return OpenLog(directory_, options);
  }

  // Offsets 0 and 1: an aborted transaction; 2: a plain record.
  static void AppendAborted(Log* log) {
    VARVE_ASSERT_OK(log->AppendAsFollower(DataBatch({.base_offset = 0, .producer_id = 7, .transactional = true}), 0));
    VARVE_ASSERT_OK(log->AppendAsFollower(MarkerBatch(ControlType::kAbort, 1, 7), 0));
    VARVE_ASSERT_OK(log->AppendAsFollower(DataBatch({.base_offset = 2}), 0));
  }

  std::string TransactionIndexPath(int64_t base_offset) const {
    return directory_ + "/" + internal::SegmentFileName(base_offset, internal::SegmentFileKind::kTransactionIndex);
  }

  void Write(const std::string& path, const std::string& content) {
    testing_support::WriteFile(&memory_, path, content);
  }
};

TEST_F(LogCommittedTest, LeavesOutWhatWasAbortedWhoeverReads) {
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    SCOPED_TRACE(seed);
    directory_ = "orders-" + std::to_string(seed);
    History history(seed);
    auto log = Open();
    const auto follower = Follow();
    for (int step = 0; step < 90; ++step) {
      history.AppendOne(log.get());
      if (step % 10 != 0) continue;
      ExpectCommitted(*log, history);
      VARVE_ASSERT_OK(follower->Refresh());
      ExpectCommitted(*follower, history);
    }
    EXPECT_GT(log->segments().size(), 5u);
    history.EndAll(log.get());
    EXPECT_EQ(log->offsets().last_stable_offset, log->log_end_offset());
    ExpectCommitted(*log, history);
    VARVE_ASSERT_OK(follower->Refresh());
    ExpectCommitted(*follower, history);

    VARVE_ASSERT_OK(log->Close());
    ExpectCommitted(*log, history);
    ExpectCommitted(*Follow(), history);
    log = Open();
    history.AppendOne(log.get());
    ExpectCommitted(*log, history);
  }
}

TEST_F(LogCommittedTest, ATruncationTakesAbortsBack) {
  History history(11);
  const auto log = Open();
  const auto follower = Follow();
  const LogReader reader = log->NewReader();
  for (int round = 0; round < 12; ++round) {
    for (int step = 0; step < 20; ++step) history.AppendOne(log.get());
    ExpectCommitted(*log, history);
    const int64_t cut = log->log_end_offset() - 11 - round % 4;
    VARVE_ASSERT_OK(log->TruncateTo(cut));
    history.TruncateTo(cut);
    ExpectCommitted(*log, history);
    EXPECT_EQ(AbortedIn(reader, 0, cut), history.Aborted(0, cut));
    VARVE_ASSERT_OK(follower->Refresh());
    ExpectCommitted(*follower, history);
  }
  VARVE_ASSERT_OK(log->TruncateFullyAndStartAt(0));
  EXPECT_EQ(AbortedIn(reader, 0, 1000), History(0).Aborted(0, 1000));
}

TEST_F(LogCommittedTest, AfterACrashTheIndexesAreThoseOfTheLog) {
  History history(5);
  const auto log = Open();
  for (int step = 0; step < 60; ++step) history.AppendOne(log.get());
  VARVE_ASSERT_OK(log->Flush());
  for (int step = 0; step < 7; ++step) history.AppendOne(log.get());
  LogOptions options = options_;
  for (const bool read_only : {true, false}) {
    SCOPED_TRACE(read_only);
    options.read_only = read_only;
    const auto killed = memory_.CloneAfterProcessDeath();
    options.file_system = killed.get();
    ExpectCommitted(*OpenLog(directory_, options), history);
    for (uint64_t seed = 1; seed <= 8; ++seed) {
      SCOPED_TRACE(seed);
      const auto crashed = memory_.CloneAfterCrash({.seed = seed});
      options.file_system = crashed.get();
      const auto recovered = OpenLog(directory_, options);
      History left = history;
      left.TruncateTo(recovered->log_end_offset());
      ExpectCommitted(*recovered, left);
    }
  }
}

// What a scan was told of before a truncation counts no more when other records lie there.
TEST_F(LogCommittedTest, AScanGoesOnAcrossATruncation) {
  const auto log = Open();
  for (int64_t offset = 0; offset < 3; ++offset) {
    VARVE_ASSERT_OK(log->AppendAsFollower(DataBatch({.base_offset = offset,
                                                     .producer_id = 7,
                                                     .base_sequence = static_cast<int32_t>(offset),
                                                     .transactional = true}),
                                          0));
  }
  VARVE_ASSERT_OK(log->AppendAsFollower(DataBatch({.base_offset = 3}), 0));
  VARVE_ASSERT_OK(log->AppendAsFollower(MarkerBatch(ControlType::kAbort, 4, 7), 0));
  LogReader reader = log->NewReader();
  VARVE_ASSERT_OK_AND_ASSIGN(const auto before, reader.ReadBatch(1, Isolation::kCommitted));
  VARVE_ASSERT_OK_AND_ASSIGN(const bool was_aborted, reader.IsAborted(*before));
  EXPECT_TRUE(was_aborted);
  VARVE_ASSERT_OK(log->TruncateTo(3));
  VARVE_ASSERT_OK(log->AppendAsFollower(DataBatch({.base_offset = 3}), 0));
  VARVE_ASSERT_OK(log->AppendAsFollower(MarkerBatch(ControlType::kCommit, 4, 7), 0));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto after, reader.ReadBatch(1, Isolation::kCommitted));
  VARVE_ASSERT_OK_AND_ASSIGN(const bool is_aborted, reader.IsAborted(*after));
  EXPECT_FALSE(is_aborted);
}

// A batch that was read below the last stable offset stays decided, wherever the high watermark goes.
TEST_F(LogCommittedTest, AHighWatermarkThatFellTakesNoAbortBack) {
  const auto log = Open();
  AppendAborted(log.get());
  log->SetHighWatermark(3);
  LogReader reader = log->NewReader();
  VARVE_ASSERT_OK_AND_ASSIGN(const auto batch, reader.ReadBatch(0, Isolation::kCommitted));
  ASSERT_TRUE(batch.has_value());
  log->SetHighWatermark(0);
  VARVE_ASSERT_OK_AND_ASSIGN(const bool aborted, reader.IsAborted(*batch));
  EXPECT_TRUE(aborted);
}

// What a reader was told of beyond the last stable offset does not count once it is stable.
TEST_F(LogCommittedTest, WhatWasAskedTooEarlyIsAskedAgain) {
  const auto log = Open();
  VARVE_ASSERT_OK(log->AppendAsFollower(DataBatch({.base_offset = 0, .producer_id = 7, .transactional = true}), 0));
  LogReader reader = log->NewReader();
  VARVE_ASSERT_OK_AND_ASSIGN(const auto undecided, reader.ReadBatch(0, Isolation::kLogEnd));
  EXPECT_THAT(reader.IsAborted(*undecided), testing_support::IsOkAndHolds(false));
  VARVE_ASSERT_OK(log->AppendAsFollower(MarkerBatch(ControlType::kAbort, 1, 7), 0));
  EXPECT_THAT(reader.IsAborted(*undecided), testing_support::IsOkAndHolds(true));
}

// Whether a batch was aborted is known as long as the segments are the log's that it was read from, it and what came
// behind it; and is not guessed at afterwards.
TEST_F(LogCommittedTest, WhatHappensToTheLogSinceABatchWasRead) {
  using Answer = std::optional<bool>;  // absent: the batch is to be read again
  struct Change {
    const char* name;
    std::function<absl::Status(Log*)> make;
    Answer of_aborted;
    Answer of_committed;
  };
  const Change changes[] = {
      {"a roll", [](Log* log) { return log->Roll(); }, true, false},
      {"what was before is deleted", [](Log* log) { return log->DeleteBefore(1); }, true, false},
      {"the aborted one is deleted", [](Log* log) { return log->DeleteBefore(3); }, {}, false},
      {"the abort is truncated", [](Log* log) { return log->TruncateTo(2); }, {}, {}},
      {"what came behind is truncated", [](Log* log) { return log->TruncateTo(5); }, {}, {}},
      {"all starts anew", [](Log* log) { return log->TruncateFullyAndStartAt(0); }, {}, {}},
      {"a compaction", [](Log* log) { return log->Compact({.force = true}).status(); }, {}, false},
      {"a compaction of it all",
       [](Log* log) {
         const absl::Status rolled = log->Roll();
         return rolled.ok() ? log->Compact({.force = true}).status() : rolled;
       },
       {},
       {}}};
  options_.cleanup_policy = CleanupPolicy::kCompactAndDelete;
  const auto append = [](Log* log, std::optional<ProducerStamp> producer) {
    return log->Append({{.key = "key", .value = "value"}}, {.producer = producer}).status();
  };
  for (const Change& change : changes) {
    SCOPED_TRACE(change.name);
    directory_ = std::string("orders-") + std::to_string(&change - changes);
    const auto log = Open();
    VARVE_ASSERT_OK(append(log.get(), {}));
    VARVE_ASSERT_OK(log->Roll());
    VARVE_ASSERT_OK(append(log.get(), ProducerStamp{.producer_id = 7, .transactional = true}));
    VARVE_ASSERT_OK(log->AppendEndTransaction(7, 0, ControlType::kAbort, 0));
    VARVE_ASSERT_OK(log->Roll());
    VARVE_ASSERT_OK(append(log.get(), ProducerStamp{.producer_id = 8, .transactional = true}));
    VARVE_ASSERT_OK(log->AppendEndTransaction(8, 0, ControlType::kCommit, 0));
    VARVE_ASSERT_OK(append(log.get(), {}));
    LogReader of_aborted = log->NewReader();
    LogReader of_committed = log->NewReader();
    VARVE_ASSERT_OK_AND_ASSIGN(const auto aborted, of_aborted.ReadBatch(1, Isolation::kCommitted));
    VARVE_ASSERT_OK_AND_ASSIGN(const auto committed, of_committed.ReadBatch(3, Isolation::kCommitted));
    VARVE_ASSERT_OK(change.make(log.get()));
    const auto expect = [](const absl::StatusOr<bool>& answer, const Answer& expected) {
      if (expected.has_value()) {
        EXPECT_THAT(answer, testing_support::IsOkAndHolds(*expected));
      } else {
        EXPECT_THAT(answer, StatusIs(absl::StatusCode::kAborted, HasSubstr("read them again")));
      }
    };
    expect(of_aborted.IsAborted(aborted.value()), change.of_aborted);
    expect(of_committed.IsAborted(committed.value()), change.of_committed);
  }
}

// A transaction whose abort marker goes is open again. Whoever reads while the files are being cut gets nothing of it,
// neither before nor after the index has lost its entry.
TEST_F(LogCommittedTest, ATransactionThatATruncationReopensIsNeverCommitted) {
  testing_support::HookedFileSystem hooked(&memory_);
  options_.file_system = &hooked;
  // Read at one change of a name each: who reads a sealed segment's index once knows it.
  int changes = 1;
  for (int read_at = 1; read_at <= changes; ++read_at) {
    SCOPED_TRACE(read_at);
    directory_ = "orders-" + std::to_string(read_at);
    const auto log = Open();
    VARVE_ASSERT_OK(log->AppendAsFollower(DataBatch({.base_offset = 0}), 0));
    VARVE_ASSERT_OK(log->AppendAsFollower(DataBatch({.base_offset = 1, .producer_id = 7, .transactional = true}), 0));
    VARVE_ASSERT_OK(log->AppendAsFollower(DataBatch({.base_offset = 2}), 0));
    VARVE_ASSERT_OK(log->AppendAsFollower(MarkerBatch(ControlType::kAbort, 3, 7), 0));
    changes = 0;
    hooked.around_change = [&] {
      if (++changes != read_at) return;
      for (const int64_t offset : ScannedFrom(*log, 0)) EXPECT_NE(offset, 1);
    };
    VARVE_ASSERT_OK(log->TruncateTo(3));
    hooked.around_change = nullptr;
    EXPECT_EQ(ScannedFrom(*log, 0), (Offsets{0}));
  }
  EXPECT_GT(changes, 2);
}

// A host's high watermark commits: an abort above it holds its data back, and hides none once it is passed.
TEST_F(LogCommittedTest, AnAbortCountsOnceItsMarkerIsCommitted) {
  const auto log = Open();
  log->SetHighWatermark(0);
  AppendAborted(log.get());
  for (const auto& [high_watermark, committed] : {std::pair<int64_t, Offsets>{1, {}}, {2, {}}, {3, {2}}}) {
    log->SetHighWatermark(high_watermark);
    EXPECT_EQ(ScannedFrom(*log, 0), committed) << high_watermark;
  }
}

TEST_F(LogCommittedTest, ControlRecordsAskedForComeWithoutAbortedData) {
  const auto log = Open();
  AppendAborted(log.get());
  Offsets offsets;
  for (const RecordView& record : log->Scan(0, {.control_records = true, .isolation = Isolation::kCommitted})) {
    offsets.push_back(record.offset());
  }
  EXPECT_EQ(offsets, (Offsets{1, 2}));
}

// --- The files of the index ---

TEST_F(LogCommittedTest, ASealedSegmentsIndexIsReadOnceAndNoneForWhatIsNoTransaction) {
  FaultyFileSystem counted(&memory_);
  options_.file_system = &counted;
  const auto log = Open();
  AppendAborted(log.get());
  VARVE_ASSERT_OK(log->Roll());
  VARVE_ASSERT_OK(log->AppendAsFollower(DataBatch({.base_offset = 3}), 0));
  const auto opened_by_scan_from = [&](int64_t offset) {
    const uint64_t before = counted.operation_count(FileOperation::kOpen);
    (void)ScannedFrom(*log, offset);
    return counted.operation_count(FileOperation::kOpen) - before;
  };
  EXPECT_EQ(opened_by_scan_from(2), 0u);
  EXPECT_EQ(opened_by_scan_from(0), 2u);  // the sealed segment's and the active one's
  EXPECT_EQ(opened_by_scan_from(0), 1u);
}

TEST_F(LogCommittedTest, AnEntryOnItsWayIsNoneYet) {
  const auto log = Open();
  AppendAborted(log.get());
  const std::string index = testing_support::ReadFile(&memory_, TransactionIndexPath(0));
  for (size_t bytes = 1; bytes < TransactionIndex::kEntryBytes; ++bytes) {
    Write(TransactionIndexPath(0), index + std::string(bytes, '\0'));
    EXPECT_EQ(ScannedFrom(*log, 0), (Offsets{2})) << bytes;
  }
}

TEST_F(LogCommittedTest, AnIndexThatWentBadIsToldOfAndTheNextOpeningMakesItAnew) {
  auto log = Open();
  AppendAborted(log.get());
  const std::string whole = testing_support::ReadFile(&memory_, TransactionIndexPath(0));
  Write(TransactionIndexPath(0), "\7" + whole.substr(1));
  LogScan scan = log->Scan(0, {.isolation = Isolation::kCommitted});
  EXPECT_FALSE(scan.Next());
  EXPECT_THAT(scan.status(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(TransactionIndexPath(0))));
  EXPECT_EQ(scan.next_offset(), 0);
  EXPECT_THAT(log->AbortedTransactions(0, 3), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("version")));
  VARVE_ASSERT_OK(log->Close());
  log = Open();
  EXPECT_EQ(ScannedFrom(*log, 0), (Offsets{2}));
  EXPECT_EQ(testing_support::ReadFile(&memory_, TransactionIndexPath(0)), whole);
}

TEST_F(LogCommittedTest, ADamagedIndexOfASealedSegmentIsMadeAnewAtOpening) {
  auto log = Open();
  AppendAborted(log.get());
  VARVE_ASSERT_OK(log->Roll());
  VARVE_ASSERT_OK(log->AppendAsFollower(DataBatch({.base_offset = 3}), 0));
  VARVE_ASSERT_OK(log->Close());
  const std::string whole = testing_support::ReadFile(&memory_, TransactionIndexPath(0));
  for (const std::string& damaged : {whole.substr(0, 20), "\7" + whole.substr(1)}) {
    Write(TransactionIndexPath(0), damaged);
    EXPECT_EQ(ScannedFrom(*Follow(), 0), (Offsets{2, 3}));
    EXPECT_EQ(testing_support::ReadFile(&memory_, TransactionIndexPath(0)), damaged);
    log = Open();
    EXPECT_EQ(ScannedFrom(*log, 0), (Offsets{2, 3}));
    VARVE_ASSERT_OK(log->Close());
    EXPECT_EQ(testing_support::ReadFile(&memory_, TransactionIndexPath(0)), whole);
  }
}

// --- Kafka's own ---

TEST(GoldenCommittedTest, WhatKafkaAbortedIsLeftOut) {
  const testing_support::GoldenCase golden = testing_support::LoadGoldenCase("transactions");
  testing_support::Partition partition;
  testing_support::SetUpGolden(golden, &partition);
  partition.options.file_system = partition.fs.get();
  partition.options.clock = &partition.clock;
  partition.clock.SetWallMs(1'700'000'003'000);
  const auto log = OpenLog(testing_support::kDirectory, partition.options);
  const int64_t last_stable = golden.manifest["log"]["last_stable_offset"];
  EXPECT_EQ(log->offsets().last_stable_offset, last_stable);

  std::vector<AbortedTransaction> expected_aborted;
  for (const nlohmann::json& aborted : golden.manifest["aborted_txns"]) {
    expected_aborted.push_back(
        {aborted["producer_id"], aborted["first_offset"], aborted["last_offset"], aborted["last_stable_offset"]});
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const auto aborted, log->AbortedTransactions(0, last_stable));
  EXPECT_EQ(aborted, expected_aborted);

  Offsets expected;
  for (const nlohmann::json& batch : golden.manifest["batches"]) {
    const int64_t base_offset = batch["base_offset"];
    const bool is_aborted =
        batch["transactional"].get<bool>() &&
        std::any_of(expected_aborted.begin(), expected_aborted.end(), [&](const AbortedTransaction& transaction) {
          return transaction.producer_id == batch["producer_id"].get<int64_t>() &&
                 transaction.first_offset <= base_offset && base_offset < transaction.last_offset;
        });
    if (batch["control"].get<bool>() || is_aborted || base_offset >= last_stable) continue;
    for (int64_t offset = base_offset; offset <= batch["last_offset"].get<int64_t>(); ++offset) {
      expected.push_back(offset);
    }
  }
  EXPECT_EQ(ScannedFrom(*log, 0), expected);
}

}  // namespace
}  // namespace varve
