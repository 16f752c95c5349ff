// The space that records take on disk, beside their format: a batch as a producer sends it.
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "driver/failure.h"
#include "driver/payload.h"
#include "driver/prepared_log.h"
#include "driver/work.h"

namespace varve::bench {

namespace {

namespace fs = std::filesystem;

// Beyond keys and values, of a closed log.
Values SpaceOf(const std::string& directory, int64_t record_count) {
  double log_bytes = 0;
  double index_bytes = 0;
  for (const auto& entry : fs::directory_iterator(directory)) {
    const std::string extension = entry.path().extension();
    const auto bytes = static_cast<double>(entry.file_size());
    if (extension == ".log") log_bytes += bytes;
    if (extension == ".index" || extension == ".timeindex") index_bytes += bytes;
  }
  const auto count = static_cast<double>(record_count);
  return {log_bytes / count - static_cast<double>(kRecordBytes), index_bytes / count};
}

Work Space(const std::string& name, const Conditions& conditions, int64_t batch_records) {
  const LogForm form{Lengths::kEqual, batch_records, conditions.sizes.codec_bytes};
  const char* const limit = "the format";
  return {name,
          {{"log", "B/record"}, {"indexes", "B/record"}},
          {{limit,
            [form](const Round&) {
              const auto bytes = static_cast<double>(Payload().Batch(0, form.batch_records).size());
              return Values{bytes / static_cast<double>(form.batch_records) - static_cast<double>(kRecordBytes),
                            std::numeric_limits<double>::quiet_NaN()};
            }},
           {"varve",
            [form](const Round& round) {
              const std::string directory = round.directory() + "/log-0";
              return SpaceOf(directory, FillLog(directory, form));
            },
            {{limit, 1.0}}}}};
}

}  // namespace

std::vector<WorkMaker> SpaceWorks() {
  return {
      {"space.one_record_batches", [](const Conditions& given) { return Space("space.one_record_batches", given, 1); }},
      {"space.batches_of_100", [](const Conditions& given) { return Space("space.batches_of_100", given, 100); }}};
}

}  // namespace varve::bench
