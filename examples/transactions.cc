// Writes two transactions and aborts one, then reads what is committed: transactions [DIRECTORY].
#include <iostream>

#include "varve/log.h"

int Fail(const absl::Status& status) { return std::cerr << status << '\n', 1; }

int main(int argc, char** argv) {
  absl::StatusOr<std::unique_ptr<varve::Log>> log = varve::Log::Open(argc > 1 ? argv[1] : "payments-0");
  if (!log.ok()) return Fail(log.status());

  // A broker's clients have id and epoch from a coordinator. Each start is a new epoch, which fences the one before.
  varve::ProducerStamp producer{.producer_id = 7, .transactional = true};
  for (const varve::ProducerStateEntry& known : (*log)->producers()) {
    if (known.producer_id != producer.producer_id) continue;
    producer.producer_epoch = static_cast<int16_t>(known.epoch + 1);
    // What a crash left open would be joined by what comes next: nobody but the host decides it.
    if (known.current_transaction_first_offset.has_value()) {
      const auto aborted = (*log)->AppendEndTransaction(producer.producer_id, producer.producer_epoch,
                                                        varve::ControlType::kAbort, /*coordinator_epoch=*/0);
      if (!aborted.ok()) return Fail(aborted.status());
    }
  }
  for (const varve::ControlType end : {varve::ControlType::kAbort, varve::ControlType::kCommit}) {
    const bool commits = end == varve::ControlType::kCommit;
    const varve::Record record{.key = "alice", .value = commits ? "paid" : "never paid"};
    absl::StatusOr<varve::AppendResult> appended = (*log)->Append({record}, {.producer = producer});
    if (!appended.ok()) return Fail(appended.status());
    // As if the answer had been lost: the same sequence once more is recognised, and appended no second time.
    appended = (*log)->Append({record}, {.producer = producer});
    if (!appended.ok()) return Fail(appended.status());
    std::cout << "offset " << appended->base_offset << (appended->duplicate ? " was there already\n" : "\n");

    appended = (*log)->AppendEndTransaction(producer.producer_id, producer.producer_epoch, end, /*coordinator_epoch=*/0,
                                            {.ack = varve::Ack::kDurable});
    if (!appended.ok()) return Fail(appended.status());
    ++producer.base_sequence;  // by the number of records
  }

  varve::LogScan scan = (*log)->Scan(0, {.isolation = varve::Isolation::kCommitted});
  for (const varve::RecordView& record : scan) {
    std::cout << record.offset() << ": " << *record.key() << ' ' << *record.value() << '\n';
  }
  if (!scan.status().ok()) return Fail(scan.status());
  const absl::Status closed = (*log)->Close();
  return closed.ok() ? 0 : Fail(closed);
}
