#include <algorithm>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "varve/verify.h"

namespace varve {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::AppendMany;
using testing_support::kDirectory;
using testing_support::LogTest;
using testing_support::ReadFiles;
using testing_support::StatusIs;
using testing_support::WriteFile;

// Opening would remove the stray snapshot; a directory that needs no repair is left as it is, and nothing else is told.
TEST_F(LogTest, RepairOfASoundDirectoryDoesNothingAndSaysNothing) {
  { AppendMany(Open().get(), 30); }
  WriteFile(&memory_, std::string(kDirectory) + "/00000000000000000003.snapshot", "stray");
  const auto before = ReadFiles(&memory_, kDirectory);
  for (const bool all : {false, true}) {
    VARVE_ASSERT_OK_AND_ASSIGN(const RecoveryReport report, Repair(&memory_, kDirectory, {.all = all}));
    EXPECT_TRUE(report.clean);
    EXPECT_EQ(report.segments_recovered, 0);
    EXPECT_THAT(report.findings, IsEmpty());
    EXPECT_EQ(ReadFiles(&memory_, kDirectory), before);
  }
  EXPECT_FALSE(Open()->recovery_report().findings.empty());
}

// After an unclean stop the segments from the recovery point on, or all; so also where damage hides behind a clean mark.
TEST_F(LogTest, RepairOfAllRecoversEverySegmentWhereAnythingIsWrong) {
  { AppendMany(Open().get(), 30); }
  const auto files = ReadFiles(&memory_, kDirectory);
  const auto last =
      std::find_if(files.rbegin(), files.rend(), [](const auto& file) { return file.first.ends_with(".log"); });
  ASSERT_NE(last, files.rend());
  for (const bool all : {false, true}) {
    WriteFile(&memory_, std::string(kDirectory) + "/" + last->first, last->second + "torn");
    VARVE_ASSERT_OK_AND_ASSIGN(const RecoveryReport report, Repair(&memory_, kDirectory, {.all = all}));
    ASSERT_GT(report.segments, 3);
    EXPECT_EQ(report.segments_recovered, all ? report.segments : 1);
    EXPECT_EQ(report.bytes_cut, 4);
  }
}

TEST_F(LogTest, RepairByForceRecoversASoundDirectory) {
  { AppendMany(Open().get(), 30); }
  VARVE_ASSERT_OK_AND_ASSIGN(const RecoveryReport report, Repair(&memory_, kDirectory, {.all = true, .force = true}));
  EXPECT_FALSE(report.clean);
  EXPECT_EQ(report.segments_recovered, report.segments);
  EXPECT_EQ(report.log_end_offset, 30);
}

TEST_F(LogTest, TheLastReportIsWhatTheLastOpeningWithNewsToldOf) {
  { AppendMany(Open().get(), 30); }
  EXPECT_THAT(LastReport(&memory_, kDirectory), StatusIs(absl::StatusCode::kNotFound));
  WriteFile(&memory_, std::string(kDirectory) + "/00000000000000000003.snapshot", "stray");
  const RecoveryReport told = Open()->recovery_report();
  ASSERT_TRUE(told.HasNews());
  EXPECT_FALSE(Open()->recovery_report().HasNews());
  VARVE_ASSERT_OK_AND_ASSIGN(const RecoveryReport report, LastReport(&memory_, kDirectory));
  EXPECT_EQ(report.findings, told.findings);
  WriteFile(&memory_, std::string(kDirectory) + "/varve.report", "no report");
  EXPECT_THAT(LastReport(&memory_, kDirectory), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("varve.report")));
}

}  // namespace
}  // namespace varve
