#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/log_places.h"
#include "log/partition_fixture.h"
#include "varve/verify.h"

namespace varve {
namespace {

using ::testing::IsEmpty;
using testing_support::AppendMany;
using testing_support::kDirectory;
using testing_support::LogTest;
using testing_support::ReadFiles;
using testing_support::WriteFile;

// Opening would remove the stray snapshot; a directory that needs no repair is left as it is, and nothing else is told.
TEST_F(LogTest, RepairOfASoundDirectoryDoesNothingAndSaysNothing) {
  { AppendMany(Open().get(), 30); }
  WriteFile(&memory_, std::string(kDirectory) + "/00000000000000000003.snapshot", "stray");
  const auto before = ReadFiles(&memory_, kDirectory);
  VARVE_ASSERT_OK_AND_ASSIGN(const RecoveryReport report, Repair(&memory_, kDirectory, {}));
  EXPECT_TRUE(report.clean);
  EXPECT_THAT(report.findings, IsEmpty());
  EXPECT_EQ(ReadFiles(&memory_, kDirectory), before);
  EXPECT_FALSE(Open()->recovery_report().findings.empty());
}

}  // namespace
}  // namespace varve
