// A compaction that is stopped by the death of the process, by power loss, or by an operation that fails: no record is
// lost, invented or there twice, and the latest of each key is there at once. Records that are appended between its steps
// are as safe as others.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/compacted_log.h"
#include "log/log_places.h"
#include "support/status_matchers.h"
#include "varve/log.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using testing_support::AppendKeyed;
using testing_support::CompactedOptions;
using testing_support::ExpectLatest;
using testing_support::kPartition;
using testing_support::LogTest;
using testing_support::OpenLog;

constexpr int64_t kRecords = 30;

class LogCompactionFaultsTest : public LogTest, public ::testing::WithParamInterface<IoMode> {
 protected:
  LogOptions Options(FileSystem* file_system) {
    LogOptions options = CompactedOptions(file_system, &clock_, GetParam());
    // Some groups are of one segment, some of several.
    options.segment_bytes = 512;
    return options;
  }

  // A log that was compacted once, and has both clean and dirty segments; the last records are not synced.
  std::unique_ptr<Log> SetUpLog(FileSystem* file_system) {
    std::unique_ptr<Log> log = OpenLog(kPartition, Options(file_system));
    if (log == nullptr) return nullptr;
    AppendKeyed(log.get(), kRecords - 12);
    EXPECT_TRUE(log->Compact({.force = true}).ok());
    AppendKeyed(log.get(), 12, {.ack = Ack::kDurable});
    return log;
  }

  // Opens what is left of a log that holds all below `end` at least, compacts that, and opens it again.
  void ExpectWhole(MemoryFileSystem* disk, int64_t end) {
    {
      const auto log = OpenLog(kPartition, Options(disk));
      ASSERT_NE(log, nullptr);
      ASSERT_TRUE(log->damage().empty()) << log->recovery_report().ToJson();
      ASSERT_GE(log->log_end_offset(), end);
      end = log->log_end_offset();
      ExpectLatest(*log, end);
      AppendKeyed(log.get(), 3, {.ack = Ack::kDurable});
      VARVE_ASSERT_OK(log->Compact({.force = true}));
      ExpectLatest(*log, end + 3);
    }
    const auto log = OpenLog(kPartition, Options(disk));
    ASSERT_NE(log, nullptr);
    ExpectLatest(*log, end + 3);
  }

  // Compacts in steps of a batch, and appends a record after each fourth of them. *durable_end: below it all is
  // acknowledged.
  absl::Status CompactAndAppend(Log* log, int64_t* durable_end) {
    auto pass = log->BeginCompaction({.force = true});
    if (!pass.ok()) return pass.status();
    for (int step = 1;; ++step) {
      const absl::StatusOr<bool> done = (*pass)->Step({.bytes = 1});
      if (!done.ok() || *done) return done.status();
      if (step % 4 != 0) continue;
      const int64_t offset = log->log_end_offset();
      const std::string key = testing_support::KeyAt(offset);
      const std::string value = testing_support::ValueAt(offset);
      const auto appended = log->Append({{.key = key, .value = value, .timestamp_ms = 1}}, {.ack = Ack::kDurable});
      if (!appended.ok()) return appended.status();
      *durable_end = offset + 1;
    }
  }
};

INSTANTIATE_TEST_SUITE_P(, LogCompactionFaultsTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

// The n-th operation and all after it fail, so that the disk stays as it was then: there the process or the machine
// dies.
TEST_P(LogCompactionFaultsTest, ACrashAtAnyOperationLosesNothing) {
  for (uint64_t nth = 1;; ++nth) {
    SCOPED_TRACE(::testing::Message() << "operation " << nth);
    MemoryFileSystem disk;
    FaultyFileSystem faulty(&disk);
    const auto log = SetUpLog(&faulty);
    ASSERT_NE(log, nullptr);
    faulty.AddRule({.nth = nth, .for_ever = true, .status = absl::InternalError("crashed")});
    int64_t durable_end = kRecords;
    const bool compacted = CompactAndAppend(log.get(), &durable_end).ok();
    const bool fired = faulty.faults_fired() > 0;
    ASSERT_TRUE(compacted || fired);
    ASSERT_NO_FATAL_FAILURE(ExpectWhole(disk.CloneAfterProcessDeath().get(), durable_end));
    for (const CrashMode mode : {CrashMode::kLoseAllUnsynced, CrashMode::kRandom}) {
      SCOPED_TRACE(mode == CrashMode::kRandom ? "random" : "all unsynced lost");
      ASSERT_NO_FATAL_FAILURE(ExpectWhole(disk.CloneAfterCrash({.seed = nth, .mode = mode}).get(), durable_end));
    }
    if (!fired) {
      EXPECT_GT(nth, 70u);
      EXPECT_GT(durable_end, kRecords + 2);
      return;
    }
  }
}

// Either the log goes on as it was, or it refuses appends until it is reopened; reads go on in both.
TEST_P(LogCompactionFaultsTest, AnOperationThatFailsLosesNothing) {
  int went_on = 0;
  int poisoned = 0;
  for (const bool after_effect : {false, true}) {
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(::testing::Message() << "operation " << nth << (after_effect ? ", carried out" : ""));
      MemoryFileSystem disk;
      FaultyFileSystem faulty(&disk);
      bool fired = false;
      {
        const auto log = SetUpLog(&faulty);
        ASSERT_NE(log, nullptr);
        const size_t rule = faulty.AddRule({.nth = nth, .after_effect = after_effect});
        const absl::Status compacted = log->Compact({.force = true}).status();
        fired = faulty.faults_fired(rule) > 0;
        ASSERT_TRUE(compacted.ok() || fired);
        if (!compacted.ok()) {
          EXPECT_THAT(compacted.message(), ::testing::HasSubstr("injected fault")) << "says why";
        }
        faulty.ClearRules();
        ExpectLatest(*log, kRecords);
        const absl::Status appended = log->Append({{.key = testing_support::KeyAt(kRecords),
                                                    .value = testing_support::ValueAt(kRecords),
                                                    .timestamp_ms = 1}})
                                          .status();
        const bool writable = appended.ok();
        if (!writable) {
          EXPECT_FALSE(compacted.ok());
          EXPECT_THAT(appended, testing_support::StatusIs(absl::StatusCode::kFailedPrecondition,
                                                          ::testing::HasSubstr("injected fault")));
        }
        ++(writable ? went_on : poisoned);
        ExpectLatest(*log, kRecords + (writable ? 1 : 0));
        if (writable) {
          VARVE_ASSERT_OK(log->Compact({.force = true}));
          VARVE_ASSERT_OK(log->TruncateTo(kRecords));
        }
        ExpectLatest(*log, kRecords);
      }
      ASSERT_NO_FATAL_FAILURE(ExpectWhole(&disk, kRecords));
      if (!fired) break;
    }
  }
  EXPECT_GT(went_on, 20);
  EXPECT_GT(poisoned, 5);
}

}  // namespace
}  // namespace varve
