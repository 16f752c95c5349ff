#include "faults/flipped_log.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "base/status.h"
#include "fmt/format.h"
#include "record/batch_format.h"
#include "segment/segment_files.h"
#include "state/checkpoint_file.h"
#include "varve/overlay_file_system.h"
#include "varve/verify.h"

namespace varve::testing_support {
namespace {

using internal::SegmentFileKind;

constexpr std::string_view kAppended = "appended behind it";

template <typename... Args>
absl::Status Wrong(fmt::format_string<Args...> format, Args&&... args) {
  return absl::InternalError(fmt::format(format, std::forward<Args>(args)...));
}

std::string Text(const absl::Status& status) { return status.ToString(); }

bool Same(std::span<const std::byte> one, std::span<const std::byte> other) {
  return one.size() == other.size() && std::memcmp(one.data(), other.data(), one.size()) == 0;
}

// The leader epoch is outside the checksum, and where the epochs on either side differ, or there is none, nothing tells
// which it was.
constexpr size_t kEpochBytes = sizeof(int32_t);
bool IsOfEpoch(int64_t position) {
  return position >= static_cast<int64_t>(internal::kLeaderEpochPosition) &&
         position < static_cast<int64_t>(internal::kLeaderEpochPosition + kEpochBytes);
}
bool SameButForEpoch(std::span<const std::byte> one, std::span<const std::byte> other) {
  constexpr size_t kBehind = internal::kLeaderEpochPosition + kEpochBytes;
  return one.size() == other.size() &&
         Same(one.first(internal::kLeaderEpochPosition), other.first(internal::kLeaderEpochPosition)) &&
         Same(one.subspan(kBehind), other.subspan(kBehind));
}

bool Same(const ReferenceRecord& expected, const RecordView& found) {
  return expected.offset == found.offset() && expected.timestamp_ms == found.timestamp_ms() &&
         expected.key == found.key() && expected.value == found.value();
}

// Reads an open log in every way, each in its turn the first: what one meets, those behind it know.
class Readings {
 public:
  static constexpr size_t kWays = 4;

  // `hit`: the batch with the bit, which may be damaged; null where none is.
  Readings(const Log& log, const SoundLog& sound, const SoundBatch* hit)
      : log_(log), sound_(sound), hit_(hit), reader_(log.NewReader()) {}

  absl::Status ReadAll(size_t first) {
    static constexpr std::array<absl::Status (Readings::*)(), kWays> kInOrder = {
        &Readings::ReadBatches, &Readings::ReadRuns, &Readings::Scan, &Readings::FindTimes};
    for (size_t way = first; way < first + kWays; ++way) VARVE_RETURN_IF_ERROR((this->*kInOrder[way % kWays])());
    return absl::OkStatus();
  }

  // Somebody who read was told of damage.
  [[nodiscard]] bool damage_was_met() const { return damage_was_met_; }

 private:
  bool IsHit(int64_t offset) const { return hit_ != nullptr && hit_->Holds(offset); }

  absl::Status ReadBatches() {
    for (const SoundBatch& batch : sound_.batches) {
      for (const int64_t offset : {batch.base_offset, batch.last_offset}) {
        const absl::StatusOr<std::optional<RecordBatchView>> view = reader_.ReadBatch(offset, Isolation::kLogEnd);
        absl::Status judged = &batch == hit_ ? JudgeHit(view) : JudgeOther(view, batch);
        if (!judged.ok()) return internal::Annotate(judged, fmt::format("ReadBatch({})", offset));
      }
    }
    return absl::OkStatus();
  }

  static absl::Status JudgeOther(const absl::StatusOr<std::optional<RecordBatchView>>& view, const SoundBatch& batch) {
    if (!view.ok()) return Wrong("a batch outside the damage: {}", Text(view.status()));
    if (!view->has_value()) return Wrong("a batch outside the damage is not there");
    if (Same((*view)->bytes(), batch.bytes)) return absl::OkStatus();
    return Wrong("the batch from {} to {} expected, found others from {} to {}", batch.base_offset, batch.last_offset,
                 (*view)->base_offset(), (*view)->last_offset());
  }

  absl::Status JudgeHit(const absl::StatusOr<std::optional<RecordBatchView>>& view) {
    if (absl::IsDataLoss(view.status())) {
      damage_was_met_ = true;
      return absl::OkStatus();
    }
    if (!view.ok()) return Wrong("the batch with the bit: {}", Text(view.status()));
    if (!view->has_value()) return Wrong("the batch with the bit is gone, and no damage in its place");
    return JudgeBytes(**view);
  }

  // Whoever reads whole batches checks their checksums.
  absl::Status JudgeBytes(const RecordBatchView& view) {
    if (SameButForEpoch(view.bytes(), hit_->bytes)) return absl::OkStatus();
    if (view.CrcMatches()) {
      return Wrong("the batch from {} to {} or damage expected, found a good one from {} to {}", hit_->base_offset,
                   hit_->last_offset, view.base_offset(), view.last_offset());
    }
    damage_was_met_ = true;
    return absl::OkStatus();
  }

  // As a consumer does, who leaves out what is damaged.
  absl::Status ReadRuns() {
    for (int64_t offset = 0; offset < sound_.end_offset;) {
      const int64_t before = offset;
      absl::Status read = ReadRun(&offset);
      if (!read.ok()) return internal::Annotate(read, fmt::format("Read({})", before));
      if (offset > before) continue;
      if (!IsHit(offset)) return Wrong("Read({}) finds nothing", offset);
      offset = hit_->last_offset + 1;
    }
    return absl::OkStatus();
  }

  absl::Status ReadRun(int64_t* offset) {
    const absl::StatusOr<FileRange> range = reader_.Read(*offset, {.max_bytes = 5000, .isolation = Isolation::kLogEnd});
    if (!range.ok()) {
      return IsHit(*offset) && absl::IsDataLoss(range.status()) ? absl::OkStatus() : Wrong("{}", Text(range.status()));
    }
    std::span<const std::byte> bytes = range->View();
    for (RecordBatchView view; *offset < sound_.end_offset && NextBatch(&bytes, &view);) {
      const SoundBatch* const batch = sound_.At(*offset);
      if (batch == nullptr || batch->base_offset != *offset) return Wrong("no batch begins at {}", *offset);
      if (batch == hit_) {
        VARVE_RETURN_IF_ERROR(JudgeBytes(view));
        if (!SameButForEpoch(view.bytes(), hit_->bytes)) return absl::OkStatus();
      } else {
        VARVE_RETURN_IF_ERROR(JudgeOther(view, *batch));
      }
      *offset = batch->last_offset + 1;
    }
    return absl::OkStatus();
  }

  absl::Status Scan() {
    next_batch_ = 0;
    next_record_ = 0;
    for (int64_t from = 0;;) {
      LogScan scan =
          log_.Scan(from, {.to_offset = sound_.end_offset, .control_records = true, .isolation = Isolation::kLogEnd});
      for (const RecordView& record : scan) VARVE_RETURN_IF_ERROR(TakeRecord(record));
      if (scan.status().ok()) break;
      damage_was_met_ = damage_was_met_ || absl::IsDataLoss(scan.status());
      if (!absl::IsDataLoss(scan.status()) || hit_ == nullptr || scan.next_offset() != hit_->last_offset + 1) {
        return Wrong("a scan from {} goes on at {}: {}", from, scan.next_offset(), Text(scan.status()));
      }
      from = scan.next_offset();
    }
    return SkipRecordsBefore(sound_.end_offset);
  }

  absl::Status TakeRecord(const RecordView& record) {
    VARVE_RETURN_IF_ERROR(SkipRecordsBefore(record.offset()));
    if (next_batch_ == sound_.batches.size())
      return Wrong("a scan found a record at {} behind the end", record.offset());
    if (!Same(sound_.batches[next_batch_].records[next_record_], record)) {
      return Wrong("a scan found another record at {}", record.offset());
    }
    StepOver();
    return absl::OkStatus();
  }

  absl::Status SkipRecordsBefore(int64_t offset) {
    while (next_batch_ < sound_.batches.size() && sound_.batches[next_batch_].records[next_record_].offset < offset) {
      if (&sound_.batches[next_batch_] != hit_) {
        return Wrong("a scan leaves out the record at {}", sound_.batches[next_batch_].records[next_record_].offset);
      }
      StepOver();
    }
    return absl::OkStatus();
  }

  void StepOver() {
    if (++next_record_ < sound_.batches[next_batch_].records.size()) return;
    ++next_batch_;
    next_record_ = 0;
  }

  absl::Status FindTimes() {
    for (const SoundTime& time : sound_.times) {
      const absl::StatusOr<std::optional<TimestampLookup>> found = reader_.OffsetForTimestamp(time.timestamp_ms);
      const bool may_be_damaged = time.offset.has_value() && IsHit(*time.offset);
      if (may_be_damaged && absl::IsDataLoss(found.status())) continue;
      if (!found.ok()) return Wrong("OffsetForTimestamp({}): {}", time.timestamp_ms, Text(found.status()));
      std::optional<int64_t> offset;
      if (found->has_value()) offset = (*found)->offset;
      if (offset == time.offset || (may_be_damaged && FitsBesideHit(time.timestamp_ms, offset))) continue;
      return Wrong("OffsetForTimestamp({}): offset {} expected, found {}", time.timestamp_ms, time.offset.value_or(-1),
                   offset.value_or(-1));
    }
    return absl::OkStatus();
  }

  // In the damaged batch any record, or as if it were not there.
  bool FitsBesideHit(int64_t timestamp_ms, std::optional<int64_t> offset) const {
    if (offset.has_value() && IsHit(*offset)) return true;
    if (timestamp_ms == kMaxTimestamp) return true;
    for (const SoundBatch& batch : sound_.batches) {
      if (&batch == hit_) continue;
      for (const ReferenceRecord& record : batch.records) {
        if (record.timestamp_ms >= timestamp_ms) return offset == record.offset;
      }
    }
    return !offset.has_value();
  }

  const Log& log_;
  const SoundLog& sound_;
  const SoundBatch* const hit_;
  LogReader reader_;
  bool damage_was_met_ = false;
  size_t next_batch_ = 0;  // the record of `sound_` that a scan is to find next
  size_t next_record_ = 0;
};

class Check {
 public:
  Check(const SoundLog& sound, const LogOptions& options, bool closed, const std::optional<Flip>& flip)
      : sound_(sound), options_(options), closed_(closed), flip_(flip), end_offset_(sound.end_offset) {
    if (!flip.has_value()) return;
    const std::optional<internal::ParsedSegmentFile> parsed = internal::ParseSegmentFileName(flip->file);
    if (!parsed.has_value()) return;
    kind_ = parsed->kind;
    if (kind_ == SegmentFileKind::kLog) hit_ = sound.At(parsed->base_offset, flip->position);
  }

  absl::Status Run() {
    VARVE_RETURN_IF_ERROR(CheckVerify());
    LogOptions options = options_;
    options.read_only = true;
    VARVE_RETURN_IF_ERROR(CheckOpened(options, "read only"));
    OverlayFileSystem changes(options_.file_system);
    options.file_system = &changes;
    options.read_only = false;
    VARVE_RETURN_IF_ERROR(CheckOpened(options, "to write"));
    options.read_only = true;
    return CheckOpened(options, "again");
  }

 private:
  // Damage that whoever looks is to be told of.
  bool IsTold() const { return hit_ != nullptr && !IsOfEpoch(flip_->position - hit_->position); }

  // A last batch further up is one behind a gap to who does not know where the log ended.
  bool IsToldByVerify() const {
    constexpr auto kBaseOffsetEnd = static_cast<int64_t>(internal::kLengthPosition);
    const bool may_be_gap = hit_ == &sound_.batches.back() && flip_->position - hit_->position < kBaseOffsetEnd;
    return IsTold() && (closed_ || !may_be_gap);
  }

  absl::Status CheckVerify() const {
    const absl::StatusOr<VerifyReport> report = Verify(options_.file_system, kSoundPartition);
    if (!report.ok()) return Wrong("Verify: {}", Text(report.status()));
    if (IsToldByVerify() && report->ok) return Wrong("Verify finds nothing");
    if (hit_ == nullptr && !report->damage.empty()) {
      return Wrong("Verify finds damage where there is none: {}", report->damage.front().reason);
    }
    return absl::OkStatus();
  }

  absl::Status CheckOpened(const LogOptions& options, std::string_view how) {
    const absl::StatusOr<std::unique_ptr<Log>> log = Log::Open(kSoundPartition, options);
    if (!log.ok()) return Wrong("opened {}: {}", how, Text(log.status()));
    absl::Status checked = CheckLog(**log);
    if (checked.ok() && !options.read_only) checked = AppendBehind(log->get());
    if (checked.ok()) return checked;
    return internal::Annotate(checked, fmt::format("opened {}; {}", how, (*log)->recovery_report().ToJson()));
  }

  absl::Status CheckLog(const Log& log) {
    const LogOffsets offsets = log.offsets();
    if (offsets.log_start_offset != 0 || offsets.log_end_offset != end_offset_) {
      return Wrong("offsets 0 to {} expected, found {} to {}", end_offset_, offsets.log_start_offset,
                   offsets.log_end_offset);
    }
    Readings readings(log, sound_, hit_);
    VARVE_RETURN_IF_ERROR(readings.ReadAll(FirstWay()));
    VARVE_RETURN_IF_ERROR(ReadAppended(log));
    VARVE_RETURN_IF_ERROR(CheckReported(log, readings.damage_was_met()));
    return CheckBesides(log);
  }

  // Differs between the bits of a byte, and between neighbouring bytes.
  size_t FirstWay() const {
    return flip_.has_value() ? static_cast<size_t>(flip_->position + flip_->bit) % Readings::kWays : 0;
  }

  // By the opening that found it, or by who reads; what was mended once is sound.
  absl::Status CheckReported(const Log& log, bool damage_was_met) {
    const std::vector<DamagedRange> damage = log.damage();
    if (hit_ == nullptr && !damage.empty()) {
      return Wrong("damage at {} where there is none: {}", damage.front().position, damage.front().reason);
    }
    was_mended_ = was_mended_ || std::ranges::any_of(log.recovery_report().findings, [](const auto& finding) {
                    return finding.action == RecoveryAction::kMended;
                  });
    const bool told = !damage.empty() || damage_was_met || was_mended_;
    return IsTold() && !told ? Wrong("nobody is told of it") : absl::OkStatus();
  }

  // What is known of transactions, epochs and producers.
  absl::Status CheckBesides(const Log& log) const {
    const absl::StatusOr<std::vector<AbortedTransaction>> aborted = log.AbortedTransactions(0, sound_.end_offset);
    const bool may_differ = kind_ == SegmentFileKind::kTransactionIndex || (hit_ != nullptr && hit_->transactional);
    if (!may_differ && (!aborted.ok() || *aborted != sound_.aborted)) {
      return Wrong("other aborted transactions: {}", Text(aborted.status()));
    }
    if (hit_ != nullptr) return absl::OkStatus();
    const bool epochs_may_differ = flip_.has_value() && flip_->file == internal::kLeaderEpochCheckpoint;
    if (!epochs_may_differ && log.leader_epochs() != sound_.epochs) return Wrong("other leader epochs");
    return ProducersOf(log) == sound_.producers ? absl::OkStatus() : Wrong("other producers");
  }

  absl::Status AppendBehind(Log* log) {
    const int64_t offset = std::exchange(end_offset_, end_offset_ + 1);
    const absl::StatusOr<AppendResult> appended =
        log->Append({{.key = "k", .value = kAppended, .timestamp_ms = 1}}, {.ack = Ack::kDurable});
    if (!appended.ok()) return Wrong("an append: {}", Text(appended.status()));
    if (appended->base_offset != offset)
      return Wrong("an append at {} expected, found {}", offset, appended->base_offset);
    VARVE_RETURN_IF_ERROR(ReadAppended(*log));
    return log->Close();
  }

  absl::Status ReadAppended(const Log& log) const {
    if (end_offset_ == sound_.end_offset) return absl::OkStatus();
    LogScan scan = log.Scan(sound_.end_offset);
    const bool found = scan.Next() && scan.record().offset() == sound_.end_offset && scan.record().value() == kAppended;
    return found ? absl::OkStatus() : Wrong("what was appended cannot be read: {}", Text(scan.status()));
  }

  const SoundLog& sound_;
  const LogOptions& options_;
  const bool closed_;
  const std::optional<Flip>& flip_;
  std::optional<SegmentFileKind> kind_;
  const SoundBatch* hit_ = nullptr;
  int64_t end_offset_;
  bool was_mended_ = false;
};

}  // namespace

std::ostream& operator<<(std::ostream& out, const Flip& flip) {
  return out << flip.file << ", byte " << flip.position << ", bit " << flip.bit;
}

absl::Status CheckFlippedLog(const SoundLog& sound, const LogOptions& options, bool closed,
                             const std::optional<Flip>& flip) {
  return Check(sound, options, closed, flip).Run();
}

}  // namespace varve::testing_support
