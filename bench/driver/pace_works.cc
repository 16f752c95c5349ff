// A trickle: a hundred records a second, as most logs of most hosts see them. Caches are cold at each.
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "driver/failure.h"
#include "driver/payload.h"
#include "driver/prepared_log.h"
#include "driver/raw_file.h"
#include "driver/timing.h"
#include "driver/work.h"

namespace varve::bench {

namespace {

constexpr std::chrono::milliseconds kPause(10);

template <typename Append>
Values Trickle(int64_t records, Append append) {
  Latencies latencies(records);
  for (int64_t number = 0; number < records; ++number) {
    std::this_thread::sleep_for(kPause);
    const int64_t begin_ns = NowNs();
    append(number);
    latencies.Add(NowNs() - begin_ns);
  }
  return {latencies.At(0.5), latencies.At(0.99), latencies.At(1)};
}

Work AppendTrickle(const Conditions& conditions) {
  const int64_t records = conditions.sizes.trickle_records;
  const char* const limit = "write call a record";
  Work work{"append.trickle", {{"p50", "ns"}, {"p99", "ns"}, {"max", "ns"}}, {}};
  work.subjects = {{limit,
                    [records](const Round& round) {
                      const std::vector<std::byte> batch = Payload().Batch(0, 1);
                      RawFile file = RawFile::Create(round.directory() + "/file");
                      return Trickle(records, [&](int64_t) { file.Write(batch); });
                    }},
                   {"varve",
                    [records](const Round& round) {
                      Payload payload;
                      const auto log = OpenLog(round.directory() + "/log-0");
                      const Values values =
                          Trickle(records, [&](int64_t number) { Must(log->Append(payload.Records(number, 1))); });
                      CheckHoldsEachOnce(*log, records);
                      return values;
                    },
                    {{limit}}}};
  return work;
}

}  // namespace

std::vector<WorkMaker> PaceWorks() { return {{"append.trickle", AppendTrickle}}; }

}  // namespace varve::bench
