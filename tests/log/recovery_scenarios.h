// What the tests of failing recoveries share: partitions whose opening has much to put right, and what a log is to its
// users.
#ifndef VARVE_TESTS_LOG_RECOVERY_SCENARIOS_H_
#define VARVE_TESTS_LOG_RECOVERY_SCENARIOS_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "log/partition_fixture.h"

namespace varve::testing_support {

inline constexpr char kFirstLog[] = "00000000000000000000.log";

// Segments 0 to 9 and 10 to 19, all durable; everything is to be scanned.
void SetUpDurable(Partition* partition, int64_t log_start_offset = 0);

struct RecoveryScenario {
  const char* name;
  std::function<void(Partition*)> set_up;
};
[[nodiscard]] std::vector<RecoveryScenario> RecoveryScenarios();

// What a log is to its users.
struct RecoveryOutcome {
  int64_t log_start_offset = 0;
  int64_t log_end_offset = 0;
  std::vector<std::string> served;
  FileMap saved_aside;

  [[nodiscard]] static RecoveryOutcome Of(FileSystem* file_system, const internal::LoadedLog& loaded);
  friend bool operator==(const RecoveryOutcome&, const RecoveryOutcome&) = default;
};
[[nodiscard]] std::string Describe(const RecoveryOutcome& outcome);

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_LOG_RECOVERY_SCENARIOS_H_
