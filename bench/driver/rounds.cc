#include "driver/rounds.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "driver/failure.h"

namespace varve::bench {

namespace fs = std::filesystem;

double Round::Of(const std::string& subject, size_t figure) const {
  for (const auto& [name, values] : results_) {
    if (name == subject) return values.at(figure);
  }
  Fail("no subject " + subject + " has run");
}

Spread SpreadOf(std::vector<double> values) {
  std::erase_if(values, [](double value) { return std::isnan(value); });
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  if (values.empty()) return {kNone, kNone, kNone};
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return {median, values.front(), values.back()};
}

RoundRunner::RoundRunner(Work work, std::string directory) : work_(std::move(work)), directory_(std::move(directory)) {}

std::vector<std::pair<std::string, Values>> RoundRunner::RunRound() const {
  Round round;
  round.directory_ = directory_ + "/round";
  for (const Subject& subject : work_.subjects) {
    fs::remove_all(round.directory_);
    fs::create_directory(round.directory_);
    ::sync();  // nobody pays for what another has left to be written
    Values values = subject.run(round);
    Check(values.size() == work_.figures.size(), "not a value for each figure");
    round.results_.emplace_back(subject.name, std::move(values));
  }
  fs::remove_all(round.directory_);
  return round.results_;
}

std::vector<double> ValuesOf(const Results& results, const std::string& subject, size_t figure) {
  std::vector<double> values;
  for (const Values& of_round : results.at(subject)) values.push_back(of_round.at(figure));
  return values;
}

double RatioTo(const Beside& beside, const Results& results, const std::string& subject, size_t figure) {
  const double median = SpreadOf(ValuesOf(results, subject, figure)).median;
  return beside.limit.empty() ? median : median / SpreadOf(ValuesOf(results, beside.limit, figure)).median;
}

}  // namespace varve::bench
