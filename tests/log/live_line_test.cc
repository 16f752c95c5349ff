#include "log/live_line.h"

#include <atomic>
#include <cstring>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using ::testing::HasSubstr;
using testing_support::StatusIs;

constexpr std::array<uint8_t, 16> kLineage = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
constexpr LiveValues kValues{.generation = 3,
                             .active_base = 100,
                             .end_position = 4711,
                             .end_offset = 140,
                             .high_watermark = 130,
                             .log_start_offset = 90,
                             .first_open_offset = 125,
                             .first_closed_offset = 110,
                             .last_marker_offset = 135,
                             .rule = HighWatermarkRule::kDurable,
                             .durable_offset = 120};
constexpr size_t kLineBytes = 128;
constexpr size_t kServedByWord = 8;

void StoreAll(LiveLine* line, const LiveValues& values) {
  VARVE_ASSERT_OK(line->Store(values));
  VARVE_ASSERT_OK(line->StoreDurable(values.durable_offset));
}

// What a line says that nobody has stored anything in.
LiveValues Blank() {
  LiveValues values;
  values.first_open_offset = 0;
  values.first_closed_offset = 0;
  values.last_marker_offset = 0;
  values.served = false;
  return values;
}

// Stored into the mapping, and by write calls where allocation is no promise.
class LiveLineTest : public ::testing::TestWithParam<bool> {
 protected:
  LiveLineTest() : memory_({.allocation_is_promise = GetParam()}) {
    VARVE_EXPECT_OK(memory_.CreateDirectory("orders-0"));
  }

  std::unique_ptr<LiveLine> Create() {
    auto line = LiveLine::Create(&memory_, "orders-0", kLineage);
    EXPECT_TRUE(line.ok()) << line.status();
    return *std::move(line);
  }
  std::unique_ptr<LiveLine> Open() {
    auto line = LiveLine::Open(&memory_, "orders-0");
    EXPECT_TRUE(line.ok()) << line.status();
    return *std::move(line);
  }
  // Sets one of the line's eight words behind everybody's back.
  void SetWord(size_t index, uint64_t value) {
    const auto file = memory_.Open(kPath, OpenMode::kReadWrite);
    ASSERT_TRUE(file.ok()) << file.status();
    std::array<std::byte, sizeof value> bytes;
    std::memcpy(bytes.data(), &value, sizeof value);
    VARVE_ASSERT_OK((*file)->WriteAt(index * sizeof value, bytes));
  }
  uint64_t Word(size_t index) {
    const auto file = memory_.Open(kPath, OpenMode::kRead);
    std::array<std::byte, sizeof(uint64_t)> bytes{};
    EXPECT_THAT((*file)->ReadAt(index * sizeof(uint64_t), bytes), testing_support::IsOkAndHolds(sizeof(uint64_t)));
    uint64_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    return value;
  }

  const std::string kPath = "orders-0/varve.live";
  MemoryFileSystem memory_;
};

INSTANTIATE_TEST_SUITE_P(, LiveLineTest, ::testing::Bool(),
                         [](const auto& param) { return param.param ? "Mapped" : "Written"; });

TEST_P(LiveLineTest, AReaderSeesWhatTheWriterStored) {
  const auto writer = Create();
  const auto reader = Open();
  EXPECT_EQ(reader->Load(), Blank());
  StoreAll(writer.get(), kValues);
  EXPECT_EQ(reader->Load(), kValues);
  EXPECT_EQ(reader->generation(), 3u);
  EXPECT_EQ(reader->identity(), memory_.Info(kPath)->identity);
  EXPECT_EQ(reader->lineage(), LiveLine::ShortLineage(kLineage));
}

TEST_P(LiveLineTest, TheFileHasTheFormAtTheTopOfTheHeader) {
  const auto writer = Create();
  StoreAll(writer.get(), kValues);
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo info, memory_.Info(kPath));
  EXPECT_EQ(info.size, kLineBytes);
  const uint64_t served_by = Word(kServedByWord);
  EXPECT_NE(served_by, 0u);
  const std::vector<uint64_t> expected = {2,         3,  100, 4711, 140, 130, 120, LiveLine::ShortLineage(kLineage),
                                          served_by, 90, 125, 110,  135, 2,   0,   0};
  for (size_t index = 0; index < expected.size(); ++index) EXPECT_EQ(Word(index), expected[index]) << index;
}

TEST_P(LiveLineTest, TheNextWriterGoesOnFromWhatIsThere) {
  StoreAll(Create().get(), kValues);
  constexpr std::array<uint8_t, 16> kOther = {9};
  VARVE_ASSERT_OK_AND_ASSIGN(const auto next, LiveLine::Create(&memory_, "orders-0", kOther));
  EXPECT_EQ(next->generation(), 3u);
  EXPECT_EQ(next->lineage(), LiveLine::ShortLineage(kOther));
  LiveValues not_served = kValues;
  not_served.served = false;
  EXPECT_EQ(Open()->Load(), not_served);
}

// Recovery goes on believing the values that readers no longer believe.
TEST_P(LiveLineTest, ServiceIsStoppedByTheHolderOfTheLineOrOfTheLock) {
  const auto writer = Create();
  const auto reader = Open();
  LiveValues not_served = kValues;
  not_served.served = false;
  StoreAll(writer.get(), kValues);
  VARVE_ASSERT_OK(writer->StopService());
  EXPECT_EQ(reader->Load(), not_served);
  VARVE_ASSERT_OK(writer->Store(kValues));
  EXPECT_EQ(reader->Load(), kValues);
  VARVE_EXPECT_OK(LiveLine::StopService(&memory_, "orders-0"));
  EXPECT_EQ(reader->Load(), not_served);
  VARVE_ASSERT_OK(writer->Store(not_served));
  EXPECT_EQ(reader->Load(), not_served);
}

TEST_P(LiveLineTest, ServiceThatNobodyOffersIsStopped) {
  VARVE_EXPECT_OK(LiveLine::StopService(&memory_, "orders-0"));
  EXPECT_THAT(memory_.Info(kPath), StatusIs(absl::StatusCode::kNotFound));
  const auto file = memory_.Open(kPath, OpenMode::kCreate);
  VARVE_ASSERT_OK((*file)->WriteAt(0, std::vector<std::byte>(kLineBytes - 1)));
  VARVE_EXPECT_OK(LiveLine::StopService(&memory_, "orders-0"));
  EXPECT_EQ(memory_.Info(kPath)->size, kLineBytes - 1);
}

// After a power loss files may be shorter than the values say; the line may have reached the disk all the same.
TEST_P(LiveLineTest, NobodyServesOnAnotherRunOfTheKernel) {
  const auto writer = Create();
  StoreAll(writer.get(), kValues);
  const std::unique_ptr<MemoryFileSystem> after = memory_.CloneAfterCrash({.mode = CrashMode::kKeepAll});
  VARVE_ASSERT_OK_AND_ASSIGN(const auto line, LiveLine::Open(after.get(), "orders-0"));
  LiveValues not_served = kValues;
  not_served.served = false;
  EXPECT_EQ(line->Load(), not_served);
  const std::unique_ptr<MemoryFileSystem> same = memory_.CloneAfterProcessDeath();
  VARVE_ASSERT_OK_AND_ASSIGN(const auto served, LiveLine::Open(same.get(), "orders-0"));
  EXPECT_EQ(served->Load(), kValues);
}

// Whoever syncs stores the durable offset while the writer appends: neither undoes what the other stored.
TEST_P(LiveLineTest, TheDurableOffsetIsNoPartOfAStore) {
  const auto writer = Create();
  StoreAll(writer.get(), kValues);
  VARVE_ASSERT_OK(writer->StoreDurable(139));
  LiveValues next = kValues;
  next.end_offset = 150;
  VARVE_ASSERT_OK(writer->Store(next));
  EXPECT_EQ(Open()->Load()->durable_offset, 139);
  EXPECT_EQ(Open()->Load()->end_offset, 150);
}

// A writer died in the middle of a store: its values are worth nothing, also once its successor has taken the line over
// and died before a store of its own.
TEST_P(LiveLineTest, ATornLineIsNotServedUntilAWriterComes) {
  StoreAll(Create().get(), kValues);
  SetWord(0, 7);
  const auto reader = Open();
  EXPECT_EQ(reader->Load(), std::nullopt);
  EXPECT_EQ(Create()->generation(), kValues.generation);
  EXPECT_EQ(reader->Load(), std::nullopt);
  const auto writer = Create();
  StoreAll(writer.get(), kValues);
  EXPECT_EQ(Word(0) % 2, 0u);
  EXPECT_EQ(reader->Load(), kValues);
}

TEST_P(LiveLineTest, AnEndAloneIsStoredIntoTheMappingWhereTheRestStands) {
  const auto writer = Create();
  EXPECT_FALSE(writer->StoreEnd(1, 1)) << "nobody serves yet";
  StoreAll(writer.get(), kValues);
  LiveValues next = kValues;
  next.end_position = 5000;
  next.end_offset = 150;
  ASSERT_EQ(writer->StoreEnd(next.end_position, next.end_offset), GetParam());
  const auto reader = Open();
  EXPECT_EQ(reader->Load(), GetParam() ? next : kValues);
  if (!GetParam()) return;
  VARVE_ASSERT_OK(writer->StopService());
  EXPECT_FALSE(writer->StoreEnd(6000, 160));
  EXPECT_EQ(reader->Load()->end_offset, 150);
  VARVE_ASSERT_OK(writer->Store(kValues));
  SetWord(0, 7);
  EXPECT_FALSE(writer->StoreEnd(6000, 160)) << "a store was not finished";
  EXPECT_EQ(reader->Load(), std::nullopt);
}

TEST_P(LiveLineTest, AFileOfAnotherSizeIsMadeAnewByTheWriterAndRefusedByReaders) {
  for (const size_t size : {size_t{0}, kLineBytes - 1, kLineBytes + 1, size_t{5000}}) {
    SCOPED_TRACE(size);
    const auto file = memory_.Open(kPath, OpenMode::kTruncate);
    ASSERT_TRUE(file.ok());
    VARVE_ASSERT_OK((*file)->WriteAt(0, std::vector<std::byte>(size, std::byte{0xff})));
    if (size < kLineBytes) {
      EXPECT_THAT(LiveLine::Open(&memory_, "orders-0"),
                  StatusIs(absl::StatusCode::kDataLoss,
                           HasSubstr("varve.live: expected 128 bytes, found " + std::to_string(size))));
    }
    const auto writer = Create();
    EXPECT_EQ(writer->Load(), Blank());
    EXPECT_EQ(memory_.Info(kPath)->size, kLineBytes);
  }
}

TEST_P(LiveLineTest, NoWriterHasBeenHere) {
  EXPECT_THAT(LiveLine::Open(&memory_, "orders-0"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("varve.live")));
}

// A line is a hint. One that the device cannot read is none to a reader, and the writer makes another.
TEST_P(LiveLineTest, OneThatCannotBeReadIsReplacedByTheWriter) {
  VARVE_ASSERT_OK(Create()->Store(kValues));
  FaultyFileSystem faulty(&memory_);
  faulty.AddRule({.operation = FileOperation::kRead, .for_ever = true});
  faulty.AddRule({.operation = FileOperation::kPopulate});
  EXPECT_THAT(LiveLine::Open(&faulty, "orders-0"), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(faulty.operation_count(FileOperation::kMap), 0u);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto writer, LiveLine::Create(&faulty, "orders-0", kLineage));
  EXPECT_EQ(faulty.faults_fired(), 2u);
  StoreAll(writer.get(), kValues);
  EXPECT_EQ(Open()->Load(), kValues);
  faulty.AddRule({.operation = FileOperation::kWrite});
  VARVE_EXPECT_OK(LiveLine::StopService(&faulty, "orders-0"));
  EXPECT_THAT(memory_.Info(kPath), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(LiveLineTest, EveryOtherFailingOperationIsAnError) {
  const std::function<absl::Status(FileSystem*)> operations[] = {
      [](FileSystem* files) { return LiveLine::Create(files, "orders-0", kLineage).status(); },
      [](FileSystem* files) { return LiveLine::Open(files, "orders-0").status(); },
      [](FileSystem* files) { return LiveLine::StopService(files, "orders-0"); },
  };
  for (size_t operation = 0; operation < std::size(operations); ++operation) {
    const bool create = operation == 0;
    uint64_t fired = 0;
    for (uint64_t nth = 1;; ++nth) {
      if (!create) {
        VARVE_ASSERT_OK(Create()->Store(kValues));
      }
      FaultyFileSystem faulty(&memory_);
      faulty.AddRule({.nth = nth, .status = absl::PermissionDeniedError("injected")});
      const absl::Status status = operations[operation](&faulty);
      if (faulty.faults_fired() == 0) {
        VARVE_EXPECT_OK(status);
        break;
      }
      ++fired;
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kPermissionDenied));
      if (create) (void)memory_.Remove(kPath);
    }
    EXPECT_GE(fired, 3u);
  }
}

// A full disk is met when the line is made, not by a store into its mapping.
TEST_P(LiveLineTest, AFullDiskIsAnErrorOfCreate) {
  memory_.set_capacity_bytes(0);
  EXPECT_THAT(LiveLine::Create(&memory_, "orders-0", kLineage), StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_P(LiveLineTest, WithoutPopulateItWorksAllTheSame) {
  FaultyFileSystem faulty(&memory_);
  const size_t rule =
      faulty.AddRule({.operation = FileOperation::kPopulate, .status = absl::UnimplementedError("old kernel")});
  VARVE_ASSERT_OK_AND_ASSIGN(const auto writer, LiveLine::Create(&faulty, "orders-0", kLineage));
  EXPECT_EQ(faulty.faults_fired(rule), 1u);
  StoreAll(writer.get(), kValues);
  EXPECT_EQ(Open()->Load(), kValues);
}

// Where a full disk would end the process at a store into the mapping, each store is write calls that can fail. After
// any of them readers see the values of before, those of now, or nobody serving; the next store makes the line whole.
TEST_P(LiveLineTest, AStoreThatAFullDiskStopsIsAnErrorThatTheNextMakesUpFor) {
  LiveValues next = kValues;
  ++next.generation;
  next.end_offset = 150;
  next.log_start_offset = 95;
  for (uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE(nth);
    FaultyFileSystem faulty(&memory_);
    VARVE_ASSERT_OK_AND_ASSIGN(const auto writer, LiveLine::Create(&faulty, "orders-0", kLineage));
    StoreAll(writer.get(), kValues);
    const auto reader = Open();
    faulty.AddRule({.operation = FileOperation::kWrite, .nth = nth, .status = absl::ResourceExhaustedError("full")});
    const absl::Status stored = writer->Store(next);
    if (faulty.faults_fired() == 0) {
      VARVE_EXPECT_OK(stored);
      EXPECT_EQ(nth, GetParam() ? 1u : 5u);  // into the mapping nothing is written
      break;
    }
    EXPECT_THAT(stored, StatusIs(absl::StatusCode::kResourceExhausted));
    EXPECT_EQ(reader->Load(), nth == 1 ? std::optional(kValues) : std::nullopt);
    VARVE_ASSERT_OK(writer->Store(next));
    EXPECT_EQ(reader->Load(), next);
  }
}

TEST_P(LiveLineTest, WhatIsThereAlreadyIsNotWrittenAgain) {
  FaultyFileSystem counting(&memory_);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto writer, LiveLine::Create(&counting, "orders-0", kLineage));
  StoreAll(writer.get(), kValues);
  const auto writes_of = [&](const std::function<void()>& store) {
    const uint64_t before = counting.operation_count(FileOperation::kWrite);
    store();
    return counting.operation_count(FileOperation::kWrite) - before;
  };
  LiveValues next = kValues;
  next.end_offset = 150;
  // The sequence twice and the run of words that has the end.
  EXPECT_EQ(writes_of([&] { VARVE_EXPECT_OK(writer->Store(next)); }), GetParam() ? 0u : 3u);
  EXPECT_EQ(writes_of([&] { VARVE_EXPECT_OK(writer->StoreDurable(kValues.durable_offset)); }), 0u);
  EXPECT_EQ(writes_of([&] { VARVE_EXPECT_OK(writer->StoreDurable(150)); }), GetParam() ? 0u : 1u);
  EXPECT_EQ(writes_of([&] { VARVE_EXPECT_OK(writer->StopService()); }), GetParam() ? 0u : 1u);
}

TEST_P(LiveLineTest, SmallStoresThatAFullDiskStopsChangeNothing) {
  FaultyFileSystem faulty(&memory_);
  VARVE_ASSERT_OK_AND_ASSIGN(const auto writer, LiveLine::Create(&faulty, "orders-0", kLineage));
  StoreAll(writer.get(), kValues);
  faulty.AddRule(
      {.operation = FileOperation::kWrite, .for_ever = true, .status = absl::ResourceExhaustedError("full")});
  const absl::StatusCode expected = GetParam() ? absl::StatusCode::kOk : absl::StatusCode::kResourceExhausted;
  EXPECT_THAT(writer->StoreDurable(150), StatusIs(expected));
  EXPECT_EQ(Open()->Load()->durable_offset, GetParam() ? 150 : kValues.durable_offset);
  EXPECT_THAT(writer->StopService(), StatusIs(expected));
  EXPECT_EQ(Open()->Load()->served, !GetParam());
}

// The system's file system, with the one answer changed: what is then mapped cannot be stored to.
class SystemFiles : public FaultyFileSystem {
 public:
  explicit SystemFiles(bool allocation_is_promise)
      : FaultyFileSystem(FileSystem::Default()), allocation_is_promise_(allocation_is_promise) {}
  absl::StatusOr<bool> AllocationIsPromise(const std::string& /*directory*/) override { return allocation_is_promise_; }

 private:
  const bool allocation_is_promise_;
};

// All values of a load but the durable offset belong to one store, on files of the system too.
TEST_P(LiveLineTest, ALoadIsOfOneStore) {
  const auto AllOf = [](int64_t value) {
    return LiveValues{.generation = static_cast<uint64_t>(value),
                      .active_base = value,
                      .end_position = value,
                      .end_offset = value,
                      .high_watermark = value,
                      .log_start_offset = value,
                      .first_open_offset = value,
                      .first_closed_offset = value,
                      .last_marker_offset = value,
                      .rule = value % 2 != 0 ? HighWatermarkRule::kValue : HighWatermarkRule::kLogEnd};
  };
  const testing_support::TemporaryDirectory directory;
  SystemFiles files(GetParam());
  VARVE_ASSERT_OK_AND_ASSIGN(const auto writer, LiveLine::Create(&files, directory.path(), kLineage));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto reader, LiveLine::Open(FileSystem::Default(), directory.path()));
  VARVE_ASSERT_OK(writer->Store(AllOf(1)));
  std::atomic<bool> done{false};
  std::thread load([&] {
    int64_t last = 1;
    while (!done.load()) {
      const auto values = reader->Load();
      ASSERT_TRUE(values.has_value());
      const int64_t value = values->end_offset;
      LiveValues expected = AllOf(values->log_start_offset);
      expected.end_position = expected.end_offset = value;
      ASSERT_EQ(*values, expected);
      ASSERT_GE(value, last);
      last = value;
    }
  });
  for (int64_t value = 2; value <= 20'000; ++value) {
    if (value % 3 == 0 && writer->StoreEnd(value, value)) continue;
    VARVE_ASSERT_OK(writer->Store(AllOf(value)));
  }
  done.store(true);
  load.join();
}

}  // namespace
}  // namespace varve::internal
