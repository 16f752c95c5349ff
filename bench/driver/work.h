// Work, Subject: what is measured, and what each result is set beside.
//
// A work is something to do, such as appending records one by one. Its subjects do it in turn, in rounds: varve, and
// the limits of the machine, which do no more than must be done. Each run of a subject yields one value for each figure
// of the work. The ratio of a subject to a limit is that of their medians over the rounds of one run.
//
// A limit may be made of others, as a copy and a checksum: such a subject reads what those gave in the same round.
#ifndef VARVE_BENCH_DRIVER_WORK_H_
#define VARVE_BENCH_DRIVER_WORK_H_

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "driver/sizes.h"

namespace varve::bench {

enum class Better { kLess, kMore };

struct Figure {
  std::string name;
  std::string unit;
  Better better = Better::kLess;
};

// One value for each figure of the work, in their order. Not a number: this subject has no such value.
using Values = std::vector<double>;

// What a subject is set beside: another of the same work, with the ratio that is to be reached of one figure, if any:
// at most or at least, as the figure is the better for less or for more.
struct Beside {
  std::string limit;
  std::optional<double> target = std::nullopt;
  size_t figure = 0;
};

// One round of a work, while it runs.
class Round {
 public:
  // For files of the subject that runs: empty when it begins, removed when it ends.
  [[nodiscard]] const std::string& directory() const { return directory_; }

  // What a subject that ran before in this round gave for a figure. Ends the program if it did not.
  [[nodiscard]] double Of(const std::string& subject, size_t figure = 0) const;

 private:
  friend class RoundRunner;
  std::string directory_;
  std::vector<std::pair<std::string, Values>> results_;
};

struct Subject {
  std::string name;
  std::function<Values(const Round&)> run;
  std::vector<Beside> beside = {};
};

struct Work {
  std::string name;
  std::vector<Figure> figures;
  std::vector<Subject> subjects;
};

// What every work is made for.
struct Conditions {
  Sizes sizes;
  std::string directory;  // for files that are kept from round to round
};

// How to make a work. What a work prepares, such as a large log, it prepares when it first needs it, and keeps for as
// long as it lives.
struct WorkMaker {
  std::string name;
  std::function<Work(const Conditions&)> make;
};

// All works, in the order of the report.
[[nodiscard]] std::vector<WorkMaker> AllWorks();

// Those of one source each.
[[nodiscard]] std::vector<WorkMaker> AppendWorks();
[[nodiscard]] std::vector<WorkMaker> BatchWorks();
[[nodiscard]] std::vector<WorkMaker> PaceWorks();
[[nodiscard]] std::vector<WorkMaker> DurableWorks();
[[nodiscard]] std::vector<WorkMaker> LookupWorks();
[[nodiscard]] std::vector<WorkMaker> ScanWorks();
[[nodiscard]] std::vector<WorkMaker> CodecWorks();
[[nodiscard]] std::vector<WorkMaker> OpeningWorks();
[[nodiscard]] std::vector<WorkMaker> HandOverWorks();
[[nodiscard]] std::vector<WorkMaker> SpaceWorks();
[[nodiscard]] std::vector<WorkMaker> GrowthWorks();

}  // namespace varve::bench

#endif  // VARVE_BENCH_DRIVER_WORK_H_
