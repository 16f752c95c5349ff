// Growth: what appending, finding, opening and memory cost as a log gets larger, has more segments, or is one of many.
//
// The subjects of these works are points of a curve: the number in a name is where it lies.
#include <algorithm>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "driver/child_process.h"
#include "driver/failure.h"
#include "driver/payload.h"
#include "driver/prepared_log.h"
#include "driver/random_place.h"
#include "driver/raw_file.h"
#include "driver/timing.h"
#include "driver/work.h"

namespace varve::bench {

namespace {

namespace fs = std::filesystem;

constexpr int64_t kAppends = 10'000;
constexpr double kMiB = 1 << 20;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

std::vector<Figure> Figures() { return {{"append", "ns/record"}, {"lookup", "ns"}, {"open", "ms"}, {"memory", "MiB"}}; }

// --- One log ---

// A log that grows by what is appended to measure that, and by nothing else.
class GrownLog {
 public:
  GrownLog(std::string directory, const LogForm& form, int64_t segments)
      : directory_(std::move(directory)), records_(Fill(form, segments)) {}
  ~GrownLog() { fs::remove_all(directory_); }
  GrownLog(const GrownLog&) = delete;
  GrownLog& operator=(const GrownLog&) = delete;

  // All in a process of its own, so that the memory is that of this log, in use.
  Values Use(int64_t lookups) {
    Values values = InChild([&]() -> Values {
      const int64_t bytes_before = PrivateBytes();
      const Stopwatch opening;
      const auto log = OpenLog(directory_);
      const double open_ms = opening.ms();
      Payload payload;
      const Stopwatch appending;
      for (int64_t number = records_; number < records_ + kAppends; ++number) {
        Must(log->Append(payload.Records(number, 1)));
      }
      const double append_ns = appending.NsEach(kAppends);
      (void)FindRandom(*log, lookups);  // what is not mapped yet
      const double lookup_ns = FindRandom(*log, lookups);
      const double memory = static_cast<double>(PrivateBytes() - bytes_before) / kMiB;
      Must(log->Close());
      return {append_ns, lookup_ns, open_ms, memory};
    });
    records_ += kAppends;
    return values;
  }

  // How long the memory takes by itself: a touch of a random place that depends on the one before.
  [[nodiscard]] Values Touch(int64_t lookups) const {
    std::vector<std::unique_ptr<RawMapping>> mappings;
    for (const std::string& path : LogFilesOf(directory_)) {
      mappings.push_back(std::make_unique<RawMapping>(RawFile::Open(path), RawMapping::Pages::kPresent));
    }
    uint64_t state = 1;
    const Stopwatch watch;
    for (int64_t number = 0; number < lookups; ++number) {
      const RawMapping& mapping = *mappings[Below(mappings.size(), &state)];
      state += static_cast<uint64_t>(mapping.data()[Below(mapping.size(), &state)]);
    }
    const double ns = watch.NsEach(lookups);
    asm volatile("" : : "r"(state));
    return {kNone, ns, kNone, kNone};
  }

 private:
  // By write calls, as nobody measures it.
  [[nodiscard]] int64_t Fill(const LogForm& form, int64_t segments) const {
    const auto log = OpenLog(directory_, {.io_mode = IoMode::kWrite});
    const int64_t records = std::max(RecordsIn(form), segments);
    Payload payload;
    for (int64_t segment = 0; segment < segments; ++segment) {
      Must(log->Roll());
      const int64_t first = records * segment / segments;
      const int64_t end = records * (segment + 1) / segments;
      for (int64_t number = first; number < end; ++number) Must(log->Append(payload.Records(number, 1)));
    }
    Must(log->Close());
    return records;
  }

  [[nodiscard]] double FindRandom(const Log& log, int64_t lookups) const {
    LogReader reader = log.NewReader();
    uint64_t state = 1;
    const Stopwatch watch;
    for (int64_t number = 0; number < lookups; ++number) {
      const auto offset = static_cast<int64_t>(Below(static_cast<uint64_t>(records_), &state));
      const auto batch = Must(reader.ReadBatch(offset));
      Check(batch.has_value() && NumberOf(FirstRecord(*batch)) == offset, "another record");
    }
    return watch.NsEach(lookups);
  }

  const std::string directory_;
  int64_t records_;
};

// Two subjects for a log of this form: what the memory takes, and varve.
void AddPoint(Work* work, const Conditions& conditions, const std::string& point, const LogForm& form,
              int64_t segments) {
  const auto kept = std::make_shared<std::unique_ptr<GrownLog>>();
  const auto log = [kept, directory = conditions.directory + "/grown" + std::to_string(work->subjects.size()) + "-0",
                    form, segments]() -> GrownLog& {
    if (!*kept) *kept = std::make_unique<GrownLog>(directory, form, segments);
    return **kept;
  };
  const int64_t lookups = conditions.sizes.lookups;
  const std::string limit = "dependent touch, " + point;
  work->subjects.push_back({limit, [log, lookups](const Round&) { return log().Touch(lookups); }});
  work->subjects.push_back(
      {"varve, " + point, [log, lookups](const Round&) { return log().Use(lookups); }, {{limit, std::nullopt, 1}}});
}

Work ByBytes(const Conditions& conditions) {
  Work work{"growth.bytes", Figures(), {}};
  for (int64_t bytes = 1 << 20; bytes <= conditions.sizes.growth_bytes; bytes *= 4) {
    const int64_t segments = std::max<int64_t>(bytes >> 30, 1);  // of 1 GiB at most
    AddPoint(&work, conditions, std::to_string(bytes >> 20) + " MiB", {Lengths::kEqual, 1, bytes}, segments);
  }
  return work;
}

Work BySegments(const Conditions& conditions) {
  Work work{"growth.segments", Figures(), {}};
  const LogForm form{Lengths::kEqual, 1, conditions.sizes.log_bytes / 4};
  for (int64_t segments = 1; segments <= conditions.sizes.segments; segments *= 10) {
    AddPoint(&work, conditions, std::to_string(segments) + " segments", form, segments);
  }
  return work;
}

// --- Many logs ---

// Opens so many empty logs in one process, appends to them in turn, and finds what was appended.
Values UseMany(const std::string& parent, int64_t count) {
  return InChild([&]() -> Values {
    RaiseDescriptorLimit();
    const int64_t bytes_before = PrivateBytes();
    std::vector<std::unique_ptr<Log>> logs;
    const Stopwatch opening;
    for (int64_t number = 0; number < count; ++number) {
      logs.push_back(OpenLog(parent + "/log-" + std::to_string(number)));
    }
    const double open_ms = opening.ms();
    const int64_t appends = std::max(kAppends, count);
    Payload payload;
    const auto log_of = [&](int64_t number) -> Log& { return *logs[static_cast<size_t>(number % count)]; };
    const Stopwatch appending;
    for (int64_t number = 0; number < appends; ++number) Must(log_of(number).Append(payload.Records(number, 1)));
    const double append_ns = appending.NsEach(appends);
    const double memory = static_cast<double>(PrivateBytes() - bytes_before) / kMiB;
    const Stopwatch finding;
    for (int64_t number = 0; number < appends; ++number) {
      const auto range = Must(log_of(number).Read(number / count, {.max_bytes = 1}));
      Check(range.base_offset() == number / count, "another record");
    }
    return {append_ns, finding.NsEach(appends), open_ms, memory};
  });
}

Work ByLogs(const Conditions& conditions) {
  Work work{"growth.logs", Figures(), {}};
  for (int64_t count = 1; count <= conditions.sizes.open_logs; count *= 10) {
    work.subjects.push_back({"varve, " + std::to_string(count) + " logs",
                             [count](const Round& round) { return UseMany(round.directory(), count); },
                             count == 1 ? std::vector<Beside>() : std::vector<Beside>{{"varve, 1 logs"}}});
  }
  return work;
}

}  // namespace

std::vector<WorkMaker> GrowthWorks() {
  return {{"growth.bytes", ByBytes}, {"growth.segments", BySegments}, {"growth.logs", ByLogs}};
}

}  // namespace varve::bench
