// Journal: what was asked of a log and what it answered, in memory that outlives the process which asked. Many threads
// write it; whoever judges what an ending has left of the log reads it afterwards.
//
// Times are counts of a clock that only moves forward: the writes and flushes that a recording disk has seen, or
// whatever else the endings to come are told by.
#ifndef VARVE_TESTS_FILE_SYSTEMS_JOURNAL_H_
#define VARVE_TESTS_FILE_SYSTEMS_JOURNAL_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <limits>
#include <string>

#include "file_systems/shared_memory.h"
#include "varve/log_options.h"

namespace varve::testing_support {

inline constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();

enum class LogChange : uint8_t {
  kNone,  // refused, never happened, or whoever began it did not live to say what
  kAppend,
  kTruncate,
  kDelete,
  kCompact,
  kEnding,  // the end of a life: what is left then is all there is from then on
};

struct JournalEntry {
  std::atomic<LogChange> change;
  Ack ack;
  int32_t record_count;
  // Truncations and endings before, itself included: an append of an earlier era may have been taken away.
  int32_t era;
  std::atomic<int64_t> offset;     // an append's base offset, -1 until it is known; else where the log is cut
  std::atomic<uint64_t> begun_at;  // 0 is before everything
  std::atomic<uint64_t> ended_at;  // kNever until it is acknowledged
};

class Journal {
 public:
  // Times are those of `clock`, which lies in shared memory and outlives this.
  explicit Journal(const std::atomic<uint64_t>* clock) : clock_(clock) {}

  // An append of so many records. The number is theirs for ever: their content is told by it.
  [[nodiscard]] int64_t BeginAppend(int32_t record_count, Ack ack);
  // Nobody may append meanwhile.
  [[nodiscard]] int64_t BeginTruncation(int64_t offset);
  [[nodiscard]] int64_t BeginDeletion(int64_t log_start_offset) { return Begin(LogChange::kDelete, log_start_offset); }
  [[nodiscard]] int64_t BeginCompaction() { return Begin(LogChange::kCompact, 0); }
  void End(int64_t number) { End(number, entry(number).offset.load()); }
  void End(int64_t number, int64_t offset);

  // Was refused, and must never be there.
  void Refuse(int64_t number) { Mutable(number).change.store(LogChange::kNone); }

  // The log that an ending has left ends here. What was under way has happened by then, or never will.
  void Settle(int64_t log_end_offset);
  void FoundAt(int64_t number, int64_t base_offset) { Mutable(number).offset.store(base_offset); }

  // Has anybody asked for the append of this record?
  [[nodiscard]] bool IsAppended(int64_t number, int32_t index) const;

  [[nodiscard]] uint64_t now() const { return clock_->load(); }
  [[nodiscard]] int64_t size() const { return memory_->count.load(); }
  [[nodiscard]] const JournalEntry& entry(int64_t number) const {
    return memory_->entries.at(static_cast<size_t>(number));
  }

 private:
  static constexpr int64_t kCapacity = 1 << 17;
  struct Memory {
    std::atomic<int64_t> count;
    std::atomic<int32_t> era;
    std::array<JournalEntry, kCapacity> entries;
  };

  [[nodiscard]] JournalEntry& Mutable(int64_t number) { return memory_->entries.at(static_cast<size_t>(number)); }
  [[nodiscard]] int64_t Begin(LogChange change, int64_t offset, int32_t record_count = 0, Ack ack = Ack::kNone);

  const std::atomic<uint64_t>* const clock_;
  SharedMemory<Memory> memory_;
};

// The content of record `index` of the append that the journal knows by `number`.
struct JournalRecord {
  std::string key;
  std::string value;

  [[nodiscard]] static JournalRecord Of(int64_t number, int32_t index);
};

// Which record has this value; false where none has. The value's end is not looked at: compare it.
[[nodiscard]] bool ParseValue(const std::string& value, int64_t* number, int32_t* index);

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FILE_SYSTEMS_JOURNAL_H_
