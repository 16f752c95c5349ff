#include "fuzz/fuzz_target.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "fuzz/decoders.h"

namespace varve::fuzz {

const std::vector<FuzzTarget>& FuzzTargets() {
  static const std::vector<FuzzTarget> targets = {
      {"batch", FuzzBatch, {".log"}},
      {"appended_batch", FuzzAppendedBatch, {".log"}},
      {"offset_index", FuzzOffsetIndex, {".index"}},
      {"time_index", FuzzTimeIndex, {".timeindex"}},
      {"transaction_index", FuzzTransactionIndex, {".txnindex"}},
      {"producer_snapshot", FuzzProducerSnapshot, {".snapshot"}},
      {"offset_checkpoint", FuzzOffsetCheckpoint, {"offset-checkpoint"}},
      {"leader_epochs", FuzzLeaderEpochs, {"leader-epoch-checkpoint"}},
      {"partition_metadata", FuzzPartitionMetadata, {}},
      {"log_directory", FuzzLogDirectory, {}},
      {"record_lines", FuzzRecordLines, {}},
#ifdef VARVE_FUZZ_COMMAND_LINE
      {"command_line", FuzzCommandLine, {}},
#endif
  };
  return targets;
}

const FuzzTarget* FindFuzzTarget(std::string_view name) {
  const std::vector<FuzzTarget>& targets = FuzzTargets();
  const auto found =
      std::find_if(targets.begin(), targets.end(), [name](const FuzzTarget& target) { return target.name == name; });
  return found == targets.end() ? nullptr : &*found;
}

void Require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "expected %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

}  // namespace varve::fuzz
