#include "file_systems/judge.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/status.h"
#include "fmt/format.h"
#include "model/possible_log.h"

namespace varve::testing_support {
namespace {

using internal::Annotate;
using internal::Error;

constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();

template <typename... Arguments>
absl::Status Wrong(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  return Error(absl::StatusCode::kDataLoss, "{}", fmt::format(format, std::forward<Arguments>(arguments)...));
}

bool Cuts(LogChange change) { return change == LogChange::kTruncate || change == LogChange::kEnding; }

// What the journal knows of one ending, where of the truncations that nobody was told of by then the first so many took
// effect.
class Expectation {
 public:
  Expectation(const Journal& journal, const Ending& ending, int unconfirmed) : journal_(journal), ending_(ending) {
    std::vector<const JournalEntry*> cuts;
    for (int64_t number = 0; number < journal.size(); ++number) {
      const JournalEntry& entry = journal.entry(number);
      if (!Cuts(entry.change.load()) || entry.begun_at.load() > ending.at) continue;
      if (IsDurable(entry) || unconfirmed_++ < unconfirmed) cuts.push_back(&entry);
    }
    std::reverse(cuts.begin(), cuts.end());
    for (const JournalEntry* entry : cuts) {
      const int64_t limit = std::min(LimitOf(entry->era), entry->offset.load());
      limits_[entry->era] = limit;
      if (IsDurable(*entry)) least_end_ = std::max(least_end_, limit);
      if (entry->change.load() == LogChange::kEnding) last_ending_era_ = std::max(last_ending_era_, entry->era);
    }
    for (int64_t number = 0; number < journal.size(); ++number) Take(number);
  }

  absl::Status Check(const FoundLog& found) {
    if (found.offsets.log_end_offset < least_end_) {
      return Wrong("acknowledged up to {}, the log ends at {}", least_end_, found.offsets.log_end_offset);
    }
    const int64_t start_offset = found.offsets.log_start_offset;
    if (start_offset < least_start_ || start_offset > most_start_) {
      return Wrong("a log start of {} to {} expected, found {}", least_start_, most_start_, start_offset);
    }
    for (const ReferenceRecord& record : found.records) last_of_key_[record.key.value_or("")] = record.offset;
    int64_t next = start_offset;
    for (const ReferenceRecord& record : found.records) {
      VARVE_RETURN_IF_ERROR(CheckGap(next, record.offset));
      VARVE_RETURN_IF_ERROR(CheckRecord(record));
      next = record.offset + 1;
    }
    VARVE_RETURN_IF_ERROR(CheckGap(next, found.offsets.log_end_offset));
    return CheckWholeBatch(found);
  }

  // How many truncations there are that nobody was told of.
  [[nodiscard]] int unconfirmed() const { return unconfirmed_; }

 private:
  [[nodiscard]] bool IsDurable(const JournalEntry& entry) const {
    return entry.ended_at.load() < ending_.durable_before;
  }

  // Nothing of this era, or of an earlier one, is there from this offset on.
  [[nodiscard]] int64_t LimitOf(int32_t era) const {
    const auto later = limits_.upper_bound(era);
    return later == limits_.end() ? kUnlimited : later->second;
  }

  void Take(int64_t number) {
    const JournalEntry& entry = journal_.entry(number);
    const int64_t offset = entry.offset.load();
    if (entry.change.load() == LogChange::kNone || entry.begun_at.load() > ending_.at) return;
    if (entry.change.load() == LogChange::kCompact) compacted_ = true;
    if (entry.change.load() == LogChange::kDelete) {
      most_start_ = std::max(most_start_, offset);
      if (IsDurable(entry)) least_start_ = std::max(least_start_, offset);
    }
    if (entry.change.load() != LogChange::kAppend) return;
    if (offset == -1) {
      unknown_ = unknown_ || entry.era >= last_ending_era_;
      return;
    }
    const int64_t limit = LimitOf(entry.era);
    for (int32_t index = 0; index < entry.record_count && offset + index < limit; ++index) {
      owners_[offset + index] = {number, index};
    }
    if ((entry.ack == Ack::kDurable && IsDurable(entry)) || entry.ended_at.load() < ending_.written_before) {
      least_end_ = std::max(least_end_, std::min(limit, offset + entry.record_count));
    }
  }

  absl::Status CheckRecord(const ReferenceRecord& record) {
    int64_t number = 0;
    int32_t index = 0;
    const std::string value = record.value.value_or("");
    if (!ParseValue(value, &number, &index) || !journal_.IsAppended(number, index)) {
      return Wrong("nobody appended the record {} with the value '{}'", record.offset, value.substr(0, 40));
    }
    const JournalEntry& entry = journal_.entry(number);
    if (entry.begun_at.load() > ending_.at) return Wrong("record {} was appended after the ending", record.offset);
    const JournalRecord appended = JournalRecord::Of(number, index);
    if (record.key != appended.key || value != appended.value) {
      return Wrong("record {} has other bytes than were appended", record.offset);
    }
    if (record.offset >= LimitOf(entry.era)) return Wrong("record {} was truncated and is back", record.offset);
    int64_t base_offset = entry.offset.load();
    if (base_offset == -1) base_offset = learned_.try_emplace(number, record.offset - index).first->second;
    if (base_offset + index != record.offset) {
      return Wrong("the record appended at {} is at {}", base_offset + index, record.offset);
    }
    const auto owner = owners_.find(record.offset);
    if (owner == owners_.end() || owner->second.first == number) return absl::OkStatus();
    return Wrong("another record was appended at {}", record.offset);
  }

  // Only compaction leaves gaps: where a later record that is there has the key.
  absl::Status CheckGap(int64_t from, int64_t to) const {
    for (int64_t offset = from; offset < to; ++offset) {
      if (!compacted_) return Wrong("the record {} is missing", offset);
      const auto owner = owners_.find(offset);
      if (owner == owners_.end()) {
        if (unknown_) continue;
        return Wrong("the offset {} is not of any append", offset);
      }
      const auto last = last_of_key_.find(JournalRecord::Of(owner->second.first, owner->second.second).key);
      if (last == last_of_key_.end() || last->second < offset) {
        return Wrong("the record {} is missing and no later one has its key", offset);
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckWholeBatch(const FoundLog& found) const {
    const int64_t end_offset = found.offsets.log_end_offset;
    std::optional<std::pair<int64_t, int32_t>> last;
    if (const auto owner = owners_.find(end_offset - 1); owner != owners_.end()) last = owner->second;
    if (!found.records.empty() && found.records.back().offset == end_offset - 1) {
      last.emplace();
      if (!ParseValue(found.records.back().value.value_or(""), &last->first, &last->second)) last.reset();
    }
    if (!last.has_value() || last->second + 1 == journal_.entry(last->first).record_count) return absl::OkStatus();
    return Wrong("the log ends at {}, inside a batch", end_offset);
  }

  const Journal& journal_;
  const Ending ending_;
  std::map<int32_t, int64_t> limits_;                      // by era
  std::map<int64_t, std::pair<int64_t, int32_t>> owners_;  // by offset: number and index of the record
  std::map<std::string, int64_t> last_of_key_;
  std::map<int64_t, int64_t> learned_;
  int64_t least_end_ = 0;
  int64_t least_start_ = 0;
  int64_t most_start_ = 0;
  int32_t last_ending_era_ = 0;
  int unconfirmed_ = 0;
  bool compacted_ = false;
  bool unknown_ = false;  // an append may be there at offsets that nobody was told
};

absl::Status CheckReport(const Log& log) {
  if (!log.damage().empty()) return Wrong("the log has damage: {}", log.damage().front().reason);
  for (const RecoveryFinding& finding : log.recovery_report().findings) {
    if (finding.action == RecoveryAction::kKept || finding.action == RecoveryAction::kMended) {
      return Wrong("a torn tail was taken for damage: {}", finding.ToString());
    }
  }
  return absl::OkStatus();
}

// How the opening came to what it found.
std::string Findings(const Log& log) {
  std::string lines;
  for (const RecoveryFinding& finding : log.recovery_report().findings) lines += "\n  " + finding.ToString();
  return lines;
}

absl::Status JudgeContent(const Log& log, const Journal& journal, const Ending& ending) {
  VARVE_ASSIGN_OR_RETURN(const FoundLog found, FoundLog::Of(log));
  std::string reasons;
  for (int unconfirmed = 0;; ++unconfirmed) {
    Expectation expectation(journal, ending, unconfirmed);
    const absl::Status status = expectation.Check(found);
    if (status.ok()) return status;
    if (unconfirmed > 0) reasons += "; nor is it what the next truncation leaves: ";
    reasons += std::string(status.message());
    if (unconfirmed == expectation.unconfirmed()) return Wrong("{}", reasons);
  }
}

}  // namespace

absl::Status Judge(const Log& log, const Journal& journal, const Ending& ending) {
  absl::Status status = CheckReport(log);
  if (status.ok()) status = JudgeContent(log, journal, ending);
  if (status.ok()) return status;
  return Error(status.code(), "{}{}", std::string(status.message()), Findings(log));
}

absl::Status GoOn(const Log& log, Journal* journal) {
  VARVE_ASSIGN_OR_RETURN(const FoundLog found, FoundLog::Of(log));
  for (const ReferenceRecord& record : found.records) {
    int64_t number = 0;
    int32_t index = 0;
    if (!ParseValue(record.value.value_or(""), &number, &index)) return Wrong("record {} is foreign", record.offset);
    if (journal->entry(number).offset.load() == -1) journal->FoundAt(number, record.offset - index);
  }
  journal->Settle(found.offsets.log_end_offset);
  return absl::OkStatus();
}

}  // namespace varve::testing_support
