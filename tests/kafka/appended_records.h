// AppendedRecords: the records that a log was given and must still have, as whoever appended them knows, and not as the
// log or its files tell.
#ifndef VARVE_TESTS_KAFKA_APPENDED_RECORDS_H_
#define VARVE_TESTS_KAFKA_APPENDED_RECORDS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "varve/log.h"
#include "varve/record_batch.h"

namespace varve::testing_support {

struct AppendedRecord {
  int64_t offset = 0;  // before it is appended as a leader does: behind the first of its batch
  int64_t timestamp_ms = kNoTimestamp;
  std::optional<std::string> key = std::nullopt;
  std::optional<std::string> value = std::nullopt;
  std::vector<std::pair<std::string, std::optional<std::string>>> headers = {};
  int64_t producer_id = kNoProducerId;
  bool transactional = false;
  std::optional<ControlType> control = std::nullopt;  // a transaction's marker
  bool outlived_pass = false;                         // of compaction, which may have given it a delete horizon
};

// Every status that is not OK names a fault of the log.
class AppendedRecords {
 public:
  [[nodiscard]] const std::map<int64_t, AppendedRecord>& by_offset() const { return records_; }
  [[nodiscard]] int64_t log_start_offset() const { return log_start_offset_; }
  [[nodiscard]] int64_t log_end_offset() const { return log_end_offset_; }
  // How many records compaction, truncation and deletion took.
  [[nodiscard]] size_t compacted_count() const { return compacted_count_; }
  [[nodiscard]] size_t truncated_count() const { return truncated_count_; }
  [[nodiscard]] size_t deleted_count() const { return deleted_count_; }

  // The batch that a log says it appended as a leader does: at its end, without gaps.
  [[nodiscard]] absl::Status Append(const AppendResult& result, std::vector<AppendedRecord> batch);
  // A batch with offsets of its own, which may leave gaps, before and in it, and to its end.
  void AppendAt(std::vector<AppendedRecord> batch, int64_t next_offset);

  // The log was truncated there, or, where compaction left a gap before it, at this gap's begin.
  [[nodiscard]] absl::Status TruncateTo(int64_t offset, const Log& log);
  void StartAt(int64_t offset);
  void DeleteBefore(int64_t offset);

  // That the log begins and ends where it should.
  [[nodiscard]] absl::Status CheckEnds(const Log& log) const;
  // Takes those out that are gone from the log after a pass of compaction, which must have a reason for each.
  [[nodiscard]] absl::Status TakeOutCompacted(const Log& log);

 private:
  // An aborted record; one of a key that has a later, stable one; a tombstone or a marker that was there in an earlier pass,
  // as one gives it the delete horizon at which a later one may take it.
  [[nodiscard]] bool MayBeCompacted(const AppendedRecord& record, int64_t last_stable_offset) const;
  [[nodiscard]] bool IsAborted(const AppendedRecord& record) const;

  std::map<int64_t, AppendedRecord> records_;
  int64_t log_start_offset_ = 0;
  int64_t log_end_offset_ = 0;
  size_t compacted_count_ = 0;
  size_t truncated_count_ = 0;
  size_t deleted_count_ = 0;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_KAFKA_APPENDED_RECORDS_H_
