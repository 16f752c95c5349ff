// LeaderEpoch: since which offset the batches of a partition were written under which leader; and how a leader and its
// follower find out by that where their logs part.
//
// A log keeps them ascending in both members, as Kafka does in `leader-epoch-checkpoint` (text: a line "0" for the
// version, a line with the count, then a line "epoch start" for each). A follower that asks "where does epoch e end?"
// learns from the answer where its log and the leader's part.
//
// Nothing here talks to anybody or changes a log: what is decided, the host carries out.
//
// Thread rules: values and pure functions.
//
//   // The leader, asked for `offset` by a follower whose last batch is of epoch `last_epoch`:
//   varve::FetchAnswer answer =
//       varve::JudgeFetch(last_epoch, offset, log->EndOffsetForEpoch(last_epoch), log->log_start_offset());
//   // The follower, if that is kDiverging:
//   varve::TruncationStep step =
//       varve::StepAfterDivergence(answer.diverging, log->EndOffsetForEpoch(answer.diverging.epoch),
//                                  log->log_start_offset(), log->log_end_offset());
//   CarryOut(step);  // then it asks again
#ifndef VARVE_LEADER_EPOCH_H_
#define VARVE_LEADER_EPOCH_H_

#include <cstdint>
#include <optional>

namespace varve {

struct LeaderEpoch {
  int32_t epoch = -1;
  // The first offset of the epoch. In the answer to the question for an epoch's end: that end, the offset behind its
  // last.
  int64_t start_offset = -1;

  friend bool operator==(const LeaderEpoch&, const LeaderEpoch&) = default;
};

enum class FetchVerdict {
  kServe,       // the logs agree up to the offset
  kDiverging,   // they part before it: FetchAnswer::diverging says up to where the leader can vouch
  kOutOfRange,  // the leader does not know the epoch, or has deleted the offset
};

struct FetchAnswer {
  FetchVerdict verdict = FetchVerdict::kServe;
  LeaderEpoch diverging = {};  // kDiverging only: the leader's greatest epoch up to the one asked for, and its end

  friend bool operator==(const FetchAnswer&, const FetchAnswer&) = default;
};

// What a leader answers to a follower that asks for `fetch_offset` and whose last batch is of `last_fetched_epoch`.
// `end_of_epoch` is the leader's own EndOffsetForEpoch of that epoch. A follower that knows no epoch yet is asked for
// none: it is served from the offset it names. (Kafka Partition.readRecords.)
[[nodiscard]] FetchAnswer JudgeFetch(int32_t last_fetched_epoch, int64_t fetch_offset,
                                     const std::optional<LeaderEpoch>& end_of_epoch, int64_t leader_log_start_offset);

// What a follower does to its log.
enum class TruncationAction {
  kTruncateTo,  // Log::TruncateTo. That wants a batch's base offset: of a batch that `offset` lies in, all goes
  kTruncateFullyAndStart,  // Log::TruncateFullyAndStartAt
  kGoOn,                   // nothing: it fetches at `offset`
};

struct TruncationStep {
  TruncationAction action = TruncationAction::kGoOn;
  int64_t offset = 0;
  // True if the logs may part further down still: the follower names its latest epoch anew. (A fetch finds the same
  // out; that one is asked again in any case.)
  bool ask_again = false;

  friend bool operator==(const TruncationStep&, const TruncationStep&) = default;
};

// What a follower does with a diverging answer, that holds the offsets from log start to log end. `own_end` is its own
// EndOffsetForEpoch of the epoch in the answer. Where the logs part below its log start nothing of its own stays. (Kafka
// AbstractFetcherThread.getOffsetTruncationState, UnifiedLog.truncateTo.) A follower without any epoch truncates to its
// high watermark instead.
[[nodiscard]] TruncationStep StepAfterDivergence(const LeaderEpoch& diverging,
                                                 const std::optional<LeaderEpoch>& own_end, int64_t log_start_offset,
                                                 int64_t log_end_offset);

// What a follower does whose leader answers kOutOfRange, and holds the offsets from log start to log end. (Kafka
// AbstractFetcherThread.fetchOffsetAndApplyTruncateAndBuild.)
[[nodiscard]] TruncationStep StepAfterOutOfRange(int64_t leader_log_start_offset, int64_t leader_log_end_offset,
                                                 int64_t log_start_offset, int64_t log_end_offset);

}  // namespace varve

#endif  // VARVE_LEADER_EPOCH_H_
