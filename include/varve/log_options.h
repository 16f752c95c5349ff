// LogOptions, AppendOptions, ReadOptions: Kafka's configuration words, units last. The defaults are Kafka's except
// where a comment says otherwise; every option says what changing it costs.
//
// Plain values: copy them freely. `file_system` and `clock` must outlive the Log.
#ifndef VARVE_LOG_OPTIONS_H_
#define VARVE_LOG_OPTIONS_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <optional>

#include "varve/clock.h"
#include "varve/compression.h"
#include "varve/file_system.h"
#include "varve/record_batch.h"

namespace varve {

// What an append waits for (durability notes, "What an acknowledgement means").
enum class Ack {
  kNone,     // Kafka's acks=0: nothing is promised
  kWritten,  // acks=1: in the page cache; survives the death of the process
  kDurable,  // acks=all: on stable storage; survives power loss. Concurrent waiters share one sync
};

enum class IoMode {
  kAuto,    // kMapped where the file system's allocation is a promise, else kWrite
  kMapped,  // small batches are stored into a mapped, preallocated window: no system call for each
  kWrite,   // a write call for each append; five times dearer for small batches, takes no space ahead
};

// What opening does with damaged bytes below the durable point.
enum class OnDamage {
  kKeep,        // leave the files, serve everything else, answer kDataLoss inside the damaged ranges
  kTruncate,    // as Kafka: the log ends before the damage; what is cut goes to varve.cut-OFFSET
  kQuarantine,  // move damaged ranges to varve.cut-OFFSET; their offsets stay a gap
};

// Kafka's cleanup.policy: how old records go.
enum class CleanupPolicy {
  kDelete,            // whole segments, by retention
  kCompact,           // all records but the latest of each key
  kCompactAndDelete,  // both
};

[[nodiscard]] constexpr bool Compacts(CleanupPolicy policy) { return policy != CleanupPolicy::kDelete; }
[[nodiscard]] constexpr bool Deletes(CleanupPolicy policy) { return policy != CleanupPolicy::kCompact; }

// How far a consumer may read in a log that no replication drives. With kDurable, opening after an unclean stop writes
// and syncs what it has recovered, so that all of it is visible; else the first sync does.
enum class Visibility { kLogEnd, kDurable };

// Marks that lie outside the partition directory: Kafka's checkpoints and clean marker. Log::Open reads nothing outside
// its directory; DataDirectory::Of reads them. A mark that does not match the files counts for nothing. Of a mark and
// what varve.state says the more careful word counts: unclean, the lower recovery point, the higher log start. A log
// start beyond the log end makes the log begin anew there, as Kafka's own does, and what it held is saved aside. One that
// was there when varve started the log anew further down (Log::TruncateFullyAndStartAt) counts for nothing until Kafka
// has changed it.
struct OpenMarks {
  std::optional<bool> clean = std::nullopt;  // .kafka_cleanshutdown is there; absent where there is no Kafka directory
  std::optional<int64_t> recovery_point = std::nullopt;    // recovery-point-offset-checkpoint
  std::optional<int64_t> log_start_offset = std::nullopt;  // log-start-offset-checkpoint

  friend bool operator==(const OpenMarks&, const OpenMarks&) = default;
};

// Called now and then on the calling thread with the bytes done and the bytes to do in all.
using ProgressCallback = std::function<void(int64_t done_bytes, int64_t total_bytes)>;

struct LogOptions {
  // --- The seams ---
  FileSystem* file_system = FileSystem::Default();
  Clock* clock = Clock::Default();

  // --- Opening ---
  bool create = true;      // make the directory where it is missing; its name must then be TOPIC-PARTITION
  bool read_only = false;  // takes no lock and changes nothing; follows a live writer (Log::Refresh)
  OnDamage on_damage = OnDamage::kKeep;
  OpenMarks marks = {};
  bool recover_all = false;  // scan every segment, whatever the marks say; costs a read of the whole log
  ProgressCallback recovery_progress = nullptr;  // of the scan after an unclean stop

  // --- Segments (topic settings of the same names) ---
  int64_t segment_bytes = int64_t{1} << 30;  // 14 … 2^31-1; smaller: more files, finer retention
  int64_t segment_ms = int64_t{7} * 24 * 3600 * 1000;
  int64_t segment_jitter_ms = 0;  // a random part taken off segment_ms, so that logs do not roll together
  int64_t segment_index_bytes = int64_t{10} * 1024 * 1024;  // a full index makes the segment roll; 4 … 2^31-1
  // Of log between two index entries; smaller: larger indexes, shorter scans. Absent: what the partition was written
  // with (varve.state), else 4096.
  std::optional<int64_t> index_interval_bytes = std::nullopt;
  int64_t max_message_bytes = 1'000'000;  // of a whole batch as appended; Kafka's present default is 1,048,588
  TimestampType message_timestamp_type = TimestampType::kCreateTime;
  int64_t message_timestamp_before_max_ms = std::numeric_limits<int64_t>::max();
  int64_t message_timestamp_after_max_ms = std::numeric_limits<int64_t>::max();  // Kafka: 1 hour; unlimited here, as a
                                                                                 // replayed log is not a client
  std::optional<Codec> compression_type = std::nullopt;  // recompress to this codec; absent: as the producer sent it
  int64_t producer_id_expiration_ms = int64_t{24} * 3600 * 1000;

  // --- Old records ---
  CleanupPolicy cleanup_policy = CleanupPolicy::kDelete;  // one that compacts: every record needs a key
  // A log is due for compaction when more than this part of its bytes was not compacted yet; lower: less disk, more
  // rewriting. 0 … 1.
  double min_cleanable_dirty_ratio = 0.5;
  int64_t min_compaction_lag_ms = 0;  // how long a record stays untouched, whatever came after it
  // After how long a record is due whatever the ratio; rolls a compacted log earlier than segment_ms.
  int64_t max_compaction_lag_ms = std::numeric_limits<int64_t>::max();
  int64_t delete_retention_ms = int64_t{24} * 3600 * 1000;  // how long a reader that lags may still meet a tombstone
  int64_t retention_ms = int64_t{7} * 24 * 3600 * 1000;     // -1: unlimited. Of a segment, since its largest timestamp
  int64_t retention_bytes = -1;                             // -1: unlimited. Of all segments together
  // How far a segment's largest timestamp may lie from the clock for retention to believe it (retention.h). Kafka
  // believes all: one record from the future keeps everything behind it. Ahead: more than clocks differ. Behind: more
  // than retention_ms, and than a log may be left alone: of one that is older nothing goes by age.
  int64_t retention_timestamp_ahead_max_ms = std::numeric_limits<int64_t>::max();
  int64_t retention_timestamp_behind_max_ms = std::numeric_limits<int64_t>::max();
  int64_t file_delete_delay_ms = 60'000;  // a deleted segment's files stay so long, for who opened the log before

  // --- Writing and reading ---
  IoMode io_mode = IoMode::kAuto;
  Visibility visibility = Visibility::kLogEnd;
  int64_t max_open_segments = 1024;  // sealed segments kept mapped at once (three mappings each; the kernel allows
                                     // 65,530 mappings a process); those a reader holds come on top
};

// Makes the records of an append a batch of an idempotent producer, so that sending them again does not append them
// again. Sequences number a producer's records, 0 to 2^31-1 and then from 0; a new epoch begins at 0.
struct ProducerStamp {
  int64_t producer_id = 0;
  int16_t producer_epoch = 0;
  int32_t base_sequence = 0;   // of the first record; the others count on
  bool transactional = false;  // opens a transaction, or goes on with it, until Log::AppendEndTransaction
};

struct AppendOptions {
  Ack ack = Ack::kWritten;
  // Absent: the latest known, else 0. Below that is kInvalidArgument: the leader has been replaced.
  std::optional<int32_t> leader_epoch = std::nullopt;
  Codec compression = Codec::kNone;                      // of records; a ready-made batch keeps its own
  std::optional<ProducerStamp> producer = std::nullopt;  // likewise
  // How long kDurable waits for another thread's sync before it answers kDeadlineExceeded; the record stays appended.
  std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max();
};

enum class Isolation {
  kLogEnd,         // everything appended; for replication and tools
  kHighWatermark,  // what is committed: read_uncommitted consumers
  kCommitted,      // up to the last stable offset: read_committed consumers. Scans leave aborted transactions out
};

struct ReadOptions {
  int64_t max_bytes = 1 << 20;  // whole batches only; see min_one_batch
  bool min_one_batch = true;    // the first batch is returned even where it alone exceeds max_bytes
  Isolation isolation = Isolation::kHighWatermark;
};

}  // namespace varve

#endif  // VARVE_LOG_OPTIONS_H_
