#include "cli/command_line.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "CLI/App.hpp"
#include "CLI/Config.hpp"  // App.hpp of this library does not include what it needs
#include "CLI/Formatter.hpp"
#include "absl/status/statusor.h"
#include "cli/adopt.h"
#include "cli/append.h"
#include "cli/compact.h"
#include "cli/dump.h"
#include "cli/explain.h"
#include "cli/export.h"
#include "cli/find.h"
#include "cli/quantities.h"
#include "cli/read.h"
#include "cli/repair.h"
#include "cli/retain.h"
#include "cli/stat.h"
#include "cli/truncate.h"
#include "cli/verify.h"
#include "fmt/format.h"
#include "varve/topic_partition.h"

namespace varve::cli {
namespace {

constexpr char kFooter[] =
    "Sizes: 65536, 64KiB, 1GiB. Times: milliseconds since the epoch, or 2026-01-31T12:00:00Z.\n"
    "Exit status: 0 done, 1 the data are not right, 2 wrong use of the command, 3 the system refused.";

constexpr int64_t kMaxFileBytes = (int64_t{1} << 31) - 1;

// --- Checks and conversions of values: what they refuse is wrong use of the command ---

// "65536", "64KiB", "1GiB" (1024) or "64KB" (1000) becomes a number of bytes in the range.
CLI::Validator SizeInBytes(int64_t min_bytes, int64_t max_bytes = kMaxFileBytes) {
  return CLI::AsSizeValue(/*kb_is_1000=*/true) & CLI::Range(min_bytes, max_bytes);
}

// CLI11's contract: the value is replaced in place, and the answer is empty or the complaint.
template <typename Parse>
CLI::Validator Conversion(Parse parse, const std::string& name) {
  return CLI::Validator(
      [parse](std::string& text) {
        const absl::StatusOr<int64_t> time_ms = parse(text);
        if (!time_ms.ok()) return std::string(time_ms.status().message());
        text = std::to_string(*time_ms);
        return std::string();
      },
      name);
}

// CLI11 by itself takes 010 for 8, "true" for 1, and what exceeds 63 bits for the largest number there is.
CLI::Validator WholeNumber() { return Conversion(ParseWholeNumber, ""); }

// A time as ParseTime and ParseLookupTime take it becomes milliseconds.
CLI::Validator TimeInMs() { return Conversion(ParseTime, "TIME"); }
CLI::Validator LookupTimeInMs() { return Conversion(ParseLookupTime, "TIME"); }

// One of the words becomes the number of what it names. (CLI11's own transformers take that number, too.)
template <typename Value>
CLI::Validator OneOf(const std::map<std::string, Value>& words) {
  std::vector<std::string> names;
  names.reserve(words.size());
  for (const auto& [name, value] : words) names.push_back(name);
  const std::string choice = fmt::format("{}", fmt::join(names, "|"));
  return CLI::Validator(
      [words, choice](std::string& text) {
        const auto word = words.find(text);
        if (word == words.end()) return fmt::format("expected {}, found '{}'", choice, text);
        text = std::to_string(static_cast<int>(word->second));
        return std::string();
      },
      choice);
}

// --- append ---

void AddInputOptions(CLI::App* command, AppendSettings* settings) {
  command->add_option("FILE", settings->files, "Files to read; '-' is standard input, the default");
  command
      ->add_option("--format", settings->input.format,
                   "A record a line, or JSON Lines (key, value, timestamp, headers)")
      ->transform(OneOf<InputFormat>({{"lines", InputFormat::kLines}, {"jsonl", InputFormat::kJsonLines}}))
      ->default_str("lines");
  command->add_option("--key-separator", settings->input.key_separator,
                      "What stands between key and value; a line without it has a null key");
  command->add_option("--timestamp-format", settings->input.timestamp_format,
                      "strptime format of the time that each line begins with; local where it has no zone");
}

void AddBatchOptions(CLI::App* command, AppendSettings* settings) {
  command->add_option("--batch-records", settings->limits.max_records, "Records of a batch at most")
      ->transform(WholeNumber())
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30))
      ->capture_default_str();
  command->add_option("--batch-bytes", settings->limits.max_bytes, "Bytes of a batch at most, before compression")
      ->transform(SizeInBytes(1))
      ->capture_default_str();
  command->add_option("--compression", settings->append.compression, "Codec of the batches")
      ->transform(OneOf<Codec>({{"none", Codec::kNone},
                                {"gzip", Codec::kGzip},
                                {"snappy", Codec::kSnappy},
                                {"lz4", Codec::kLz4},
                                {"zstd", Codec::kZstd}}))
      ->default_str("none");
  command->add_option("--ack", settings->append.ack, "What a batch has survived when the next one begins")
      ->transform(OneOf<Ack>({{"none", Ack::kNone}, {"written", Ack::kWritten}, {"durable", Ack::kDurable}}))
      ->default_str("written");
  command->add_option("--leader-epoch", settings->append.leader_epoch, "Default: the latest known, else 0")
      ->transform(WholeNumber())
      ->check(CLI::Range(0, std::numeric_limits<int32_t>::max()));
  command->add_option("--now", settings->now_ms, "Time of records without one, and of rolling")->transform(TimeInMs());
}

void AddLogOptions(CLI::App* command, LogOptions* log) {
  command->add_option("--segment-bytes", log->segment_bytes, "A segment file's size at most")
      ->transform(SizeInBytes(14))
      ->default_str("1GiB");
  command->add_option("--segment-ms", log->segment_ms, "Time after which a new segment begins")
      ->transform(WholeNumber())
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command
      ->add_option("--index-interval-bytes", log->index_interval_bytes,
                   "Bytes of log between two index entries; default: what the partition was written with, else 4096")
      ->transform(SizeInBytes(0));
  command->add_option("--timestamp-type", log->message_timestamp_type, "Whose time a record has")
      ->transform(
          OneOf<TimestampType>({{"create", TimestampType::kCreateTime}, {"append", TimestampType::kLogAppendTime}}))
      ->default_str("create");
  command->add_option("--max-message-bytes", log->max_message_bytes, "Bytes of a batch at most, compressed as it is")
      ->transform(SizeInBytes(1))
      ->capture_default_str();
  command->add_option("--io", log->io_mode, "How small batches are written; default: what suits the file system")
      ->transform(OneOf<IoMode>({{"mapped", IoMode::kMapped}, {"write", IoMode::kWrite}}));
}

// Both limits hold; the one that was not asked for gives way to the one that was.
void SettleLimits(bool batch_bytes_given, bool max_message_bytes_given, AppendSettings* settings) {
  settings->limits.max_bytes = std::min(settings->limits.max_bytes, settings->log.max_message_bytes);
  if (batch_bytes_given && !max_message_bytes_given) {
    settings->limits.max_lone_record_bytes = settings->limits.max_bytes;
  } else if (settings->append.compression == Codec::kNone) {
    settings->limits.max_lone_record_bytes = settings->log.max_message_bytes;
  } else {
    settings->limits.max_lone_record_bytes = kLargestRecordBytes;  // compressed it may fit; the log judges that
  }
}

void AddAppend(CLI::App* app, Command* chosen) {
  CLI::App* const command = app->add_subcommand("append", "Append records from files or standard input");
  const auto settings = std::make_shared<AppendSettings>();
  command->add_option("DIR", settings->directory, "Partition directory TOPIC-N, made if missing")->required();
  AddInputOptions(command, settings.get());
  AddBatchOptions(command, settings.get());
  AddLogOptions(command, &settings->log);
  command->add_flag("--json", settings->json, "Print the summary as JSON");
  command->callback([command, settings, chosen] {
    if (settings->input.format == InputFormat::kJsonLines &&
        (settings->input.key_separator.has_value() || settings->input.timestamp_format.has_value())) {
      throw CLI::ValidationError("--format jsonl",
                                 "has keys and times of its own: without --key-separator and --timestamp-format");
    }
    SettleLimits(command->count("--batch-bytes") > 0, command->count("--max-message-bytes") > 0, settings.get());
    *chosen = [settings] { return RunAppend(*settings); };
  });
}

// --- Commands that read ---

void AddRead(CLI::App* app, Command* chosen) {
  CLI::App* const command = app->add_subcommand("read", "Print records");
  const auto settings = std::make_shared<ReadSettings>();
  command->add_option("DIR", settings->directory, "Partition directory")->required();
  CLI::Option* const from_offset =
      command->add_option("--from-offset", settings->from_offset, "Begin at this offset; default: the log start")
          ->transform(WholeNumber());
  command->add_option("--from-time", settings->from_time_ms, "Begin at the first record of this time or later")
      ->transform(LookupTimeInMs())
      ->excludes(from_offset);
  command->add_option("--max-records", settings->max_records, "Stop after so many records")
      ->transform(WholeNumber())
      ->check(CLI::NonNegativeNumber);
  command->add_option("--to-offset", settings->to_offset, "Stop before this offset")
      ->transform(WholeNumber())
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--follow", settings->follow, "Wait for more at the end; Ctrl-C ends");
  command->add_option("--format", settings->format, "value, key-value (a tab between them) or jsonl")
      ->transform(OneOf<ReadFormat>(
          {{"value", ReadFormat::kValue}, {"key-value", ReadFormat::kKeyValue}, {"jsonl", ReadFormat::kJsonLines}}))
      ->default_str("value");
  command->add_option("--key-separator", settings->key_separator, "What stands between key and value; default: a tab");
  command->add_flag("--committed", settings->committed, "Leave out open and aborted transactions (read_committed)");
  command->add_flag_callback(
      "--json", [settings] { settings->format = ReadFormat::kJsonLines; }, "The same as --format jsonl");
  command->callback([settings, chosen] { *chosen = [settings] { return RunRead(*settings); }; });
}

// Values of options that may be repeated; the queries are in the order of the command line.
struct FindWords {
  std::vector<int64_t> offsets;
  std::vector<int64_t> times_ms;
  std::vector<int32_t> epochs;
};

void AddFind(CLI::App* app, Command* chosen) {
  CLI::App* const command = app->add_subcommand("find", "Tell where an offset, a time or an epoch lies");
  const auto settings = std::make_shared<FindSettings>();
  const auto words = std::make_shared<FindWords>();
  command->add_option("DIR", settings->directory, "Partition directory")->required();
  CLI::Option* const offset = command->add_option("--offset", words->offsets, "An offset; may be repeated")
                                  ->transform(WholeNumber())
                                  ->allow_extra_args(false);
  CLI::Option* const time =
      command->add_option("--time", words->times_ms, "A time, or earliest, latest, max; may be repeated")
          ->transform(LookupTimeInMs())
          ->allow_extra_args(false);
  CLI::Option* const epoch =
      command->add_option("--epoch", words->epochs, "A leader epoch: where it ends; may be repeated")
          ->transform(WholeNumber())
          ->allow_extra_args(false);
  command->add_flag("--json", settings->json, "Print JSON Lines");
  command->callback([=] {
    size_t offsets = 0;
    size_t times = 0;
    size_t epochs = 0;
    for (const CLI::Option* const option : command->parse_order()) {
      if (option == offset) settings->queries.push_back({QueryKind::kOffset, words->offsets.at(offsets++)});
      if (option == time) settings->queries.push_back({QueryKind::kTime, words->times_ms.at(times++)});
      if (option == epoch) settings->queries.push_back({QueryKind::kEpoch, words->epochs.at(epochs++)});
    }
    if (settings->queries.empty()) throw CLI::RequiredError("--offset, --time or --epoch");
    *chosen = [settings] { return RunFind(*settings); };
  });
}

void AddStat(CLI::App* app, Command* chosen) {
  CLI::App* const command =
      app->add_subcommand("stat", "Show offsets, sizes, times, codecs and a picture of the segments");
  const auto settings = std::make_shared<StatSettings>();
  command->add_option("DIR", settings->directory, "Partition directory")->required();
  command->add_flag("--json", settings->json, "Print JSON");
  command->callback([settings, chosen] { *chosen = [settings] { return RunStat(*settings); }; });
}

void AddDump(CLI::App* app, Command* chosen) {
  CLI::App* const command = app->add_subcommand("dump", "Print everything in a partition, or in one of its files");
  const auto settings = std::make_shared<DumpSettings>();
  command->add_option("PATH", settings->path, "Partition directory, or a file")->required();
  command->add_flag("--as-opened", settings->as_opened, "What opening would leave; nothing is written");
  command->add_flag("--json", settings->json, "Print one JSON document");
  command->add_flag("--batches-only", settings->form.batches_only, "Leave the records out");
  command->add_flag_callback(
      "--full", [settings] { settings->form.bytes = BytesForm::kFull; }, "Long keys and values too, in base64");
  command
      ->add_option("--index-interval-bytes", settings->index_interval_bytes,
                   "With --as-opened: bytes of log between two entries of an index that is rebuilt")
      ->transform(SizeInBytes(0));
  command->callback([settings, chosen] { *chosen = [settings] { return RunDump(*settings); }; });
}

void AddVerify(CLI::App* app, Command* chosen) {
  CLI::App* const command = app->add_subcommand("verify", "Check every batch and index entry; change nothing");
  const auto settings = std::make_shared<VerifySettings>();
  command->add_option("DIR", settings->directories, "Partition directories, or data directories with all they hold")
      ->required();
  command->add_flag("--json", settings->json, "Print JSON, a line for each partition");
  command->callback([settings, chosen] { *chosen = [settings] { return RunVerify(*settings); }; });
}

void AddExplain(CLI::App* app, Command* chosen) {
  CLI::App* const command = app->add_subcommand("explain", "Tell what the last opening found and did, and why");
  const auto settings = std::make_shared<ExplainSettings>();
  command->add_option("DIR", settings->directory, "Partition directory")->required();
  command->add_flag("--json", settings->json, "Print JSON");
  command->callback([settings, chosen] { *chosen = [settings] { return RunExplain(*settings); }; });
}

// --- Commands that mend and cut ---

void AddRepair(CLI::App* app, Command* chosen) {
  CLI::App* const command = app->add_subcommand("repair", "Recover a partition and rebuild its indexes");
  const auto settings = std::make_shared<RepairSettings>();
  command->add_option("DIR", settings->directory, "Partition directory")->required();
  command
      ->add_option(
          "--on-damage", settings->options.on_damage,
          "keep: mend indexes, cut nothing but a torn tail; truncate: as Kafka, the log ends before the damage; "
          "quarantine: move damaged ranges aside, their offsets stay a gap")
      ->transform(OneOf<OnDamage>(
          {{"keep", OnDamage::kKeep}, {"truncate", OnDamage::kTruncate}, {"quarantine", OnDamage::kQuarantine}}))
      ->default_str("keep");
  command->add_flag("--all", settings->options.all, "Every segment, not only those from the recovery point on");
  command->add_flag("--force", settings->options.force, "Also where the directory is clean and sound");
  command->add_flag("--dry-run", settings->dry_run, "Only say what would be done");
  command
      ->add_option("--index-interval-bytes", settings->options.index_interval_bytes,
                   "Bytes of log between two index entries; default: what the partition was written with, else 4096")
      ->transform(SizeInBytes(0));
  command->add_option("--now", settings->now_ms, "The time it is taken to be")->transform(TimeInMs());
  command->add_flag("--json", settings->json, "Print the report as JSON");
  command->callback([settings, chosen] { *chosen = [settings] { return RunRepair(*settings); }; });
}

void AddTruncate(CLI::App* app, Command* chosen) {
  CLI::App* const command = app->add_subcommand("truncate", "Drop the offsets at and above one");
  const auto settings = std::make_shared<TruncateSettings>();
  command->add_option("DIR", settings->directory, "Partition directory")->required();
  command->add_option("--to", settings->to_offset, "The log shall end here: a batch's first offset")
      ->required()
      ->transform(WholeNumber())
      ->check(CLI::NonNegativeNumber);
  command->add_flag("--whole-batch", settings->whole_batch, "Inside a batch: drop all of it");
  command->add_flag("--json", settings->json, "Print the summary as JSON");
  command->callback([settings, chosen] { *chosen = [settings] { return RunTruncate(*settings); }; });
}

void AddRetain(CLI::App* app, Command* chosen) {
  CLI::App* const command =
      app->add_subcommand("retain", "Delete the oldest segments by age or size, or before an offset");
  const auto settings = std::make_shared<RetainSettings>();
  command->add_option("DIR", settings->directory, "Partition directory")->required();
  command
      ->add_option("--retention-ms", settings->limits.retention_ms, "Segments go whose largest timestamp is longer ago")
      ->transform(WholeNumber())
      ->check(CLI::NonNegativeNumber);
  command
      ->add_option("--retention-bytes", settings->limits.retention_bytes,
                   "Segments go as long as those behind them hold so much")
      ->transform(SizeInBytes(0, std::numeric_limits<int64_t>::max()));
  command
      ->add_option("--before-offset", settings->limits.before_offset,
                   "The log shall start here; segments wholly below go, whatever their age")
      ->transform(WholeNumber())
      ->check(CLI::NonNegativeNumber);
  command->add_option("--now", settings->limits.now_ms, "The time it is taken to be")->transform(TimeInMs());
  command->add_flag("--dry-run", settings->dry_run, "Only say what would go");
  command->add_flag("--json", settings->json, "Print the summary as JSON");
  command->callback([settings, chosen] {
    const RetentionOptions& limits = settings->limits;
    if (!limits.retention_ms.has_value() && !limits.retention_bytes.has_value() && !limits.before_offset.has_value()) {
      throw CLI::RequiredError("--retention-ms, --retention-bytes or --before-offset");
    }
    *chosen = [settings] { return RunRetain(*settings); };
  });
}

void AddCompact(CLI::App* app, Command* chosen) {
  CLI::App* const command = app->add_subcommand(
      "compact", "Keep the latest record of each key, from the log's end too: a new active segment is begun");
  const auto settings = std::make_shared<CompactSettings>();
  command->add_option("DIR", settings->directory, "Partition directory")->required();
  command
      ->add_option("--delete-retention-ms", settings->delete_retention_ms,
                   "How long a tombstone stays from its first compaction on")
      ->transform(WholeNumber())
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command->add_option("--min-lag-ms", settings->min_lag_ms, "Segments stay as they are that hold anything younger")
      ->transform(WholeNumber())
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command
      ->add_option("--map-bytes", settings->map_bytes,
                   "Memory for the keys, 24 bytes each; too little takes several passes")
      ->transform(SizeInBytes(1, std::numeric_limits<int64_t>::max()))
      ->default_str("128MiB");
  command->add_option("--segment-bytes", settings->segment_bytes, "Up to which segments grow together")
      ->transform(SizeInBytes(14))
      ->default_str("1GiB");
  command->add_flag("--drop-unkeyed", settings->drop_unkeyed,
                    "Take records without a key out; a partition that holds any is refused otherwise");
  command->add_option("--now", settings->now_ms, "The time it is taken to be")->transform(TimeInMs());
  command->add_flag("--json", settings->json, "Print the summary as JSON");
  command->callback([settings, chosen] { *chosen = [settings] { return RunCompact(*settings); }; });
}

// --- Commands that hand over ---

// A broker that is not the only replica comes back as a follower, and cuts the log down to its leader's.
void CheckSoleReplica(const AdoptSettings& settings) {
  if (settings.options.move && !settings.replication_factor.has_value()) {
    throw CLI::ValidationError(
        "--move",
        "expected --replication-factor 1 with it, as kafka-topics.sh --describe has to print it: "
        "of a topic with more replicas nothing would be left");
  }
  if (settings.replication_factor.value_or(1) == 1) return;
  throw CLI::ValidationError(
      "--replication-factor",
      fmt::format(
          "expected a topic of one replica, found --replication-factor {}: the broker would cut the log down to "
          "another's. What kafka-topics.sh --describe prints is changed by kafka-reassign-partitions.sh",
          *settings.replication_factor));
}

void AddAdopt(CLI::App* app, Command* chosen) {
  CLI::App* const command =
      app->add_subcommand("adopt", "Hand a partition over to a stopped Kafka broker, which then serves it");
  const auto settings = std::make_shared<AdoptSettings>();
  command->add_option("DIR", settings->directory, "Partition directory, closed cleanly")->required();
  command->add_option("--into", settings->log_directory, "The broker's log directory")->required();
  command
      ->add_option_function<std::string>(
          "--as",
          [settings](const std::string& name) {
            settings->options.as = LivePartitionOf(name);
            if (settings->options.as.has_value()) return;
            throw CLI::ValidationError("--as", fmt::format("expected TOPIC-N, found '{}'", name));
          },
          "The partition's name in Kafka; default: the directory's")
      ->type_name("TOPIC-N");
  command->add_option(
      "--topic-id", settings->options.topic_id,
      "The topic's id, as kafka-topics.sh --describe prints it; default: that of the directory which "
      "the broker made for the partition. Where it has made none, and none of the topic's others, the "
      "id cannot be checked: under a wrong one the broker sets the partition aside. Nor can it be "
      "seen whether another of the broker's log.dirs holds the partition: the broker does not start then");
  command->add_flag("--move", settings->options.move, "Remove DIR once the copy is in place");
  command
      ->add_option(
          "--replication-factor", settings->replication_factor,
          "The topic's, as kafka-topics.sh --describe prints it: 1, as another replica has the copy cut down to "
          "what it has itself. --move has to be told")
      ->transform(WholeNumber());
  command
      ->add_option(
          "--retention-ms", settings->retention_ms,
          "The topic's retention.ms, -1 where it has none: --move keeps away from what is older, as the broker "
          "deletes it")
      ->transform(WholeNumber())
      ->capture_default_str();
  command->add_flag("--dry-run", settings->dry_run, "Only say what would be done");
  command->add_flag("--json", settings->json, "Print the summary as JSON");
  command->callback([settings, chosen] {
    CheckSoleReplica(*settings);
    *chosen = [settings] { return RunAdopt(*settings); };
  });
}

void AddExport(CLI::App* app, Command* chosen) {
  CLI::App* const command =
      app->add_subcommand("export", "Copy a partition out of the log directory of a stopped Kafka broker");
  const auto settings = std::make_shared<ExportSettings>();
  command->add_option("DIR", settings->directory, "Partition directory in a broker's log directory")->required();
  command->add_option("--to", settings->target, "Where to: a name that is free, by custom TOPIC-N")->required();
  command->add_flag("--dry-run", settings->dry_run, "Only say what would be done");
  command->add_flag("--json", settings->json, "Print the summary as JSON");
  command->callback([settings, chosen] { *chosen = [settings] { return RunExport(*settings); }; });
}

}  // namespace

Command ParseCommandLine(int argc, char** argv) {
  CLI::App app("Log storage of Apache Kafka: append, read, find, check, mend. DIR is a partition directory.", "varve");
  app.require_subcommand(1);
  app.set_version_flag("--version", VARVE_VERSION);
  app.footer(kFooter);
  Command chosen;
  AddAppend(&app, &chosen);
  AddRead(&app, &chosen);
  AddFind(&app, &chosen);
  AddStat(&app, &chosen);
  AddDump(&app, &chosen);
  AddVerify(&app, &chosen);
  AddRepair(&app, &chosen);
  AddExplain(&app, &chosen);
  AddTruncate(&app, &chosen);
  AddRetain(&app, &chosen);
  AddCompact(&app, &chosen);
  AddAdopt(&app, &chosen);
  AddExport(&app, &chosen);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 has statuses of its own for each kind of mistake, and prints help and version for 0.
    const ExitStatus status = app.exit(error) == 0 ? ExitStatus::kDone : ExitStatus::kUsage;
    return [status] { return status; };
  }
  return chosen;
}

}  // namespace varve::cli
