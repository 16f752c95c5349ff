#include "crash/crash_shapes.h"

#include <limits>

namespace varve::testing_support {
namespace {

using enum ModelStep;

constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

void Delete(LogOptions* options) { options->cleanup_policy = CleanupPolicy::kDelete; }

void OneSegment(LogOptions* options) {
  Delete(options);
  options->segment_bytes = 1 << 20;
  options->segment_index_bytes = 1 << 12;
}

void LargeSegments(LogOptions* options) {
  Delete(options);
  options->segment_bytes = 24 << 10;
}

// Every second batch or so begins a segment.
void TinySegments(LogOptions* options) {
  Delete(options);
  options->segment_bytes = 260;
}

// An entry for each batch, and few of them.
void FullIndexes(LogOptions* options) {
  Delete(options);
  options->segment_bytes = 4096;
  options->index_interval_bytes = 0;
  options->segment_index_bytes = 40;
}

void ShortLived(LogOptions* options) {
  Delete(options);
  options->segment_bytes = 4096;
  options->segment_ms = 1500;
}

void KeepFiles(LogOptions* options) {
  Delete(options);
  options->file_delete_delay_ms = kNever / 4;
}

void RemoveFilesAtOnce(LogOptions* options) {
  Delete(options);
  options->file_delete_delay_ms = 0;
}

void CompactOnly(LogOptions* options) { options->cleanup_policy = CleanupPolicy::kCompact; }

void CompactAtOnce(LogOptions* options) {
  options->min_cleanable_dirty_ratio = 0;
  options->file_delete_delay_ms = 0;
}

void VisibleOnceDurable(LogOptions* options) {
  Delete(options);
  options->visibility = Visibility::kDurable;
}

void Recompressing(LogOptions* options) {
  Delete(options);
  options->compression_type = Codec::kZstd;
}

void OneOpenSegment(LogOptions* options) {
  TinySegments(options);
  options->max_open_segments = 1;
}

BatchShape Acknowledged(int64_t durable_one_in, int64_t unacknowledged_one_in = 0) {
  return {.durable_one_in = durable_one_in, .unacknowledged_one_in = unacknowledged_one_in, .compressed_one_in = 0};
}

BatchShape Large() { return {.max_records = 2, .min_value_bytes = 700, .max_value_bytes = 9000, .durable_one_in = 3}; }

BatchShape ManyRecords() { return {.max_records = 60, .max_value_bytes = 30, .durable_one_in = 3}; }

BatchShape Compressed(Codec codec) {
  return {.max_records = 20, .max_value_bytes = 300, .durable_one_in = 3, .compressed_one_in = 1, .codecs = {codec}};
}

std::vector<ModelShape> Appending() {
  return {
      {"small_written", {{kAppend, 20}, {kFlush, 1}}, Acknowledged(0), Delete},
      {"small_durable", {{kAppend, 1}}, Acknowledged(1), Delete},
      {"small_mixed", {{kAppend, 1}}, Acknowledged(3, 3), Delete},
      {"unacknowledged", {{kAppend, 20}, {kFlush, 1}}, Acknowledged(0, 1), Delete},
      {"one_segment", {{kAppend, 10}, {kFlush, 1}}, Acknowledged(4), OneSegment},
      {"large_batches", {{kAppend, 10}, {kFlush, 1}}, Large(), LargeSegments},
      {"large_batches_one_segment", {{kAppend, 10}, {kFlush, 1}}, Large(), OneSegment},
      {"many_records", {{kAppend, 10}, {kFlush, 1}}, ManyRecords(), LargeSegments},
      {"gzip", {{kAppend, 10}, {kFlush, 1}}, Compressed(Codec::kGzip), LargeSegments},
      {"snappy", {{kAppend, 10}, {kFlush, 1}}, Compressed(Codec::kSnappy), LargeSegments},
      {"lz4", {{kAppend, 10}, {kFlush, 1}}, Compressed(Codec::kLz4), LargeSegments},
      {"zstd", {{kAppend, 10}, {kFlush, 1}}, Compressed(Codec::kZstd), LargeSegments},
      {"recompressed", {{kAppend, 10}, {kFlush, 1}}, Acknowledged(4), Recompressing},
      {"visible_once_durable", {{kAppend, 1}}, Acknowledged(1), VisibleOnceDurable},
      {"waited_for", {{kAppend, 3}, {kAppendAndWait, 1}}, Acknowledged(0), Delete},
      {"told_by_callback", {{kAppendWithCallback, 4}, {kAppendAndWait, 1}}, Acknowledged(0), Delete},
      {"appended_while_syncing", {{kAppendWhileSyncing, 1}, {kAppend, 1}}, Acknowledged(4), Delete},
      {"appended_while_syncing_rolls", {{kAppendWhileSyncing, 3}, {kAppend, 1}}, Acknowledged(4), TinySegments},
      {"rolls_written", {{kAppend, 15}, {kFlush, 1}}, Acknowledged(0), TinySegments},
      {"rolls_durable", {{kAppend, 1}}, Acknowledged(2), TinySegments},
      {"rolls_rarely_durable", {{kAppend, 1}}, Acknowledged(9), TinySegments},
      {"rolls_asked_for", {{kAppend, 3}, {kRoll, 1}}, Acknowledged(3), Delete},
      {"rolls_of_full_indexes", {{kAppend, 1}}, Acknowledged(3), FullIndexes},
      {"rolls_by_time", {{kAppend, 4}, {kLetTimePass, 1}}, Acknowledged(3), ShortLived},
      {"one_open_segment", {{kAppend, 8}, {kFlush, 1}}, Acknowledged(4), OneOpenSegment},
  };
}

std::vector<ModelShape> Removing() {
  return {
      {"truncation", {{kAppend, 6}, {kTruncate, 1}}, Acknowledged(3), Delete},
      {"truncation_of_large_batches", {{kAppend, 4}, {kTruncate, 1}}, Large(), LargeSegments},
      {"truncation_of_rolls", {{kAppend, 6}, {kTruncate, 1}, {kRoll, 1}}, Acknowledged(5), TinySegments},
      {"truncation_and_reopening", {{kAppend, 6}, {kTruncate, 1}, {kReopen, 1}}, Acknowledged(3), TinySegments},
      {"truncation_and_death",
       {{kAppend, 6}, {kTruncate, 2}, {kKillProcess, 1}, {kCutPower, 1}},
       Acknowledged(3),
       TinySegments},
      {"start_at", {{kAppend, 8}, {kStartAt, 1}}, Acknowledged(3), Delete},
      {"start_at_and_truncation", {{kAppend, 8}, {kStartAt, 1}, {kTruncate, 1}}, Acknowledged(3), TinySegments},
      {"deletion_before", {{kAppend, 8}, {kDeleteBefore, 1}}, Acknowledged(3), RemoveFilesAtOnce},
      {"deletion_before_files_kept", {{kAppend, 8}, {kDeleteBefore, 1}}, Acknowledged(0), KeepFiles},
      {"deletion_and_truncation", {{kAppend, 8}, {kDeleteBefore, 1}, {kTruncate, 1}}, Acknowledged(4), TinySegments},
      {"retention", {{kAppend, 8}, {kRetain, 1}, {kLetTimePass, 2}}, Acknowledged(3), RemoveFilesAtOnce},
      {"retention_files_kept", {{kAppend, 8}, {kRetain, 1}, {kLetTimePass, 2}}, Acknowledged(0), KeepFiles},
  };
}

std::vector<ModelShape> Compacting() {
  return {
      {"compaction", {{kAppend, 10}, {kCompact, 1}, {kLetTimePass, 1}}, Acknowledged(3), CompactOnly},
      {"compaction_at_once", {{kAppend, 6}, {kCompact, 1}, {kLetTimePass, 1}}, Acknowledged(0), CompactAtOnce},
      {"compaction_in_steps", {{kAppend, 8}, {kCompactInSteps, 1}, {kRoll, 1}}, Acknowledged(3), nullptr},
      {"compaction_and_truncation", {{kAppend, 8}, {kCompact, 1}, {kTruncate, 1}}, Acknowledged(3), CompactAtOnce},
      {"compaction_and_deletion",
       {{kAppend, 8}, {kCompact, 1}, {kDeleteBefore, 1}, {kRetain, 1}},
       Acknowledged(3),
       CompactAtOnce},
      {"compaction_and_death",
       {{kAppend, 8}, {kCompact, 1}, {kKillProcess, 1}, {kCutPower, 1}},
       Acknowledged(3),
       CompactAtOnce},
      {"compaction_of_transactions",
       {{kAppendOfProducer, 6}, {kEndTransaction, 3}, {kCompact, 1}, {kLetTimePass, 1}},
       Acknowledged(3),
       CompactAtOnce},
  };
}

std::vector<ModelShape> Living() {
  return {
      {"reopening", {{kAppend, 6}, {kReopen, 1}}, Acknowledged(3), Delete},
      {"process_deaths", {{kAppend, 6}, {kKillProcess, 1}}, Acknowledged(4), Delete},
      {"process_deaths_unacknowledged", {{kAppend, 6}, {kKillProcess, 1}}, Acknowledged(0, 2), TinySegments},
      {"power_cuts", {{kAppend, 6}, {kCutPower, 1}}, Acknowledged(3), Delete},
      {"power_cuts_of_rolls", {{kAppend, 6}, {kCutPower, 1}, {kKillProcess, 1}}, Acknowledged(6), TinySegments},
      {"follower", {{kAppendAsFollower, 1}}, Acknowledged(3), Delete},
      {"follower_truncates",
       {{kAppendAsFollower, 6}, {kTruncate, 1}, {kAssignEpoch, 1}},
       Acknowledged(3),
       TinySegments},
      {"follower_and_leader",
       {{kAppendAsFollower, 3}, {kAppend, 3}, {kAssignEpoch, 1}, {kReopen, 1}, {kDeleteBefore, 1}},
       Acknowledged(3),
       Delete},
      {"producers", {{kAppendOfProducer, 8}, {kAppendAgain, 1}}, Acknowledged(3), Delete},
      {"producers_and_death",
       {{kAppendOfProducer, 6}, {kAppendAgain, 1}, {kKillProcess, 1}, {kCutPower, 1}},
       Acknowledged(3),
       TinySegments},
      {"transactions", {{kAppendOfProducer, 6}, {kEndTransaction, 3}}, Acknowledged(3), Delete},
      {"transactions_truncated",
       {{kAppendOfProducer, 6}, {kEndTransaction, 3}, {kTruncate, 1}, {kDeleteBefore, 1}},
       Acknowledged(3),
       TinySegments},
      {"transactions_of_many_lives",
       {{kAppendOfProducer, 6}, {kEndTransaction, 3}, {kReopen, 1}, {kCutPower, 1}},
       Acknowledged(3),
       Delete},
  };
}

std::vector<ModelShape> AllShapes() {
  std::vector<ModelShape> all = {EverythingShape()};
  for (const std::vector<ModelShape>& some : {Appending(), Removing(), Compacting(), Living()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

}  // namespace

const std::vector<ModelShape>& CrashShapes() {
  static const std::vector<ModelShape> shapes = AllShapes();
  return shapes;
}

}  // namespace varve::testing_support
