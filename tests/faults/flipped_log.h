// What must hold of a log of which one bit was turned while nobody had it open (durability notes, R6): it opens; each
// record of another batch is there with its bytes and its offset, by every way of reading; none is invented; what is
// damaged is told; appends go on. A bit of any other file changes no answer, but for two files of Kafka's that are no
// hints and have no checksum: the .txnindex may tell of other transactions, the leader epoch checkpoint of other epochs.
#ifndef VARVE_TESTS_FAULTS_FLIPPED_LOG_H_
#define VARVE_TESTS_FAULTS_FLIPPED_LOG_H_

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "faults/sound_log.h"
#include "varve/log_options.h"

namespace varve::testing_support {

struct Flip {
  std::string file;  // name within the partition
  int64_t position = 0;
  int bit = 0;

  friend std::ostream& operator<<(std::ostream& out, const Flip& flip);
};

// What is wrong with the log in `options.file_system`, of which this bit is turned (none where it is absent) and which
// held `sound`; OK if nothing is. `closed`: it was, so that even what only looks at the files knows where the log ends.
// Leaves the files as they are.
[[nodiscard]] absl::Status CheckFlippedLog(const SoundLog& sound, const LogOptions& options, bool closed,
                                           const std::optional<Flip>& flip);

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FAULTS_FLIPPED_LOG_H_
