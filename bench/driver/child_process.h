// InChild: runs something in a child of this process, so that what it takes of memory and descriptors is its own, or
// so that it ends without having closed what it opened.
#ifndef VARVE_BENCH_DRIVER_CHILD_PROCESS_H_
#define VARVE_BENCH_DRIVER_CHILD_PROCESS_H_

#include <cstdint>
#include <functional>
#include <vector>

namespace varve::bench {

// What `run` answers in a forked child, which then ends without running anything more: no destructor, no Close.
[[nodiscard]] std::vector<double> InChild(const std::function<std::vector<double>()>& run);

// Of this process: bytes of memory that no file holds; open descriptors.
[[nodiscard]] int64_t PrivateBytes();
[[nodiscard]] int64_t DescriptorCount();

// Lets this process have as many descriptors as the system allows.
void RaiseDescriptorLimit();

}  // namespace varve::bench

#endif  // VARVE_BENCH_DRIVER_CHILD_PROCESS_H_
