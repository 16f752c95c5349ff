#include "kafka/random_life.h"

#include <filesystem>
#include <optional>
#include <system_error>
#include <utility>

#include "base/status.h"

namespace varve::testing_support {
namespace {

LogOptions SomeOptions(RandomChoice* random) {
  constexpr CleanupPolicy kPolicies[] = {CleanupPolicy::kDelete, CleanupPolicy::kDelete, CleanupPolicy::kCompact,
                                         CleanupPolicy::kCompactAndDelete};
  constexpr int64_t kIntervals[] = {0, 1, 100, 300, 512, 1000, 4096};
  constexpr int64_t kIndexBytes[] = {80, 200, 1024, 1024, 65536};
  LogOptions options;
  options.io_mode = random->OneIn(2) ? IoMode::kMapped : IoMode::kWrite;
  options.segment_bytes = 1000 + random->Below(random->OneIn(3) ? 60'000 : 5'000);
  options.segment_ms = random->OneIn(3) ? 1000 + random->Below(20'000) : options.segment_ms;
  options.index_interval_bytes = random->Of(kIntervals);
  options.segment_index_bytes = random->Of(kIndexBytes);
  options.cleanup_policy = random->Of(kPolicies);
  options.file_delete_delay_ms = random->Below(3) * 1000;
  options.max_open_segments = 1 + random->Below(4);
  if (random->OneIn(5)) options.message_timestamp_type = TimestampType::kLogAppendTime;
  if (random->OneIn(6)) options.compression_type = random->OneIn(2) ? Codec::kLz4 : Codec::kNone;
  return options;
}

RecordShape SomeShape(RandomChoice* random, const LogOptions& options) {
  RecordShape shape{.text_header_keys = true};
  if (Compacts(options.cleanup_policy)) shape.key_count = static_cast<size_t>(2 + random->Below(15));
  shape.max_value_bytes = static_cast<size_t>(1 + random->Below(random->OneIn(3) ? 600 : 60));
  shape.max_long_value_bytes = static_cast<size_t>(random->OneIn(3) ? 2000 : 300);
  shape.spread_ms = random->OneIn(4) ? 0 : random->Below(10'000);
  return shape;
}

}  // namespace

RandomLife::RandomLife(uint64_t seed, std::string directory)
    : random_(seed),
      directory_(std::move(directory)),
      options_(SomeOptions(&random_)),
      appends_(&random_, &clock_, &appended_, SomeShape(&random_, options_)) {
  options_.clock = &clock_;
}

std::vector<RandomLife::Choice> RandomLife::SomeChoices() {
  const int64_t if_compacts = Compacts(options_.cleanup_policy) ? 1 : 0;
  const int64_t if_deletes = Deletes(options_.cleanup_policy) ? 1 : 0;
  const std::vector<Choice> all = {
      {"append records", 12, &RandomLife::AppendRecords},
      {"append a ready-made batch", 8, &RandomLife::AppendReadyMade},
      {"append of a producer", 12, &RandomLife::AppendOfProducer},
      {"append again", 2, &RandomLife::AppendAgain},
      {"end a transaction", 8, &RandomLife::EndTransaction},
      {"append as a follower", 5, &RandomLife::AppendAsFollower},
      {"assign a leader epoch", 2, &RandomLife::AssignLeaderEpoch},
      {"truncate", 2, &RandomLife::Truncate, true},
      {"start at", 1, &RandomLife::StartAt, true},
      {"delete before", 2 * if_deletes, &RandomLife::DeleteBefore, true},
      {"retain", 4, &RandomLife::Retain, true},
      {"compact", 9 * if_compacts, &RandomLife::Compact, true},
      {"compact in part", 3 * if_compacts, &RandomLife::CompactInPart, true},
      {"roll", 2, &RandomLife::Roll},
      {"flush", 2, &RandomLife::Flush},
      {"reopen", 2, &RandomLife::Reopen, true},
      {"kill", 2, &RandomLife::Kill, true},
      {"let time pass", 5, &RandomLife::LetTimePass},
  };
  const bool in_one_go = random_.OneIn(3);
  std::vector<Choice> choices = {all.front()};
  for (Choice choice : all) {
    choice.weight *= random_.Below(4);
    if (choice.weight > 0 && !(in_one_go && choice.rewrites)) choices.push_back(choice);
  }
  return choices;
}

absl::StatusOr<LifeEnd> RandomLife::Live() {
  const std::vector<Choice> choices = SomeChoices();
  const int64_t count = random_.Below(80);
  std::vector<std::string> steps;
  VARVE_RETURN_IF_ERROR(Open());
  for (int64_t number = 0; number < count; ++number) {
    const Choice& choice = random_.Weighted(choices);
    steps.push_back(fmt::format("{} at {}", choice.name, log_->log_end_offset()));
    VARVE_RETURN_IF_ERROR(internal::Annotate((this->*choice.step)(), steps.back()));
    VARVE_RETURN_IF_ERROR(internal::Annotate(Check(choice), steps.back()));
  }
  VARVE_ASSIGN_OR_RETURN(LifeEnd end, End());
  end.steps = std::move(steps);
  return end;
}

absl::Status RandomLife::Check(const Choice& done) {
  VARVE_RETURN_IF_ERROR(appended_.CheckEnds(*log_));
  const bool is_pass = done.step == &RandomLife::Compact || done.step == &RandomLife::CompactInPart;
  return is_pass ? appended_.TakeOutCompacted(*log_) : absl::OkStatus();
}

absl::Status RandomLife::Open() {
  log_.reset();
  VARVE_ASSIGN_OR_RETURN(log_, Log::Open(directory_, options_));
  return absl::OkStatus();
}

absl::Status RandomLife::Truncate() {
  const int64_t log_start_offset = log_->log_start_offset();
  const int64_t asked = log_start_offset + random_.Below(log_->log_end_offset() - log_start_offset + 1);
  LogReader reader = log_->NewReader();
  VARVE_ASSIGN_OR_RETURN(const std::optional<OffsetLookup> batch, reader.Find(asked));
  const int64_t offset = batch.has_value() ? batch->base_offset : log_->log_end_offset();
  appends_.Forget();
  if (offset < log_start_offset) return absl::OkStatus();
  VARVE_RETURN_IF_ERROR(log_->TruncateTo(offset));
  return appended_.TruncateTo(offset, *log_);
}

absl::Status RandomLife::StartAt() {
  appends_.Forget();
  const int64_t log_start_offset = log_->log_start_offset();
  const int64_t above = random_.OneIn(3) ? int64_t{1} << 40 : 100;
  const int64_t offset = log_start_offset + random_.Below(log_->log_end_offset() - log_start_offset + above);
  appended_.StartAt(offset);
  return log_->TruncateFullyAndStartAt(offset);
}

absl::Status RandomLife::DeleteBefore() {
  appends_.Forget();
  const int64_t log_start_offset = log_->log_start_offset();
  const int64_t offset = log_start_offset + random_.Below(log_->log_end_offset() - log_start_offset + 1);
  appended_.DeleteBefore(offset);
  return log_->DeleteBefore(offset);
}

absl::Status RandomLife::Retain() {
  appends_.Forget();
  RetentionOptions limits{.retention_ms = -1, .retention_bytes = -1};
  if (random_.OneIn(2)) limits.retention_ms = random_.Below(20'000);
  if (random_.OneIn(2)) limits.retention_bytes = random_.Below(8 * options_.segment_bytes);
  VARVE_ASSIGN_OR_RETURN(const RetentionResult result, log_->ApplyRetention(limits));
  appended_.DeleteBefore(result.log_start_offset);
  return absl::OkStatus();
}

CompactionOptions RandomLife::SomePass() {
  CompactionOptions options{.force = !random_.OneIn(3), .delete_retention_ms = random_.Below(4000)};
  if (random_.OneIn(4)) options.key_map_bytes = 24 * (2 + random_.Below(10));
  if (random_.OneIn(4)) options.min_compaction_lag_ms = random_.Below(3000);
  return options;
}

absl::Status RandomLife::Compact() { return log_->Compact(SomePass()).status(); }

// Given up or killed in its midst, which leaves files that it was writing.
absl::Status RandomLife::CompactInPart() {
  VARVE_ASSIGN_OR_RETURN(const auto pass, log_->BeginCompaction(SomePass()));
  for (int64_t steps = random_.Below(8); steps > 0; --steps) {
    VARVE_ASSIGN_OR_RETURN(const bool done, pass->Step({.bytes = 1 + random_.Below(2000)}));
    if (done) return absl::OkStatus();
    VARVE_RETURN_IF_ERROR(AppendRecords());
  }
  return random_.OneIn(2) ? absl::OkStatus() : Kill();
}

absl::Status RandomLife::Reopen() {
  VARVE_RETURN_IF_ERROR(log_->Close());
  options_.io_mode = random_.OneIn(2) ? IoMode::kMapped : IoMode::kWrite;
  return Open();
}

absl::Status RandomLife::LeaveAsKilled() {
  const std::string killed = directory_ + ".killed";
  std::error_code error;
  std::filesystem::copy(directory_, killed, error);
  if (!error) {
    log_.reset();
    std::filesystem::remove_all(directory_, error);
  }
  if (!error) std::filesystem::rename(killed, directory_, error);
  if (!error) return absl::OkStatus();
  return internal::Error(absl::StatusCode::kInternal, "{}: cannot be copied: {}", directory_, error.message());
}

absl::Status RandomLife::Kill() {
  VARVE_RETURN_IF_ERROR(LeaveAsKilled());
  return Open();
}

absl::Status RandomLife::LetTimePass() {
  clock_.AdvanceMs(random_.Below(random_.OneIn(5) ? 60'000 : 2000));
  return absl::OkStatus();
}

absl::StatusOr<LifeEnd> RandomLife::End() {
  LifeEnd end{.clean = !random_.OneIn(3),
              .clock_ms = clock_.WallMs(),
              .options = options_,
              .appended = appended_,
              .producers = log_->producers(),
              .leader_epochs = log_->leader_epochs()};
  const LogOffsets offsets = log_->offsets();
  end.last_stable_offset = offsets.last_stable_offset;
  end.recovery_point = end.clean ? offsets.log_end_offset : offsets.durable_offset;
  VARVE_RETURN_IF_ERROR(end.clean ? log_->Close() : LeaveAsKilled());
  return end;
}

}  // namespace varve::testing_support
