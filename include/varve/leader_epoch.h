// LeaderEpoch: since which offset the batches of a partition were written under which leader.
//
// A log keeps them ascending in both members, as Kafka does in `leader-epoch-checkpoint` (text: a line "0" for the
// version, a line with the count, then a line "epoch start" for each). A follower that asks "where does epoch e end?"
// learns from the answer where its log and the leader's part.
//
// Thread rules: a value.
//
//   std::optional<varve::LeaderEpoch> answer = log->EndOffsetForEpoch(4);
//   if (answer.has_value() && answer->start_offset < log->log_end_offset()) Truncate(answer->start_offset);
#ifndef VARVE_LEADER_EPOCH_H_
#define VARVE_LEADER_EPOCH_H_

#include <cstdint>

namespace varve {

struct LeaderEpoch {
  int32_t epoch = -1;
  // The first offset of the epoch. In the answer to the question for an epoch's end: that end, the offset behind its
  // last.
  int64_t start_offset = -1;

  friend bool operator==(const LeaderEpoch&, const LeaderEpoch&) = default;
};

}  // namespace varve

#endif  // VARVE_LEADER_EPOCH_H_
