// RoundRunner: runs a work's rounds and keeps what its subjects gave. Spread: a median with the least and the most.
#ifndef VARVE_BENCH_DRIVER_ROUNDS_H_
#define VARVE_BENCH_DRIVER_ROUNDS_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "driver/work.h"

namespace varve::bench {

struct Spread {
  double median = 0;
  double least = 0;
  double most = 0;
};

// Of values that are numbers; of none of them, or no values, all three are not.
[[nodiscard]] Spread SpreadOf(std::vector<double> values);

// All rounds of one work.
class RoundRunner {
 public:
  // Files of a round go below `directory`, which exists.
  RoundRunner(Work work, std::string directory);

  [[nodiscard]] const Work& work() const { return work_; }

  // Lets each subject run once, in turn. Answers by subject, in their order.
  std::vector<std::pair<std::string, Values>> RunRound() const;

 private:
  const Work work_;
  const std::string directory_;
};

// What the subjects of a work gave: by subject, then by round.
using Results = std::map<std::string, std::vector<Values>>;

// The values of a figure over all rounds.
[[nodiscard]] std::vector<double> ValuesOf(const Results& results, const std::string& subject, size_t figure);

// The ratio of a subject's median to its limit's, or to 1 where what it is set beside is a bound.
[[nodiscard]] double RatioTo(const Beside& beside, const Results& results, const std::string& subject, size_t figure);

}  // namespace varve::bench

#endif  // VARVE_BENCH_DRIVER_ROUNDS_H_
