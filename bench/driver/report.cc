#include "driver/report.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>

namespace varve::bench {

namespace {

nlohmann::json NumberOrNull(double value) { return std::isnan(value) ? nlohmann::json() : nlohmann::json(value); }

const char* Word(Better better) { return better == Better::kLess ? "less" : "more"; }

bool Met(Better better, double ratio, double target) {
  return better == Better::kLess ? ratio <= target : ratio >= target;
}

// A target is of one figure; beside a limit the others are set, too.
std::optional<double> TargetOf(const Beside& beside, size_t figure) {
  return beside.figure == figure ? beside.target : std::nullopt;
}

bool Applies(const Beside& beside, size_t figure) { return !beside.limit.empty() || beside.figure == figure; }

std::string Shown(double value) {
  if (std::isnan(value)) return "-";
  return std::abs(value) < 100 ? fmt::format("{:.3g}", value) : fmt::format("{:.0f}", value);
}

}  // namespace

nlohmann::json FormOf(const Work& work) {
  nlohmann::json form = {
      {"work", work.name}, {"figures", nlohmann::json::array()}, {"subjects", nlohmann::json::array()}};
  for (const Figure& figure : work.figures) {
    form["figures"].push_back({{"name", figure.name}, {"unit", figure.unit}, {"better", Word(figure.better)}});
  }
  for (const Subject& subject : work.subjects) {
    nlohmann::json beside = nlohmann::json::array();
    for (const Beside& one : subject.beside) {
      beside.push_back({{"limit", one.limit.empty() ? nlohmann::json() : nlohmann::json(one.limit)},
                        {"figure", work.figures.at(one.figure).name},
                        {"target", one.target ? nlohmann::json(*one.target) : nlohmann::json()}});
    }
    form["subjects"].push_back({{"name", subject.name}, {"beside", beside}});
  }
  return form;
}

nlohmann::json RoundOf(const Work& work, const std::vector<std::pair<std::string, Values>>& results) {
  nlohmann::json round = {{"work", work.name}, {"round", nlohmann::json::array()}};
  for (const auto& [subject, values] : results) {
    nlohmann::json numbers = nlohmann::json::array();
    for (const double value : values) numbers.push_back(NumberOrNull(value));
    round["round"].push_back({{"subject", subject}, {"values", numbers}});
  }
  return round;
}

std::vector<nlohmann::json> MeasurementsOf(const Work& work, const Results& results) {
  std::vector<nlohmann::json> measurements;
  for (const Subject& subject : work.subjects) {
    for (size_t index = 0; index < work.figures.size(); ++index) {
      const Figure& figure = work.figures[index];
      const std::vector<double> values = ValuesOf(results, subject.name, index);
      const Spread spread = SpreadOf(values);
      if (std::isnan(spread.median)) continue;
      nlohmann::json ratios = nlohmann::json::array();
      for (const Beside& beside : subject.beside) {
        const double ratio = RatioTo(beside, results, subject.name, index);
        if (!Applies(beside, index) || std::isnan(ratio)) continue;
        nlohmann::json one = {{"limit", beside.limit.empty() ? nlohmann::json() : nlohmann::json(beside.limit)},
                              {"ratio", ratio}};
        if (const auto target = TargetOf(beside, index)) {
          one["target"] = *target;
          one["met"] = Met(figure.better, ratio, *target);
        }
        ratios.push_back(one);
      }
      measurements.push_back({{"work", work.name},
                              {"subject", subject.name},
                              {"figure", figure.name},
                              {"unit", figure.unit},
                              {"better", Word(figure.better)},
                              {"rounds", values},
                              {"median", spread.median},
                              {"least", spread.least},
                              {"most", spread.most},
                              {"ratios", ratios}});
    }
  }
  return measurements;
}

void PrintTable(const Work& work, const Results& results) {
  fmt::print("\n{}\n", work.name);
  for (const nlohmann::json& one : MeasurementsOf(work, results)) {
    fmt::print("  {:<52} {:<12} {:>9} {:<10} ({} to {})\n", one["subject"].get<std::string>(),
               one["figure"].get<std::string>(), Shown(one["median"].get<double>()), one["unit"].get<std::string>(),
               Shown(one["least"].get<double>()), Shown(one["most"].get<double>()));
    for (const nlohmann::json& ratio : one["ratios"]) {
      std::string line = ratio["limit"].is_null() ? std::string("by itself")
                                                  : fmt::format("{:.2f} x {}", ratio["ratio"].get<double>(),
                                                                ratio["limit"].get<std::string>());
      if (ratio.contains("target")) {
        line += fmt::format("; at {} {:.2f} asked: {}", one["better"] == "less" ? "most" : "least",
                            ratio["target"].get<double>(), ratio["met"].get<bool>() ? "met" : "MISSED");
      }
      fmt::print("  {:>66} {}\n", "", line);
    }
  }
  std::fflush(stdout);
}

}  // namespace varve::bench
