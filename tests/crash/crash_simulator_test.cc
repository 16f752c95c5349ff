// The simulator itself, with programs that are right and programs that are wrong.
#include "varve/testing/crash_simulator.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"

namespace varve {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing_support::StatusIs;

std::string ContentOf(FileSystem* file_system, const std::string& path) {
  const auto file = file_system->Open(path, OpenMode::kRead);
  if (!file.ok()) return "";
  std::string content(64, '\0');
  const auto count = (*file)->ReadAt(0, std::as_writable_bytes(std::span(content)));
  EXPECT_TRUE(count.ok()) << count.status();
  content.resize(count.value_or(0));
  return content;
}

// Puts a text into a file, stable or not, and acknowledges it.
struct Program {
  FileSystem* file_system;
  bool syncs_bytes = true;
  bool syncs_names = true;
  std::string acknowledged = {};

  void Write(const std::string& path, std::string_view text) {
    {
      VARVE_ASSERT_OK_AND_ASSIGN(const auto file, file_system->Open(path, OpenMode::kCreate));
      VARVE_ASSERT_OK(file->WriteAt(0, std::as_bytes(std::span(text))));
      if (syncs_bytes) {
        VARVE_ASSERT_OK(file->SyncData());
      }
    }
    if (syncs_names) {
      VARVE_ASSERT_OK(file_system->SyncDirectory("/"));
    }
    acknowledged = text;
  }
};

TEST(CrashSimulatorTest, EveryCallThatChangesSomethingIsAPoint) {
  std::vector<std::string> points;
  CrashSimulator simulator({.states_per_point = 1}, [&](const CrashState& state) {
    if (state.depth == 0) points.push_back(state.point);
    return absl::OkStatus();
  });
  Program program{simulator.file_system()};
  program.Write("a", "text");
  VARVE_ASSERT_OK(simulator.file_system()->Rename("a", "b"));
  EXPECT_EQ(ContentOf(simulator.file_system(), "b"), "text");
  VARVE_ASSERT_OK(simulator.file_system()->Remove("b"));
  simulator.CrashHere("at the end");
  EXPECT_THAT(points, ElementsAre("creation of a", "write of a", "sync of a", "sync of the names of /",
                                  "renaming of a to b", "removal of b", "at the end"));
  EXPECT_EQ(simulator.point_count(), 7u);
  EXPECT_EQ(simulator.state_count(), 7u);
}

// What a host's test looks like: true if the program was found out.
absl::Status RunProgram(bool syncs_bytes, bool syncs_names, const CrashSimulatorOptions& options, uint64_t* states) {
  Program program{.file_system = nullptr, .syncs_bytes = syncs_bytes, .syncs_names = syncs_names};
  CrashSimulator simulator(options, [&](const CrashState& state) -> absl::Status {
    if (program.acknowledged.empty() || ContentOf(state.file_system, "a") == program.acknowledged) {
      return absl::OkStatus();
    }
    return absl::DataLossError("lost");
  });
  program.file_system = simulator.file_system();
  program.Write("a", "text");
  simulator.CrashHere("acknowledged");
  *states = simulator.state_count();
  return simulator.status();
}

TEST(CrashSimulatorTest, AMissingSyncIsFoundAndItsStateMadeAgain) {
  uint64_t states = 0;
  VARVE_EXPECT_OK(RunProgram(true, true, {.states_per_point = 30}, &states));
  EXPECT_GT(states, 100u);
  for (const bool syncs_bytes : {false, true}) {
    SCOPED_TRACE(syncs_bytes ? "names are not synced" : "bytes are not synced");
    const absl::Status found = RunProgram(syncs_bytes, !syncs_bytes, {.seed = 9, .states_per_point = 30}, &states);
    ASSERT_THAT(found, StatusIs(absl::StatusCode::kDataLoss,
                                AllOf(HasSubstr("seed 9"), HasSubstr("power lost"), HasSubstr("acknowledged: lost"))));
    std::string id(found.message());
    id = id.substr(id.find("state ") + 6);
    id = id.substr(0, id.find(','));
    EXPECT_EQ(RunProgram(syncs_bytes, !syncs_bytes, {.seed = 9, .states_per_point = 30, .only_id = id}, &states),
              found);
    EXPECT_EQ(states, 1u);
  }
}

TEST(CrashSimulatorTest, WhatWasWrittenSurvivesTheDeathOfTheProcess) {
  int deaths = 0;
  int losses = 0;
  CrashSimulator simulator({.states_per_point = 60}, [&](const CrashState& state) {
    if (state.point != "written") return absl::OkStatus();
    const bool there = ContentOf(state.disk, "a") == "text";
    EXPECT_EQ(state.rebooted, state.power_lost);
    EXPECT_EQ(state.file_system->BootId(), state.disk->BootId());
    if (!state.power_lost) {
      ++deaths;
      EXPECT_TRUE(there) << state.id;
    } else if (!there) {
      ++losses;
    }
    return absl::OkStatus();
  });
  Program program{.file_system = simulator.file_system(), .syncs_bytes = false, .syncs_names = false};
  program.Write("a", "text");
  simulator.CrashHere("written");
  EXPECT_GT(deaths, 0);
  EXPECT_GT(losses, 0);
}

// A recovery that must find the text below either name, at whatever point of it the machine crashes again.
TEST(CrashSimulatorTest, ACheckIsCrashedToo) {
  std::set<int> depths;
  std::set<bool> rebooted_after_power_loss;
  CrashSimulator simulator({.states_per_point = 8, .max_depth = 2, .nested_point_one_in = 1},
                           [&](const CrashState& state) -> absl::Status {
                             depths.insert(state.depth);
                             if (state.power_lost) rebooted_after_power_loss.insert(state.rebooted);
                             if (state.point == "creation of a") return absl::OkStatus();
                             if (ContentOf(state.file_system, "recovered") == "text") return absl::OkStatus();
                             if (ContentOf(state.file_system, "a") != "text") return absl::OkStatus();
                             absl::Status renamed = state.file_system->Rename("a", "recovered");
                             if (renamed.ok()) renamed = state.file_system->SyncDirectory("/");
                             return renamed;
                           });
  Program program{simulator.file_system()};
  program.Write("a", "text");
  simulator.CrashHere("at the end");
  VARVE_EXPECT_OK(simulator.status());
  EXPECT_EQ(depths, std::set<int>({0, 1, 2}));
  EXPECT_EQ(rebooted_after_power_loss, std::set<bool>({false, true}));
}

TEST(CrashSimulatorTest, TheProgramGoesOnAfterACrashInEarnest) {
  CrashSimulator simulator({.states_per_point = 1}, [&](const CrashState&) { return absl::OkStatus(); });
  Program program{simulator.file_system()};
  program.Write("a", "text");
  FileSystem* const before = simulator.file_system();
  const std::string boot_id = before->BootId();
  simulator.KillProcess();
  EXPECT_EQ(simulator.file_system()->BootId(), boot_id);
  simulator.CutPower();
  EXPECT_NE(simulator.file_system()->BootId(), boot_id);
  EXPECT_EQ(ContentOf(simulator.file_system(), "a"), "text");
  // What still runs of the old program changes nothing, and is no point.
  const uint64_t points = simulator.point_count();
  VARVE_ASSERT_OK(before->Remove("a"));
  EXPECT_EQ(simulator.point_count(), points);
  EXPECT_EQ(ContentOf(simulator.file_system(), "a"), "text");
  VARVE_ASSERT_OK(simulator.file_system()->Remove("a"));
  EXPECT_EQ(simulator.point_count(), points + 1);
}

TEST(CrashSimulatorTest, OneInSoManyPoints) {
  CrashSimulator simulator({.point_one_in = 4, .states_per_point = 1},
                           [&](const CrashState&) { return absl::OkStatus(); });
  for (int number = 0; number < 400; ++number) simulator.CrashHere("here");
  EXPECT_GT(simulator.point_count(), 50u);
  EXPECT_LT(simulator.point_count(), 150u);
}

TEST(CrashSimulatorTest, ThreadsAreCrashedOneAtATime) {
  std::atomic<int> checks{0};
  CrashSimulator simulator({.states_per_point = 1, .max_depth = 0}, [&](const CrashState& state) {
    EXPECT_EQ(checks.fetch_add(1), 0);
    (void)ContentOf(state.file_system, "0");
    checks.fetch_sub(1);
    return absl::OkStatus();
  });
  std::vector<std::thread> threads;
  for (int number = 0; number < 4; ++number) {
    threads.emplace_back([&simulator, number] {
      Program program{simulator.file_system()};
      program.Write(std::to_string(number), "text");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(simulator.point_count(), 16u);
}

}  // namespace
}  // namespace varve
