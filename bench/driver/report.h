// The forms in which the driver tells what it measured: a table for people, JSON for programs.
#ifndef VARVE_BENCH_DRIVER_REPORT_H_
#define VARVE_BENCH_DRIVER_REPORT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "driver/rounds.h"
#include "driver/work.h"

namespace varve::bench {

// {"work", "figures": [{"name", "unit", "better"}], "subjects": [{"name", "beside": [{"limit", "figure", "target"}]}]};
// a limit of null is a bound by itself.
[[nodiscard]] nlohmann::json FormOf(const Work& work);

// {"work", "round": [{"subject", "values"}]}, a value of null where there is none.
[[nodiscard]] nlohmann::json RoundOf(const Work& work, const std::vector<std::pair<std::string, Values>>& results);

// A measurement for each subject and figure: {"work", "subject", "figure", "unit", "better", "rounds", "median",
// "least", "most", "ratios": [{"limit", "ratio", "target", "met"}]}.
[[nodiscard]] std::vector<nlohmann::json> MeasurementsOf(const Work& work, const Results& results);

// A line for each measurement, with the ratios to its limits.
void PrintTable(const Work& work, const Results& results);

}  // namespace varve::bench

#endif  // VARVE_BENCH_DRIVER_REPORT_H_
