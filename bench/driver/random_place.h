// Below: random numbers that cost next to nothing and repeat from run to run.
#ifndef VARVE_BENCH_DRIVER_RANDOM_PLACE_H_
#define VARVE_BENCH_DRIVER_RANDOM_PLACE_H_

#include <cstdint>

namespace varve::bench {

// A random number below `end`, which is below 2^32, from a state that is moved on.
[[nodiscard]] inline uint64_t Below(uint64_t end, uint64_t* state) {
  *state = *state * 6364136223846793005U + 1442695040888963407U;
  return ((*state >> 32U) * end) >> 32U;
}

}  // namespace varve::bench

#endif  // VARVE_BENCH_DRIVER_RANDOM_PLACE_H_
