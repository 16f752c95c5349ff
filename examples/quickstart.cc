// Appends two records to a partition and reads them back: quickstart [DIRECTORY], named TOPIC-PARTITION.
#include <iostream>

#include "varve/log.h"

int Fail(const absl::Status& status) { return std::cerr << status << '\n', 1; }

int main(int argc, char** argv) {
  absl::StatusOr<std::unique_ptr<varve::Log>> log = varve::Log::Open(argc > 1 ? argv[1] : "orders-0");
  if (!log.ok()) return Fail(log.status());

  // kDurable answers when the records are on stable storage; the default, kWritten, when they survive the process.
  absl::StatusOr<varve::AppendResult> appended =
      (*log)->Append({{.key = "apples", .value = "3"}, {.key = "pears", .value = "5"}}, {.ack = varve::Ack::kDurable});
  if (!appended.ok()) return Fail(appended.status());

  varve::LogScan scan = (*log)->Scan(appended->base_offset);
  for (const varve::RecordView& record : scan) {
    std::cout << record.offset() << ": " << *record.key() << " = " << *record.value() << '\n';
  }
  if (!scan.status().ok()) return Fail(scan.status());

  const absl::Status closed = (*log)->Close();
  return closed.ok() ? 0 : Fail(closed);
}
