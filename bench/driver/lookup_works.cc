// Finding a record by its offset, or by its time, in a large log that is cached, and reading it.
#include <algorithm>
#include <memory>
#include <thread>
#include <vector>

#include "driver/failure.h"
#include "driver/payload.h"
#include "driver/prepared_log.h"
#include "driver/random_place.h"
#include "driver/timing.h"
#include "driver/work.h"

namespace varve::bench {

namespace {

constexpr char kDependentTouch[] = "dependent touch of a mapped record";
constexpr char kOverlappingTouch[] = "touch of a mapped record, overlapping";
constexpr char kPread[] = "pread of a record";
constexpr char kVarve[] = "varve";
constexpr char kByOffset[] = "varve by offset";

class InLargeLog {
 public:
  InLargeLog(const Conditions& conditions, Lengths lengths, int64_t batch_records)
      : lookups_(conditions.sizes.lookups),
        log_(conditions.directory, {lengths, batch_records, conditions.sizes.log_bytes}),
        touch_bytes_(static_cast<uint64_t>(log_.size_bytes()) - kReadBytes) {}

  // Where the next one lies depends on what the one before holds, so that none can begin before.
  Values TouchDependent() {
    uint64_t state = NextSeed();
    const std::byte* const data = log_.mapping().data();
    const Stopwatch watch;
    for (int64_t number = 0; number < lookups_; ++number) {
      state += static_cast<uint64_t>(data[Below(touch_bytes_, &state)]);
    }
    const double ns = watch.NsEach(lookups_);
    asm volatile("" : : "r"(state));
    return {ns};
  }

  Values TouchOverlapping() {
    uint64_t state = NextSeed();
    const std::byte* const data = log_.mapping().data();
    uint64_t sum = 0;
    const Stopwatch watch;
    for (int64_t number = 0; number < lookups_; ++number) {
      sum += static_cast<uint64_t>(data[Below(touch_bytes_, &state)]);
    }
    const double ns = watch.NsEach(lookups_);
    asm volatile("" : : "r"(sum));
    return {ns};
  }

  Values ReadByCall() {
    uint64_t state = NextSeed();
    std::vector<std::byte> record(kReadBytes);
    const Stopwatch watch;
    for (int64_t number = 0; number < lookups_; ++number) {
      log_.file().ReadAt(static_cast<int64_t>(Below(touch_bytes_, &state)), record);
    }
    return {watch.NsEach(lookups_)};
  }

  // Of all threads together: time over all lookups.
  Values FindByOffset(int64_t thread_count) {
    return ByThreads(thread_count, [this](LogReader* reader, int64_t offset) {
      const auto batch = Must(reader->ReadBatch(offset));
      Check(batch.has_value() && NumberOf(RecordAt(*batch, offset)) == offset, "another record");
    });
  }

  Values FindByTime(int64_t thread_count) {
    return ByThreads(thread_count, [](LogReader* reader, int64_t offset) {
      const auto found = Must(reader->OffsetForTimestamp(kFirstTimestampMs + offset));
      Check(found.has_value() && found->offset == offset, "another record");
    });
  }

 private:
  static constexpr size_t kReadBytes = 180;

  [[nodiscard]] RecordView RecordAt(const RecordBatchView& batch, int64_t offset) const {
    RecordCursor cursor(batch, nullptr);
    RecordView record;
    for (int64_t before = batch.base_offset(); before < offset; ++before) Check(cursor.Skip(), "a shorter batch");
    Check(cursor.Next(&record), "a shorter batch");
    return record;
  }

  uint64_t NextSeed() { return ++seed_ * 7919; }

  template <typename Find>
  Values ByThreads(int64_t thread_count, Find find) {
    const int64_t each = lookups_ / thread_count;
    const auto records = static_cast<uint64_t>(log_.record_count());
    std::vector<std::jthread> threads;
    const Stopwatch watch;
    for (int64_t thread = 0; thread < thread_count; ++thread) {
      threads.emplace_back([this, each, records, &find, seed = NextSeed()] {
        uint64_t state = seed;
        LogReader reader = log_.log()->NewReader();
        for (int64_t number = 0; number < each; ++number) {
          find(&reader, static_cast<int64_t>(Below(records, &state)));
        }
      });
    }
    threads.clear();
    return {watch.NsEach(each * thread_count)};
  }

  const int64_t lookups_;
  const PreparedLog log_;
  const uint64_t touch_bytes_;
  uint64_t seed_ = 0;
};

// A log that is made when it is first needed.
class LazyLog {
 public:
  LazyLog(const Conditions& conditions, Lengths lengths, int64_t batch_records)
      : conditions_(conditions), lengths_(lengths), batch_records_(batch_records) {}

  InLargeLog* operator->() {
    if (!log_) log_ = std::make_unique<InLargeLog>(conditions_, lengths_, batch_records_);
    return log_.get();
  }

 private:
  const Conditions conditions_;
  const Lengths lengths_;
  const int64_t batch_records_;
  std::unique_ptr<InLargeLog> log_;
};

struct LookupForm {
  const char* name;
  Lengths lengths;
  int64_t batch_records;
  std::optional<double> by_offset_target;
};

constexpr LookupForm kForms[] = {{"equal_records", Lengths::kEqual, 1, 1.7},
                                 {"unequal_records", Lengths::kUnequal, 1, 2.5},
                                 {"batches_of_100", Lengths::kEqual, 100, std::nullopt}};

std::vector<Subject> Limits(const std::shared_ptr<LazyLog>& log) {
  return {{kDependentTouch, [log](const Round&) { return (*log)->TouchDependent(); }},
          {kOverlappingTouch, [log](const Round&) { return (*log)->TouchOverlapping(); }},
          {kPread, [log](const Round&) { return (*log)->ReadByCall(); }, {{kDependentTouch}}}};
}

Work LookupByOffset(const std::string& name, const Conditions& conditions, const LookupForm& form) {
  const auto log = std::make_shared<LazyLog>(conditions, form.lengths, form.batch_records);
  Work work{name, {{"time", "ns/lookup"}}, Limits(log)};
  work.subjects.push_back({kVarve,
                           [log](const Round&) { return (*log)->FindByOffset(1); },
                           {{kDependentTouch, form.by_offset_target}, {kPread}}});
  work.subjects.push_back({"varve, 2 threads",
                           [log](const Round&) { return (*log)->FindByOffset(2); },
                           {{kVarve, 1 / 1.9}, {kDependentTouch}}});
  return work;
}

Work LookupByTime(const std::string& name, const Conditions& conditions, const LookupForm& form) {
  const auto log = std::make_shared<LazyLog>(conditions, form.lengths, form.batch_records);
  Work work{name, {{"time", "ns/lookup"}}, Limits(log)};
  work.subjects.push_back({kByOffset, [log](const Round&) { return (*log)->FindByOffset(1); }, {{kDependentTouch}}});
  work.subjects.push_back(
      {kVarve, [log](const Round&) { return (*log)->FindByTime(1); }, {{kByOffset, 2.0}, {kDependentTouch}}});
  work.subjects.push_back(
      {"varve, 2 threads", [log](const Round&) { return (*log)->FindByTime(2); }, {{kVarve}, {kDependentTouch}}});
  return work;
}

}  // namespace

std::vector<WorkMaker> LookupWorks() {
  std::vector<WorkMaker> works;
  for (const LookupForm& form : kForms) {
    const std::string name = std::string("lookup.offset.") + form.name;
    works.push_back({name, [name, form](const Conditions& given) { return LookupByOffset(name, given, form); }});
  }
  for (const LookupForm& form : kForms) {
    const std::string name = std::string("lookup.time.") + form.name;
    works.push_back({name, [name, form](const Conditions& given) { return LookupByTime(name, given, form); }});
  }
  return works;
}

}  // namespace varve::bench
