// Where committed readers of a partition stop, as its producers have it: for tests that compare with Kafka, which keeps
// one such offset.
#ifndef VARVE_TESTS_STATE_FIRST_UNSTABLE_OFFSET_H_
#define VARVE_TESTS_STATE_FIRST_UNSTABLE_OFFSET_H_

#include <algorithm>
#include <cstdint>
#include <optional>

#include "state/producer_state_manager.h"

namespace varve::testing_support {

// The first offset of a transaction that is open, or whose marker is not below the high watermark.
inline std::optional<int64_t> FirstUnstableOffset(const internal::ProducerStateManager& producers) {
  const std::optional<int64_t> open = producers.FirstOpenOffset();
  if (producers.closed_transactions().empty()) return open;
  const int64_t closed = producers.closed_transactions().begin()->first;
  return open.has_value() ? std::min(*open, closed) : closed;
}

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_STATE_FIRST_UNSTABLE_OFFSET_H_
