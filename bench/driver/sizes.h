// Sizes: how much each work does. Three sets of them, and each can be set by its name.
//
// A plain value.
#ifndef VARVE_BENCH_DRIVER_SIZES_H_
#define VARVE_BENCH_DRIVER_SIZES_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace varve::bench {

struct Sizes {
  int64_t append_records = 500'000;     // one by one
  int64_t append_bytes = 256 << 20;     // in batches
  int64_t sustained_bytes = 256 << 20;  // one by one, to the disk
  int64_t trickle_records = 200;        // one each 10 ms
  int64_t durable_appends = 1'000;      // each waited for
  int64_t shared_appends = 20'000;      // durable, of many threads or many in flight
  int64_t log_bytes = 128 << 20;        // of a log that is searched, scanned or opened
  int64_t lookups = 200'000;            // in it
  int64_t codec_bytes = 16 << 20;       // of records, encoded and decoded
  int64_t segments = 1'000;             // of a log of many segments
  int64_t hand_overs = 50'000;          // from a writer to a reader
  int64_t growth_bytes = 256 << 20;     // where the curve of a growing log ends
  int64_t open_logs = 100;              // where that of many open logs does

  // The sizes of the report, of a quick try, and of a test that everything runs.
  [[nodiscard]] static Sizes Full();
  [[nodiscard]] static Sizes Quick() { return {}; }
  [[nodiscard]] static Sizes Tiny();

  // Sets one by its name. False: there is none of that name, or the value is not above 0.
  [[nodiscard]] bool Set(const std::string& name, int64_t value);
  [[nodiscard]] std::vector<std::pair<std::string, int64_t>> All() const;
};

}  // namespace varve::bench

#endif  // VARVE_BENCH_DRIVER_SIZES_H_
