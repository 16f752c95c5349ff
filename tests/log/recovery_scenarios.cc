#include "log/recovery_scenarios.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"

namespace varve::testing_support {

using internal::LoadedLog;
using internal::PartitionState;
using internal::PartitionStateValues;

namespace {

const int64_t kBatchBytes = static_cast<int64_t>(BatchesBytes(0, 1).size());

}  // namespace

void SetUpDurable(Partition* partition, int64_t log_start_offset) {
  partition->AddSegment(0, BatchesBytes(0, 10));
  partition->AddSegment(10, BatchesBytes(10, 20));
  partition->SetDurablePoint(10, 10 * kBatchBytes, 20, /*survived=*/false);
  partition->options.recover_all = true;
  VARVE_ASSERT_OK_AND_ASSIGN(const auto state, PartitionState::Open(partition->fs.get(), kDirectory));
  PartitionStateValues values = state->values();
  values.log_start_offset = log_start_offset;
  state->Store(values);
  VARVE_ASSERT_OK(state->Sync());
}

std::vector<RecoveryScenario> RecoveryScenarios() {
  return {
      {"TornTail",
       [](Partition* partition) {
         partition->AddSegment(0, BatchesBytes(0, 10) + BatchesBytes(10, 11).substr(0, 80));
         partition->SetDurablePoint(0, 5 * kBatchBytes, 5, /*survived=*/false);
       }},
      {"InvalidAfterARestart",
       [](Partition* partition) {
         partition->AddSegment(0, BatchesBytes(0, 10));
         partition->AddSegment(10, BatchesBytes(10, 20));
         partition->AddSegment(20, BatchesBytes(20, 30));
         partition->SetDurablePoint(0, 2 * kBatchBytes, 2, /*survived=*/false);
         partition->FlipBit(kFirstLog, 5 * kBatchBytes + 90);
       }},
      {"DamageKept",
       [](Partition* partition) {
         SetUpDurable(partition);
         partition->FlipBit(kFirstLog, 5 * kBatchBytes + 90);
       }},
      {"DamagedEndKept",
       [](Partition* partition) {
         SetUpDurable(partition);
         partition->FlipBit("00000000000000000010.log", 9 * kBatchBytes + 90);
       }},
      {"MendedBeforeADamagedEnd",
       [](Partition* partition) {
         SetUpDurable(partition);
         partition->FlipBit("00000000000000000010.log", 3 * kBatchBytes + 11, 3);
         partition->FlipBit("00000000000000000010.log", 9 * kBatchBytes + 90);
       }},
      {"DamageTruncated",
       [](Partition* partition) {
         SetUpDurable(partition, /*log_start_offset=*/2);
         partition->FlipBit(kFirstLog, 5 * kBatchBytes + 90);
         partition->options.on_damage = OnDamage::kTruncate;
       }},
      {"DamageQuarantined",
       [](Partition* partition) {
         SetUpDurable(partition, /*log_start_offset=*/2);
         partition->FlipBit(kFirstLog, 5 * kBatchBytes + 90);
         partition->FlipBit("00000000000000000010.log", 9 * kBatchBytes + 90);
         partition->options.on_damage = OnDamage::kQuarantine;
       }},
      {"HeaderMended",
       [](Partition* partition) {
         SetUpDurable(partition);
         partition->FlipBit(kFirstLog, 5 * kBatchBytes + 7, 4);
         partition->FlipBit(kFirstLog, 7 * kBatchBytes + 11, 3);
       }},
      {"StartedAnew",
       [](Partition* partition) {
         partition->AddSegment(0, BatchesBytes(0, 10));
         partition->AddSegment(10, BatchesBytes(10, 20));
         partition->options.marks = {.clean = true, .recovery_point = 20, .log_start_offset = 50};
       }},
      {"StartedAnewAsSomebodyWroteBehindAClose",
       [](Partition* partition) {
         partition->AddSegment(0, BatchesBytes(0, 10));
         partition->AddSegment(10, BatchesBytes(10, 20));
         partition->SetDurablePoint(0, 5 * kBatchBytes, 5, /*survived=*/true, /*clean=*/true);
         partition->options.marks = {.clean = false, .recovery_point = 20, .log_start_offset = 50};
       }},
      {"StartedAnewBehindADeletedPrefix",
       [](Partition* partition) {
         SetUpDurable(partition, /*log_start_offset=*/12);
         partition->options.marks = {.clean = true, .recovery_point = 20, .log_start_offset = 50};
       }},
      {"PrefixDeleted", [](Partition* partition) { SetUpDurable(partition, /*log_start_offset=*/12); }},
  };
}

std::string Describe(const RecoveryOutcome& outcome) {
  return absl::StrCat("offsets ", outcome.log_start_offset, " to ", outcome.log_end_offset, ", ", outcome.served.size(),
                      " batches, ", outcome.saved_aside.size(), " files saved aside");
}

RecoveryOutcome RecoveryOutcome::Of(FileSystem* file_system, const LoadedLog& loaded) {
  FileMap saved_aside = ReadFiles(file_system, kDirectory);
  std::erase_if(saved_aside, [](const auto& file) { return !file.first.starts_with("varve.cut-"); });
  return {loaded.log_start_offset, loaded.log_end_offset, ServedBatches(file_system, loaded), std::move(saved_aside)};
}

}  // namespace varve::testing_support
