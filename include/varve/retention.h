// RetentionOptions, RetentionResult: what Log::ApplyRetention and Log::PlanRetention take and answer.
//
// Retention deletes whole segments from the oldest on (Kafka UnifiedLog.deleteOldSegments), by three rules in this
// order, each as far as it goes without a gap:
//
//   log start   the segment lies wholly below the log start
//   size        without it the log still holds retention_bytes
//   time        its largest timestamp is more than retention_ms ago
//
// None takes what lies above the high watermark, nor an empty active segment. Where even the active segment is due, a
// new one begins at the log end first. LogOptions::cleanup_policy kCompact leaves only the log start's rule.
//
// A timestamp is the word of whoever sent the record. Two options bound the belief in it:
// LogOptions::retention_timestamp_ahead_max_ms and retention_timestamp_behind_max_ms. A segment whose largest timestamp
// lies outside counts as old as the next segment behind it whose own does not: it was written before that one, so it
// cannot be younger. Where there is none it is kept. A segment without timestamps is kept, too; Kafka asks for the
// file's modification time there, which a copy of the file changes.
//
//   absl::StatusOr<varve::RetentionResult> result = (*log)->ApplyRetention();
//   if (result.ok() && result->block.has_value()) Warn("stuck at segment", result->block->base_offset);
//
// Thread rules: plain values.
#ifndef VARVE_RETENTION_H_
#define VARVE_RETENTION_H_

#include <cstdint>
#include <optional>
#include <vector>

namespace varve {

struct RetentionOptions {
  // Absent: LogOptions'. -1: unlimited.
  std::optional<int64_t> retention_ms = std::nullopt;
  std::optional<int64_t> retention_bytes = std::nullopt;
  // Where to move the log start to first, as Log::DeleteBefore does; -1: the high watermark.
  std::optional<int64_t> before_offset = std::nullopt;
  std::optional<int64_t> now_ms = std::nullopt;  // absent: the clock's
  // At least 1: no more than so many go, and no file of theirs or of earlier ones is removed from the disk
  // (Log::RemoveDeletedFiles does), so that the call is short. Absent: all that are due.
  std::optional<int64_t> max_segments = std::nullopt;
};

enum class RetentionRule { kLogStart, kSize, kTime };

struct RetiredSegment {
  int64_t base_offset = 0;
  int64_t next_offset = 0;  // where the segment behind it begins, or the log ends
  int64_t size_bytes = 0;   // of its .log
  RetentionRule rule = RetentionRule::kLogStart;

  friend bool operator==(const RetiredSegment&, const RetiredSegment&) = default;
};

// The segment at which deletion by time stands still while segments behind it are due by their own timestamps: its
// timestamp lies in the future, or it has none. Deletion by size or before an offset gets past it.
struct RetentionBlock {
  int64_t base_offset = 0;
  int64_t next_offset = 0;
  std::optional<int64_t> timestamp_ms = std::nullopt;  // its largest; absent where it has none
  int64_t ahead_ms = 0;                                // of now; 0 where it has no timestamp
  int64_t due_segments = 0;                            // behind it
  int64_t due_bytes = 0;

  friend bool operator==(const RetentionBlock&, const RetentionBlock&) = default;
};

struct RetentionResult {
  std::vector<RetiredSegment> deleted = {};  // the oldest first
  int64_t log_start_offset = 0;              // afterwards
  int64_t size_bytes = 0;                    // of all .log files afterwards
  std::optional<RetentionBlock> block = std::nullopt;
  // The active segment was due and stays: the disk had no room to begin another. Asking again takes it.
  bool active_left = false;
  // RetentionOptions::max_segments have gone, and more are due; `block` then tells nothing.
  bool more_due = false;
  // Of deleted segments, in the directory for LogOptions::file_delete_delay_ms yet.
  int64_t files_left = 0;

  [[nodiscard]] int64_t DeletedSegments(RetentionRule rule) const;
  [[nodiscard]] int64_t DeletedBytes(RetentionRule rule) const;
};

// What Log::RemoveDeletedFiles did.
struct FileRemovalResult {
  int64_t removed = 0;
  int64_t left = 0;
  // When the next of those that are left is due; 0: at once, as the time was up before. Absent: none is left, or only
  // such as could not be removed.
  std::optional<int64_t> next_due_ms = std::nullopt;

  friend bool operator==(const FileRemovalResult&, const FileRemovalResult&) = default;
};

}  // namespace varve

#endif  // VARVE_RETENTION_H_
