// ModelShape: what kind of life a ModelRun leads: which steps, how likely, on what records, with what options.
#ifndef VARVE_TESTS_MODEL_MODEL_SHAPE_H_
#define VARVE_TESTS_MODEL_MODEL_SHAPE_H_

#include <cstdint>
#include <ostream>
#include <vector>

#include "varve/log_options.h"

namespace varve::testing_support {

enum class ModelStep {
  kAppend,
  kAppendOfProducer,
  kAppendAgain,
  kEndTransaction,
  kAppendAsFollower,
  kAssignEpoch,
  kAppendAndWait,
  kAppendWithCallback,
  kAppendWhileSyncing,
  kTruncate,
  kStartAt,
  kDeleteBefore,
  kRetain,
  kCompact,
  kCompactInSteps,
  kRoll,
  kFlush,
  kReopen,
  kKillProcess,
  kCutPower,
  kLetTimePass,
};

struct StepWeight {
  ModelStep step;
  int weight;
};

struct BatchShape {
  int64_t max_records = 4;
  int64_t min_value_bytes = 0;
  int64_t max_value_bytes = 40;
  int64_t key_count = 9;
  // Of every so many appends one; 0: none.
  int64_t durable_one_in = 4;
  int64_t unacknowledged_one_in = 0;
  // Of every so many batches one is compressed, by one of these.
  int64_t compressed_one_in = 4;
  std::vector<Codec> codecs = {Codec::kLz4};
};

struct ModelShape {
  const char* name = "everything";
  std::vector<StepWeight> steps;
  BatchShape batches = {};
  // Called once the run has drawn its options, to fix those that make this shape what it is. May be null.
  void (*adjust)(LogOptions* options) = nullptr;

  friend std::ostream& operator<<(std::ostream& out, const ModelShape& shape) { return out << shape.name; }
};

// Every step, as likely as tests/model wants them.
[[nodiscard]] inline ModelShape EverythingShape() {
  return {.name = "everything",
          .steps = {{ModelStep::kAppend, 30},
                    {ModelStep::kAppendOfProducer, 16},
                    {ModelStep::kAppendAgain, 3},
                    {ModelStep::kEndTransaction, 8},
                    {ModelStep::kAppendAsFollower, 3},
                    {ModelStep::kAssignEpoch, 1},
                    {ModelStep::kAppendAndWait, 2},
                    {ModelStep::kAppendWithCallback, 2},
                    {ModelStep::kAppendWhileSyncing, 2},
                    {ModelStep::kTruncate, 4},
                    {ModelStep::kStartAt, 1},
                    {ModelStep::kDeleteBefore, 4},
                    {ModelStep::kRetain, 3},
                    {ModelStep::kCompact, 3},
                    {ModelStep::kCompactInSteps, 3},
                    {ModelStep::kRoll, 2},
                    {ModelStep::kFlush, 4},
                    {ModelStep::kReopen, 3},
                    {ModelStep::kKillProcess, 2},
                    {ModelStep::kCutPower, 2},
                    {ModelStep::kLetTimePass, 6}}};
}

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_MODEL_MODEL_SHAPE_H_
