// Batches of idempotent and transactional producers, for tests of their state.
#ifndef VARVE_TESTS_STATE_PRODUCER_BATCHES_H_
#define VARVE_TESTS_STATE_PRODUCER_BATCHES_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "varve/record_batch.h"

namespace varve::testing_support {

struct DataBatchOptions {
  int64_t base_offset = 0;
  int64_t producer_id = -1;
  int16_t epoch = 0;
  int32_t base_sequence = 0;
  int32_t record_count = 1;
  bool transactional = false;
  int64_t timestamp_ms = 1000;
};

inline std::vector<std::byte> DataBatch(const DataBatchOptions& options) {
  RecordBatchBuilder builder({.base_offset = options.base_offset,
                              .producer_id = options.producer_id,
                              .producer_epoch = options.epoch,
                              .base_sequence = options.base_sequence,
                              .transactional = options.transactional});
  for (int32_t i = 0; i < options.record_count; ++i) {
    EXPECT_TRUE(builder.Add({.value = "v", .timestamp_ms = options.timestamp_ms}).ok());
  }
  const auto batch = builder.Build();
  EXPECT_TRUE(batch.ok()) << batch.status();
  return {batch->begin(), batch->end()};
}

inline std::vector<std::byte> MarkerBatch(ControlType type, int64_t offset, int64_t producer_id, int16_t epoch = 0,
                                          int32_t coordinator_epoch = 0, int64_t timestamp_ms = 2000) {
  auto marker = BuildTransactionMarker({.type = type,
                                        .base_offset = offset,
                                        .timestamp_ms = timestamp_ms,
                                        .producer_id = producer_id,
                                        .producer_epoch = epoch,
                                        .coordinator_epoch = coordinator_epoch});
  EXPECT_TRUE(marker.ok()) << marker.status();
  return *std::move(marker);
}

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_STATE_PRODUCER_BATCHES_H_
