// Keeps settings in a log that is compacted, and rebuilds them from it at each start:
//
//   keyed_state DIRECTORY                  shows all; DIRECTORY is named TOPIC-PARTITION
//   keyed_state DIRECTORY set KEY VALUE
//   keyed_state DIRECTORY unset KEY
//
// The log is the truth and the map in memory what it amounts to: every change is a record, and the latest record of a
// key counts. Compaction takes the others out, so that a start reads about as much as there are settings, however often
// they changed.
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "varve/log.h"

class Settings {
 public:
  static absl::StatusOr<Settings> Open(const std::string& directory) {
    varve::LogOptions options;
    options.cleanup_policy = varve::CleanupPolicy::kCompact;
    // Compaction leaves the segment alone that is being written: small ones leave little to read that is out of date.
    options.segment_bytes = 64 * 1024;
    absl::StatusOr<std::unique_ptr<varve::Log>> log = varve::Log::Open(directory, options);
    if (!log.ok()) return log.status();

    Settings settings(*std::move(log));
    varve::LogScan scan = settings.log_->Scan(settings.log_->log_start_offset());
    // Several records of a key may be left: in order, the last one wins. Who compacts appends none without a key, but
    // the log may hold some of a time when nobody did.
    for (const varve::RecordView& record : scan) {
      if (record.key().has_value()) settings.Apply(*record.key(), record.value());
    }
    if (!scan.status().ok()) return scan.status();
    return settings;
  }

  [[nodiscard]] const std::map<std::string, std::string, std::less<>>& values() const { return values_; }

  // The map follows the log, never the other way round: after an error the change may or may not be in the log, and the
  // next start tells. No value is a tombstone, which takes the key out.
  absl::Status Set(std::string_view key, std::optional<std::string_view> value) {
    const absl::StatusOr<varve::AppendResult> appended =
        log_->Append({{.key = key, .value = value}}, {.ack = varve::Ack::kDurable});
    if (!appended.ok()) return appended.status();
    Apply(key, value);
    return absl::OkStatus();
  }

  // Compacts if that is due: if more than half of the log, LogOptions::min_cleanable_dirty_ratio, was not compacted yet.
  // A program that runs on does so now and then, on a thread of its own if it likes: appends and reads go on meanwhile.
  absl::Status Tidy() {
    const absl::StatusOr<varve::CompactionResult> result = log_->Compact();
    if (!result.ok()) return result.status();
    if (varve::WasDue(result->reason)) {
      std::cerr << "compacted: " << result->bytes_before << " bytes became " << result->bytes_after << '\n';
    }
    return absl::OkStatus();
  }

  absl::Status Close() { return log_->Close(); }

 private:
  explicit Settings(std::unique_ptr<varve::Log> log) : log_(std::move(log)) {}

  void Apply(std::string_view key, std::optional<std::string_view> value) {
    if (value.has_value()) {
      values_.insert_or_assign(std::string(key), std::string(*value));
    } else if (const auto entry = values_.find(key); entry != values_.end()) {
      values_.erase(entry);
    }
  }

  std::unique_ptr<varve::Log> log_;
  std::map<std::string, std::string, std::less<>> values_;
};

int Fail(const absl::Status& status) { return std::cerr << status << '\n', 1; }

int main(int argc, char** argv) {
  const std::string_view action = argc > 2 ? argv[2] : "show";
  if (!(argc == 2 || (argc == 4 && action == "unset") || (argc == 5 && action == "set"))) {
    std::cerr << "usage: keyed_state DIRECTORY [set KEY VALUE | unset KEY]\n";
    return 2;
  }
  absl::StatusOr<Settings> settings = Settings::Open(argv[1]);
  if (!settings.ok()) return Fail(settings.status());

  if (argc == 2) {
    for (const auto& [key, value] : settings->values()) std::cout << key << " = " << value << '\n';
  } else {
    const auto value = argc == 5 ? std::optional<std::string_view>(argv[4]) : std::nullopt;
    if (const absl::Status set = settings->Set(argv[3], value); !set.ok()) return Fail(set);
  }

  if (const absl::Status tidied = settings->Tidy(); !tidied.ok()) return Fail(tidied);
  const absl::Status closed = settings->Close();
  return closed.ok() ? 0 : Fail(closed);
}
