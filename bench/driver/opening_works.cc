// Opening: after a clean stop and after an unclean one, a large log and one of many segments, with what it takes of
// memory and descriptors.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

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
#include "driver/raw_checksum.h"
#include "driver/raw_file.h"
#include "driver/timing.h"
#include "driver/work.h"

namespace varve::bench {

namespace {

namespace fs = std::filesystem;

constexpr double kMiB = 1 << 20;
constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

std::vector<Figure> Figures() { return {{"time", "ms"}, {"memory", "MiB"}, {"descriptors", "open"}}; }

// Opens the log in a process of its own, which then looks for a record at each end, and closes it unmeasured: with the
// first sync, which writes again what was above the durable point.
Values OpenIt(const std::string& directory, int64_t record_count) {
  ::sync();  // what was prepared is not to be written meanwhile
  return InChild([&]() -> Values {
    const int64_t bytes_before = PrivateBytes();
    const int64_t descriptors_before = DescriptorCount();
    const Stopwatch watch;
    const auto log = OpenLog(directory, {.create = false});
    const double ms = watch.ms();
    const auto memory = static_cast<double>(PrivateBytes() - bytes_before) / kMiB;
    const auto descriptors = static_cast<double>(DescriptorCount() - descriptors_before);
    Check(log->log_end_offset() == record_count, "another log end offset");
    for (const int64_t offset : {int64_t{0}, record_count - 1}) {
      const auto batch = Must(log->NewReader().Find(offset));
      Check(batch.has_value(), "a record is missing");
    }
    return {ms, memory, descriptors};
  });
}

// Without its state a log counts as one of another machine that has never been synced.
void ForgetState(const std::string& directory) { fs::remove(directory + "/varve.state"); }

// --- A large log ---

class LargeLog {
 public:
  LargeLog(const Conditions& conditions, int64_t batch_records)
      : form_{Lengths::kEqual, batch_records, conditions.sizes.log_bytes},
        original_(conditions.directory + "/original-0"),
        record_count_(FillLog(original_, form_)) {}
  ~LargeLog() { fs::remove_all(original_); }
  LargeLog(const LargeLog&) = delete;
  LargeLog& operator=(const LargeLog&) = delete;

  [[nodiscard]] Values CrcMapped() const {
    const Stopwatch watch;
    uint32_t all = 0;
    for (const std::string& path : LogFilesOf(original_)) {
      const RawFile file = RawFile::Open(path);
      const RawMapping mapping(file, RawMapping::Pages::kPresent);
      all ^= RawCrcOfBlocks(mapping.bytes());
    }
    asm volatile("" : : "r"(all));
    return {watch.ms(), kNone, kNone};
  }

  [[nodiscard]] Values AfterCleanStop(const Round& round) const { return OpenIt(CopyFor(round), record_count_); }

  [[nodiscard]] Values AllAboveTheDurablePoint(const Round& round) const {
    const std::string copy = CopyFor(round);
    ForgetState(copy);
    return OpenIt(copy, record_count_);
  }

  // A process appends a sixteenth more and dies.
  [[nodiscard]] Values PartAboveTheDurablePoint(const Round& round) const {
    constexpr int64_t kPart = 16;
    const std::string copy = CopyFor(round);
    const int64_t end =
        record_count_ + std::max<int64_t>(record_count_ / form_.batch_records / kPart, 1) * form_.batch_records;
    (void)InChild([&]() -> Values {
      const auto log = OpenLog(copy, {.create = false});
      Payload payload;
      for (int64_t number = record_count_; number < end; number += form_.batch_records) {
        Must(log->Append(payload.Records(number, form_.batch_records)));
      }
      return {};
    });
    return OpenIt(copy, end);
  }

 private:
  [[nodiscard]] std::string CopyFor(const Round& round) const {
    std::string copy = round.directory() + "/log-0";
    fs::copy(original_, copy);
    return copy;
  }

  const LogForm form_;
  const std::string original_;
  const int64_t record_count_;
};

Work OpenLarge(const std::string& name, const Conditions& conditions, int64_t batch_records) {
  const auto kept = std::make_shared<std::unique_ptr<LargeLog>>();
  const auto log = [kept, conditions, batch_records]() -> const LargeLog& {
    if (!*kept) *kept = std::make_unique<LargeLog>(conditions, batch_records);
    return **kept;
  };
  const char* const limit = "CRC over the mapped log";
  return {name,
          Figures(),
          {{limit, [log](const Round&) { return log().CrcMapped(); }},
           {"varve, clean stop", [log](const Round& round) { return log().AfterCleanStop(round); }, {{limit}}},
           {"varve, unclean stop, durable point 0",
            [log](const Round& round) { return log().AllAboveTheDurablePoint(round); },
            {{limit, 1.3}}},
           {"varve, unclean stop, 1/16 above the durable point",
            [log](const Round& round) { return log().PartAboveTheDurablePoint(round); },
            {{limit}}}}};
}

// --- Many segments ---

class ManySegments {
 public:
  explicit ManySegments(const Conditions& conditions)
      : segments_(conditions.sizes.segments), original_(conditions.directory + "/segments-0") {
    const auto log = OpenLog(original_, {.io_mode = IoMode::kWrite});
    Payload payload;
    for (int64_t number = 0; number < segments_; ++number) {
      Must(log->Roll());
      Must(log->Append(payload.Records(number, 1)));
    }
    Check(static_cast<int64_t>(log->segments().size()) == segments_, "another number of segments");
    Must(log->Close());
  }
  ~ManySegments() { fs::remove_all(original_); }
  ManySegments(const ManySegments&) = delete;
  ManySegments& operator=(const ManySegments&) = delete;

  [[nodiscard]] Values ListNames() const {
    const Stopwatch watch;
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(original_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return {watch.ms(), kNone, kNone};
  }

  [[nodiscard]] Values AskSizes() const {
    const std::vector<std::string> paths = LogFilesOf(original_);
    const Stopwatch watch;
    for (const std::string& path : paths) {
      struct stat info = {};
      if (::stat(path.c_str(), &info) != 0) Fail("stat " + path);
    }
    return {watch.ms(), kNone, kNone};
  }

  [[nodiscard]] Values MapAll() const {
    const std::vector<std::string> paths = LogFilesOf(original_);
    std::vector<std::unique_ptr<RawMapping>> mappings;
    const Stopwatch watch;
    for (const std::string& path : paths) {
      mappings.push_back(std::make_unique<RawMapping>(RawFile::Open(path), RawMapping::Pages::kOnDemand));
    }
    return {watch.ms(), kNone, kNone};
  }

  // The one that opens it does not close it: what is measured next finds it closed again.
  [[nodiscard]] Values AfterCleanStop() const {
    const Values values = OpenIt(original_, segments_);
    Must(OpenLog(original_)->Close());
    return values;
  }

  [[nodiscard]] Values AfterUncleanStop() const {
    ForgetState(original_);
    const Values values = OpenIt(original_, segments_);
    Must(OpenLog(original_)->Close());
    return values;
  }

 private:
  const int64_t segments_;
  const std::string original_;
};

Work OpenSegments(const Conditions& conditions) {
  const auto kept = std::make_shared<std::unique_ptr<ManySegments>>();
  const auto log = [kept, conditions]() -> const ManySegments& {
    if (!*kept) *kept = std::make_unique<ManySegments>(conditions);
    return **kept;
  };
  const char* const limit = "listing the names";
  const char* const map_all = "opening and mapping each .log";
  return {"open.segments",
          Figures(),
          {{limit, [log](const Round&) { return log().ListNames(); }},
           {"stat of each .log", [log](const Round&) { return log().AskSizes(); }, {{limit}}},
           {map_all, [log](const Round&) { return log().MapAll(); }, {{limit}}},
           {"varve, clean stop",
            [log](const Round&) { return log().AfterCleanStop(); },
            {{limit, 1.5}, {"", 64, 1}, {"", 128, 2}}},
           {"varve, unclean stop, durable point 0",
            [log](const Round&) { return log().AfterUncleanStop(); },
            {{map_all}}}}};
}

}  // namespace

std::vector<WorkMaker> OpeningWorks() {
  return {{"open.one_record_batches",
           [](const Conditions& given) { return OpenLarge("open.one_record_batches", given, 1); }},
          {"open.batches_of_100", [](const Conditions& given) { return OpenLarge("open.batches_of_100", given, 100); }},
          {"open.segments", OpenSegments}};
}

}  // namespace varve::bench
