#include "cli/append.h"

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "cli/batch_appender.h"
#include "cli/json_values.h"
#include "cli/line_reader.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/progress_bar.h"
#include "cli/quantities.h"
#include "cli/record_input.h"
#include "cli/terminal.h"
#include "varve/topic_partition.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "append";

// A failure, and where in the input it arose.
absl::Status At(std::string_view where, const absl::Status& status) {
  return Failure(status.code(), "{}: {}", where, MessageOf(status));
}

// The bytes of all files; 0 where one of them has no size that can be known.
int64_t BytesOf(const std::vector<std::string>& files) {
  int64_t bytes = 0;
  for (const std::string& file : files) {
    const std::optional<int64_t> size = LineReader::SizeOf(file);
    if (!size.has_value()) return 0;
    bytes += *size;
  }
  return bytes;
}

class AppendRun {
 public:
  AppendRun(const AppendSettings& settings, Log* log, Clock* clock)
      : settings_(settings),
        input_(settings.input),
        appender_(log, clock, settings.limits, settings.append),
        total_bytes_(BytesOf(settings.files)),
        bar_(kCommand) {}

  [[nodiscard]] absl::Status AppendAll() {
    for (const std::string& file : settings_.files) {
      absl::StatusOr<LineReader> lines = LineReader::Open(file, LongestLine());
      absl::Status status = lines.status();
      if (status.ok()) {
        // What has come is not kept waiting for what may never come.
        lines->set_on_idle([this] { return Flush(); });
        status = AppendFile(&*lines);
      }
      if (!status.ok()) {
        // The records before the faulty one were good: they are appended, and counted.
        const absl::Status flushed = Flush();
        return flushed.ok() ? status : flushed;
      }
    }
    return Flush();
  }

  void FinishBar() { bar_.Finish(); }
  [[nodiscard]] const BatchAppender::Totals& totals() const { return appender_.totals(); }
  [[nodiscard]] int64_t input_bytes() const { return input_bytes_; }

 private:
  // A line that cannot become a record is refused before all of it is in memory. JSON needs more room than what it
  // says.
  [[nodiscard]] size_t LongestLine() const {
    const bool is_plain = settings_.input.format == InputFormat::kLines;
    return static_cast<size_t>(is_plain ? settings_.limits.max_lone_record_bytes : kLargestRecordBytes);
  }

  absl::Status AppendFile(LineReader* lines) {
    const int64_t bytes_before = input_bytes_;
    std::string_view line;
    for (;;) {
      const absl::StatusOr<bool> more = lines->Next(&line);
      if (!more.ok()) return more.status();
      input_bytes_ = bytes_before + lines->bytes_read();
      if (!*more) return absl::OkStatus();
      const absl::StatusOr<Record> record = input_.Parse(line);
      if (!record.ok()) return At(lines->Where(), record.status());
      if (absl::Status status = AppendRecord(*record, *lines); !status.ok()) return status;
      if (++lines_ % kLinesPerUpdate == 0) bar_.Update(input_bytes_, total_bytes_);
    }
  }

  absl::Status AppendRecord(const Record& record, const LineReader& lines) {
    if (!appender_.HasRoomFor(record)) {
      if (absl::Status status = Flush(); !status.ok()) return status;
    }
    if (absl::Status status = appender_.Add(record); !status.ok()) return At(lines.Where(), status);
    if (batch_file_.empty()) {
      batch_file_ = lines.name();
      batch_line_ = lines.line_number();
    }
    return appender_.full() ? Flush() : absl::OkStatus();
  }

  absl::Status Flush() {
    const absl::Status status = appender_.Flush();
    const std::string from = fmt::format("{} line {}", std::exchange(batch_file_, {}), batch_line_);
    return status.ok() ? status : At(fmt::format("the batch from {} on", from), status);
  }

  static constexpr int64_t kLinesPerUpdate = 256;

  const AppendSettings& settings_;
  RecordInput input_;
  BatchAppender appender_;
  const int64_t total_bytes_;  // of the input; 0 where that is not known
  ProgressBar bar_;
  int64_t input_bytes_ = 0;
  int64_t lines_ = 0;
  std::string batch_file_;  // where the first record of the present batch came from; empty while it has none
  int64_t batch_line_ = 0;
};

void PrintSummary(const AppendSettings& settings, const AppendRun& run, const Log& log, double seconds, Output* out) {
  const BatchAppender::Totals& totals = run.totals();
  const double megabytes_per_second = seconds > 0 ? static_cast<double>(run.input_bytes()) / seconds / 1e6 : 0;
  if (settings.json) {
    const auto offset_or_null = [&](int64_t offset) {
      return totals.records > 0 ? OrderedJson(offset) : OrderedJson();
    };
    const LogOffsets offsets = log.offsets();
    const OrderedJson json = {{"dir", settings.directory},
                              {"records", totals.records},
                              {"batches", totals.batches},
                              {"bytes", totals.bytes},
                              {"first_offset", offset_or_null(totals.first_offset)},
                              {"last_offset", offset_or_null(totals.last_offset)},
                              {"log_start_offset", offsets.log_start_offset},
                              {"log_end_offset", offsets.log_end_offset},
                              {"input_bytes", run.input_bytes()},
                              {"seconds", seconds},
                              {"megabytes_per_second", megabytes_per_second},
                              {"report", ReportJson(log.recovery_report())}};
    out->Print("{}\n", JsonText(json));
  } else if (totals.records == 0) {
    out->Print("{}: no records appended; the log ends at offset {}\n", settings.directory, log.log_end_offset());
  } else {
    out->Print("{}: {} records appended in {} batches, offsets {} to {}, {} in {:.3f} s ({:.1f} MB/s)\n",
               settings.directory, FormatCount(totals.records), FormatCount(totals.batches), totals.first_offset,
               totals.last_offset, FormatBytes(run.input_bytes()), seconds, megabytes_per_second);
  }
}

// A refused record is a fault of the data, not of the command line.
ExitStatus ComplainOfInput(const absl::Status& status) {
  const ExitStatus complaint = Complain(kCommand, status);
  return absl::IsInvalidArgument(status) ? ExitStatus::kDataWrong : complaint;
}

// OK if every input can be read: better known before anything is created or appended.
absl::Status CheckInputs(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    if (absl::Status status = LineReader::Check(file); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// OK if the directory is there, or its name is one that a partition may have.
absl::Status CheckName(const std::string& directory) {
  const absl::StatusOr<FileInfo> info = FileSystem::Default()->Info(directory);
  if (!absl::IsNotFound(info.status())) return info.status();
  std::error_code error;  // of an empty name, which is refused below
  std::filesystem::path path = std::filesystem::absolute(directory, error).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // it ended in a slash
  const std::string name = path.filename().string();
  const std::optional<TopicPartition> partition = LivePartitionOf(name);
  if (partition.has_value() && CheckTopicName(partition->topic).ok()) return absl::OkStatus();
  return Failure(
      absl::StatusCode::kInvalidArgument,
      "{}: expected the name of a new partition like orders-0 (a topic of a-z A-Z 0-9 . _ -, a dash, a number), "
      "found '{}'",
      directory, name);
}

}  // namespace

ExitStatus RunAppend(const AppendSettings& given_settings) {
  AppendSettings settings = given_settings;
  if (!CodecAvailable(settings.append.compression)) {
    return Complain(kCommand, ExitStatus::kUsage,
                    fmt::format("--compression {}: left out of this build", CodecName(settings.append.compression)));
  }
  if (const absl::Status status = CheckName(settings.directory); !status.ok()) return Complain(kCommand, status);
  if (settings.files.empty()) settings.files.emplace_back("-");
  if (const absl::Status status = CheckInputs(settings.files); !status.ok()) return Complain(kCommand, status);

  std::optional<StoppedClock> stopped_clock;
  if (settings.now_ms.has_value()) settings.log.clock = &stopped_clock.emplace(*settings.now_ms);
  absl::StatusOr<WritablePartition> partition = OpenForWriting(kCommand, settings.directory, settings.log);
  if (!partition.ok()) return Complain(kCommand, partition.status());
  Log* const log = partition->log.get();
  for (const RecoveryFinding& finding : log->recovery_report().findings) Note(kCommand, finding.ToString());

  CatchInterrupts();  // what was read shall not be lost
  const int64_t start_ns = Clock::Default()->MonotonicNs();
  AppendRun run(settings, log, settings.log.clock);
  const absl::Status appended = run.AppendAll();
  const double seconds = static_cast<double>(Clock::Default()->MonotonicNs() - start_ns) / 1e9;
  run.FinishBar();
  const absl::Status closed = log->Close();

  Output out;
  PrintSummary(settings, run, *log, seconds, &out);
  ExitStatus status = ExitStatus::kDone;
  if (!closed.ok()) status = Complain(kCommand, closed);
  if (!appended.ok()) status = std::max(status, ComplainOfInput(appended));
  return out.Finish(kCommand, status);
}

}  // namespace varve::cli
