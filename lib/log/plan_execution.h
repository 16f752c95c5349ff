// Plan execution: carries a LoadPlan out, in an order that a crash may interrupt anywhere: the next opening judges the
// same again and goes on (durability notes, Opening 9). varve.state keeps saying what it said until the very end, so
// that what the plan rests on stays true as long as it is needed; only a clean mark goes first.
#ifndef VARVE_LIB_LOG_PLAN_EXECUTION_H_
#define VARVE_LIB_LOG_PLAN_EXECUTION_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "log/load_plan.h"
#include "log/log_loader.h"
#include "log/partition_state.h"
#include "varve/file_system.h"
#include "varve/log_options.h"

namespace varve::internal {

// `report` has the findings so far. Errors: as the file system.
[[nodiscard]] absl::StatusOr<LoadedLog> ExecutePlan(FileSystem* file_system, const std::string& directory,
                                                    const LogOptions& options, LoadPlan plan, RecoveryReport report);

}  // namespace varve::internal

#endif  // VARVE_LIB_LOG_PLAN_EXECUTION_H_
