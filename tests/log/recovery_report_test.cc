#include "varve/recovery_report.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "support/status_matchers.h"

namespace varve {
namespace {

using testing_support::IsOkAndHolds;
using testing_support::StatusIs;

RecoveryReport FullReport() {
  RecoveryReport report{.clean = true,
                        .cache_survived = true,
                        .durable_offset = 1,
                        .log_start_offset = 2,
                        .log_end_offset = 3,
                        .segments = 4,
                        .segments_recovered = 5,
                        .bytes_scanned = 6,
                        .bytes_cut = 7,
                        .bytes_saved_aside = 8,
                        .batches_saved_aside = 9,
                        .duration_us = int64_t{1} << 60,
                        .damage = {{.segment = 10,
                                    .position = 11,
                                    .bytes = 12,
                                    .first_offset = 13,
                                    .last_offset = 14,
                                    .reason = "checksum \"x\" \n expected"}},
                        .findings = {}};
  for (int action = 0; action <= static_cast<int>(RecoveryAction::kIgnored); ++action) {
    report.findings.push_back({.action = static_cast<RecoveryAction>(action),
                               .rule = "4c",
                               .file = "00000000000000000000.log",
                               .position = action,
                               .bytes = 100 + action,
                               .first_offset = 200,
                               .last_offset = 300,
                               .evidence = "batch 812 absent"});
  }
  return report;
}

TEST(RecoveryReportTest, ComesBackFromJsonAsItWas) {
  EXPECT_THAT(RecoveryReport::FromJson(FullReport().ToJson()), IsOkAndHolds(FullReport()));
  EXPECT_THAT(RecoveryReport::FromJson(RecoveryReport().ToJson()), IsOkAndHolds(RecoveryReport()));
}

TEST(RecoveryReportTest, BytesThatAreNotTextDoNotMakeItFail) {
  RecoveryReport report;
  report.findings.push_back({.rule = "5", .file = "\xff\xfe.log", .evidence = "v"});
  VARVE_ASSERT_OK(RecoveryReport::FromJson(report.ToJson()));
}

// Every member of every object, left out or of a type that it cannot have.
TEST(RecoveryReportTest, AMemberThatIsMissingOrOfAnotherTypeIsDataLoss) {
  using Json = nlohmann::json;
  const Json whole = Json::parse(FullReport().ToJson());
  const Json::json_pointer objects[] = {Json::json_pointer(""), Json::json_pointer("/damage/0"),
                                        Json::json_pointer("/findings/3")};
  for (const Json::json_pointer& object : objects) {
    for (const auto& [name, value] : whole[object].items()) {
      SCOPED_TRACE(object.to_string() + "/" + name);
      Json without = whole;
      without[object].erase(name);
      EXPECT_THAT(RecoveryReport::FromJson(without.dump()), StatusIs(absl::StatusCode::kDataLoss));
      Json other = whole;
      other[object][name] = nullptr;
      EXPECT_THAT(RecoveryReport::FromJson(other.dump()), StatusIs(absl::StatusCode::kDataLoss));
      other[object][name] = 1.5;
      EXPECT_THAT(RecoveryReport::FromJson(other.dump()), StatusIs(absl::StatusCode::kDataLoss));
    }
  }
}

TEST(RecoveryReportTest, WhatIsNoReportIsDataLoss) {
  std::string unknown_action = FullReport().ToJson();
  unknown_action.replace(unknown_action.find("\"mended\""), 8, "\"minded\"");
  const std::string json = FullReport().ToJson();
  for (const std::string& text : {std::string(), std::string("{"), std::string("[]"), std::string("null"),
                                  std::string("{}"), json.substr(0, json.size() - 1), json + "}", unknown_action}) {
    EXPECT_THAT(RecoveryReport::FromJson(text),
                StatusIs(absl::StatusCode::kDataLoss, ::testing::HasSubstr("not a recovery report")))
        << text;
  }
}

TEST(RecoveryReportTest, AFindingIsOneLineForPeople) {
  RecoveryFinding finding{.action = RecoveryAction::kSavedAside,
                          .rule = "4c",
                          .file = "a.log",
                          .position = 100,
                          .bytes = 20,
                          .first_offset = 5,
                          .last_offset = 7,
                          .evidence = "why"};
  EXPECT_EQ(finding.ToString(), "a.log: saved_aside, 20 bytes at 100, offsets 5-7 (rule 4c: why)");
  finding.bytes = 0;
  finding.last_offset = 4;
  EXPECT_EQ(finding.ToString(), "a.log: saved_aside (rule 4c: why)");
}

}  // namespace
}  // namespace varve
