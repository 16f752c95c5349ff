// What the tests of maintenance share: several logs of tiny segments in memory, a clock that stands still, and what
// callbacks were told.
#ifndef VARVE_TESTS_STORE_MAINTAINED_LOGS_H_
#define VARVE_TESTS_STORE_MAINTAINED_LOGS_H_

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "gtest/gtest.h"
#include "log/log_places.h"
#include "support/hooked_file_system.h"
#include "varve/log.h"
#include "varve/maintenance.h"

namespace varve::testing_support {

class MaintainedLogsTest : public LogTest {
 protected:
  MaintainedLogsTest() {
    options_.file_system = &hooked_;
    maintenance_options_.clock = &clock_;
    maintenance_options_.on_event = [this](const MaintenanceEvent& event) { Note(event); };
  }

  std::unique_ptr<Maintenance> Create() {
    auto maintenance = Maintenance::Create(maintenance_options_);
    EXPECT_TRUE(maintenance.ok()) << maintenance.status();
    return *std::move(maintenance);
  }

  std::shared_ptr<Log> AddLog(Maintenance* maintenance, const std::string& directory) {
    std::shared_ptr<Log> log = OpenLog(directory, options_);
    const absl::Status added = maintenance->Add(log);
    EXPECT_TRUE(added.ok()) << added;
    return log;
  }

  // Answers how many steps it took.
  static int RunAllDue(Maintenance* maintenance) {
    int steps = 0;
    while (maintenance->RunStep().worked()) {
      if (++steps < 10'000) continue;
      ADD_FAILURE() << "there is no end to what is due";
      break;
    }
    return steps;
  }

  void Note(const MaintenanceEvent& event) {
    constexpr const char* kNames[] = {"flush", "retention", "files", "producers", "compaction"};
    told_.push_back(event.log->directory() + " " + kNames[static_cast<size_t>(event.kind)] +
                    (event.result.ok() ? "" : " failed"));
    if (!event.result.ok()) return;
    EXPECT_EQ(event.result->index(), static_cast<size_t>(event.kind));
    if (const auto* const flushed = std::get_if<FlushedLog>(&*event.result)) flushed_offset_ = flushed->durable_offset;
  }

  HookedFileSystem hooked_{&memory_};
  MaintenanceOptions maintenance_options_;
  std::vector<std::string> told_;
  int64_t flushed_offset_ = 0;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_STORE_MAINTAINED_LOGS_H_
