// varve append: records from files or standard input into a partition.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/batch_appender.h"
#include "cli/commands.h"
#include "cli/json_forms.h"
#include "cli/line_reader.h"
#include "cli/option_checks.h"
#include "cli/output.h"
#include "cli/partition_access.h"
#include "cli/progress_bar.h"
#include "cli/quantities.h"
#include "cli/record_input.h"
#include "varve/topic_partition.h"

namespace varve::cli {
namespace {

constexpr char kCommand[] = "append";

// What is taken into memory of one record, whatever the options say.
constexpr int64_t kLargestRecordBytes = int64_t{1} << 30;

struct AppendSettings {
  std::string directory;
  std::vector<std::string> files;
  RecordInputOptions input;
  BatchLimits limits;
  LogOptions log;
  AppendOptions append;
  std::optional<int64_t> now_ms;
  bool json = false;
};

// A failure, and where in the input it arose.
absl::Status At(std::string_view where, const absl::Status& status) {
  const absl::string_view message = status.message();
  return absl::Status(status.code(), fmt::format("{}: {}", where, std::string_view(message.data(), message.size())));
}

class AppendRun {
 public:
  AppendRun(const AppendSettings& settings, Log* log, Clock* clock)
      : settings_(settings),
        input_(settings.input),
        appender_(log, clock, settings.limits, settings.append),
        bar_(kCommand) {}

  [[nodiscard]] absl::Status AppendAll() {
    for (const std::string& file : settings_.files) {
      absl::StatusOr<LineReader> lines = LineReader::Open(file, LongestLine());
      absl::Status status = lines.status();
      if (status.ok()) status = AppendFile(&*lines);
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
      if (lines->line_number() % kLinesPerUpdate == 0) bar_.Update(lines->bytes_read(), lines->size_bytes());
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

  static constexpr int64_t kLinesPerUpdate = 1024;

  const AppendSettings& settings_;
  RecordInput input_;
  BatchAppender appender_;
  ProgressBar bar_;
  int64_t input_bytes_ = 0;
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
    out->Print("{}\n", json.dump());
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

// OK if every input can be opened: better known before anything is created or appended.
absl::Status CheckInputs(const std::vector<std::string>& files) {
  for (const std::string& file : files) {
    if (absl::Status status = LineReader::Open(file, 0).status(); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// OK if the directory is there, or its name is one that a partition may have.
absl::Status CheckName(const std::string& directory) {
  const absl::StatusOr<FileInfo> info = FileSystem::Default()->Info(directory);
  if (!absl::IsNotFound(info.status())) return info.status();
  std::filesystem::path path = std::filesystem::absolute(directory).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // it ended in a slash
  const std::string name = path.filename().string();
  const absl::StatusOr<TopicPartition> partition = ParseTopicPartition(name);
  if (partition.ok() && partition->DirectoryName() == name && CheckTopicName(partition->topic).ok()) {
    return absl::OkStatus();
  }
  return Failure(
      absl::StatusCode::kInvalidArgument,
      "{}: expected the name of a new partition like orders-0 (a topic of a-z A-Z 0-9 . _ -, a dash, a number), "
      "found '{}'",
      directory, name);
}

ExitStatus RunAppend(AppendSettings settings) {
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
  if (!appended.ok()) status = ComplainOfInput(appended);
  return out.Finish(kCommand, status);
}

void AddInputOptions(CLI::App* command, AppendSettings* settings) {
  command->add_option("FILE", settings->files, "Files to read; '-' is standard input, the default");
  command
      ->add_option("--format", settings->input.format,
                   "A record a line, or JSON Lines (key, value, timestamp, headers)")
      ->transform(CLI::Transformer(
          std::map<std::string, InputFormat>{{"lines", InputFormat::kLines}, {"jsonl", InputFormat::kJsonLines}}))
      ->default_str("lines");
  command->add_option("--key-separator", settings->input.key_separator,
                      "What stands between key and value; a line without it has a null key");
  command->add_option("--timestamp-format", settings->input.timestamp_format,
                      "strptime format of the time that each line begins with; local where it has no zone");
}

void AddBatchOptions(CLI::App* command, AppendSettings* settings) {
  command->add_option("--batch-records", settings->limits.max_records, "Records of a batch at most")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30))
      ->capture_default_str();
  command->add_option("--batch-bytes", settings->limits.max_bytes, "Bytes of a batch at most, before compression")
      ->transform(SizeInBytes() & CLI::Range(int64_t{1}, (int64_t{1} << 31) - 1))
      ->capture_default_str();
  command->add_option("--compression", settings->append.compression, "Codec of the batches")
      ->transform(CLI::Transformer(std::map<std::string, Codec>{{"none", Codec::kNone},
                                                                {"gzip", Codec::kGzip},
                                                                {"snappy", Codec::kSnappy},
                                                                {"lz4", Codec::kLz4},
                                                                {"zstd", Codec::kZstd}}))
      ->default_str("none");
  command->add_option("--ack", settings->append.ack, "What a batch has survived when the next one begins")
      ->transform(CLI::Transformer(
          std::map<std::string, Ack>{{"none", Ack::kNone}, {"written", Ack::kWritten}, {"durable", Ack::kDurable}}))
      ->default_str("written");
  command->add_option("--leader-epoch", settings->append.leader_epoch, "Default: the latest known, else 0")
      ->check(CLI::Range(0, std::numeric_limits<int32_t>::max()));
  command->add_option("--now", settings->now_ms, "Time of records without one, and of rolling")->transform(TimeInMs());
}

void AddLogOptions(CLI::App* command, LogOptions* log) {
  constexpr int64_t kMaxFileBytes = (int64_t{1} << 31) - 1;
  command->add_option("--segment-bytes", log->segment_bytes, "A segment file's size at most")
      ->transform(SizeInBytes() & CLI::Range(int64_t{14}, kMaxFileBytes))
      ->default_str("1GiB");
  command->add_option("--segment-ms", log->segment_ms, "Time after which a new segment begins")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--index-interval-bytes", log->index_interval_bytes, "Bytes of log between two index entries")
      ->transform(SizeInBytes() & CLI::Range(int64_t{0}, kMaxFileBytes))
      ->capture_default_str();
  command->add_option("--timestamp-type", log->message_timestamp_type, "Whose time a record has")
      ->transform(CLI::Transformer(std::map<std::string, TimestampType>{{"create", TimestampType::kCreateTime},
                                                                        {"append", TimestampType::kLogAppendTime}}))
      ->default_str("create");
  command->add_option("--max-message-bytes", log->max_message_bytes, "Bytes of a batch at most, compressed as it is")
      ->transform(SizeInBytes() & CLI::Range(int64_t{1}, kMaxFileBytes))
      ->capture_default_str();
  command->add_option("--io", log->io_mode, "How small batches are written; default: what suits the file system")
      ->transform(
          CLI::Transformer(std::map<std::string, IoMode>{{"mapped", IoMode::kMapped}, {"write", IoMode::kWrite}}));
}

}  // namespace

void AddAppendCommand(CLI::App* app, ExitStatus* status) {
  CLI::App* const command = app->add_subcommand(kCommand, "Append records from files or standard input");
  const auto settings = std::make_shared<AppendSettings>();
  command->add_option("DIR", settings->directory, "Partition directory TOPIC-N, made if missing")->required();
  AddInputOptions(command, settings.get());
  AddBatchOptions(command, settings.get());
  AddLogOptions(command, &settings->log);
  command->add_flag("--json", settings->json, "Print the summary as JSON");
  command->callback([command, settings, status] {
    if (settings->input.format == InputFormat::kJsonLines &&
        (settings->input.key_separator.has_value() || settings->input.timestamp_format.has_value())) {
      throw CLI::ValidationError("--format jsonl",
                                 "has keys and times of its own: without --key-separator and "
                                 "--timestamp-format");
    }
    // Both limits hold; the one that was not asked for gives way to the one that was.
    const bool batch_bytes_given = command->count("--batch-bytes") > 0;
    const bool max_bytes_given = command->count("--max-message-bytes") > 0;
    settings->limits.max_bytes = std::min(settings->limits.max_bytes, settings->log.max_message_bytes);
    if (batch_bytes_given && !max_bytes_given) {
      settings->limits.max_lone_record_bytes = settings->limits.max_bytes;
    } else if (settings->append.compression == Codec::kNone) {
      settings->limits.max_lone_record_bytes = settings->log.max_message_bytes;
    } else {
      settings->limits.max_lone_record_bytes = kLargestRecordBytes;  // compressed it may fit; the log judges that
    }
    *status = RunAppend(std::move(*settings));
  });
}

}  // namespace varve::cli
