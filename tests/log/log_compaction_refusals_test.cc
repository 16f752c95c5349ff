// Each call of a compaction fails in its turn, alone or with all that follow: the compaction says why, every record is
// served meanwhile, and the log opens and is compacted as if nothing had been.
#include <cstdint>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/compacted_log.h"
#include "log/log_places.h"
#include "support/status_matchers.h"
#include "varve/log.h"
#include "varve/log_reader.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using testing_support::AppendKeyed;
using testing_support::CompactedOptions;
using testing_support::ExpectLatest;
using testing_support::kPartition;
using testing_support::LogTest;
using testing_support::OpenLog;
using testing_support::StatusIs;

constexpr int64_t kRecords = 24;

class LogCompactionRefusalsTest : public LogTest, public ::testing::WithParamInterface<IoMode> {
 protected:
  LogOptions Options(FileSystem* file_system) {
    LogOptions options = CompactedOptions(file_system, &clock_, GetParam());
    options.max_compaction_lag_ms = 1'000'000'000;  // so that the times of segments are looked for
    return options;
  }

  // Compacted once, and written to since; closed.
  void SetUp() override {
    const auto log = OpenLog(kPartition, Options(&memory_));
    ASSERT_NE(log, nullptr);
    AppendKeyed(log.get(), kRecords - 10);
    VARVE_ASSERT_OK(log->Compact({.force = true}));
    AppendKeyed(log.get(), 10);
    VARVE_ASSERT_OK(log->Close());
  }
};

INSTANTIATE_TEST_SUITE_P(, LogCompactionRefusalsTest, ::testing::Values(IoMode::kMapped, IoMode::kWrite),
                         [](const auto& param) { return param.param == IoMode::kMapped ? "Mapped" : "Write"; });

TEST_P(LogCompactionRefusalsTest, ACallThatFailsCostsNoRecord) {
  for (const bool for_ever : {false, true}) {
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(::testing::Message() << "call " << nth << (for_ever ? " and all later ones" : ""));
      const std::unique_ptr<MemoryFileSystem> disk = memory_.CloneAfterProcessDeath();
      FaultyFileSystem faulty(disk.get());
      bool fired = false;
      {
        const auto log = OpenLog(kPartition, Options(&faulty));
        ASSERT_NE(log, nullptr);
        // A device that fails for good is another matter: what it cannot read is damage.
        const absl::Status status = for_ever ? absl::ResourceExhaustedError("injected fault: no room")
                                             : absl::InternalError("injected fault: bad sector");
        const size_t rule = faulty.AddRule({.nth = nth, .for_ever = for_ever, .status = status});
        const absl::Status compacted = log->Compact({.force = true}).status();
        fired = faulty.faults_fired(rule) > 0;
        ASSERT_TRUE(compacted.ok() || fired) << compacted;
        if (!compacted.ok()) {
          EXPECT_THAT(compacted.message(), ::testing::HasSubstr("injected fault"));
        }
        faulty.ClearRules();
        ExpectLatest(*log, kRecords);
      }
      const auto log = OpenLog(kPartition, Options(disk.get()));
      ASSERT_NE(log, nullptr);
      EXPECT_TRUE(log->damage().empty());
      ExpectLatest(*log, kRecords);
      VARVE_ASSERT_OK(log->Compact({.force = true}));
      ExpectLatest(*log, kRecords);
      if (HasFailure()) return;
      if (fired) continue;
      EXPECT_GT(nth, 50u);
      break;
    }
  }
}

// What it could not read meanwhile is no reason any more, though nobody else has read it since.
TEST_P(LogCompactionRefusalsTest, ADeviceThatFailedForAWhileHoldsNothingUp) {
  FaultyFileSystem faulty(&memory_);
  const auto log = OpenLog(kPartition, Options(&faulty));
  ASSERT_NE(log, nullptr);
  faulty.AddRule({.operation = FileOperation::kRead, .path_part = ".log", .for_ever = true});
  faulty.AddRule({.operation = FileOperation::kPopulate, .for_ever = true});
  EXPECT_THAT(log->NewReader().Read(log->log_start_offset()).status(), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_FALSE(log->damage().empty());
  EXPECT_THAT(log->Compact({.force = true}), StatusIs(absl::StatusCode::kInternal));
  faulty.ClearRules();
  VARVE_EXPECT_OK(log->Compact({.force = true}));
  EXPECT_TRUE(log->damage().empty());
  ExpectLatest(*log, kRecords);
}

}  // namespace
}  // namespace varve
