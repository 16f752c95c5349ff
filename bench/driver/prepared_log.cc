#include "driver/prepared_log.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "driver/failure.h"

namespace varve::bench {

namespace fs = std::filesystem;

std::unique_ptr<Log> OpenLog(const std::string& directory, const LogOptions& options) {
  return Must(Log::Open(directory, options));
}

int64_t RecordsIn(const LogForm& form) {
  constexpr int64_t kSampleBatches = 1'000;
  constexpr double kShare = 0.99;  // so that a log of the size of a segment is one segment
  Payload payload(form.lengths);
  double sample_bytes = 0;
  for (int64_t batch = 0; batch < kSampleBatches; ++batch) {
    sample_bytes += static_cast<double>(payload.Batch(batch * form.batch_records, form.batch_records).size());
  }
  const double batches = kShare * static_cast<double>(form.bytes) / (sample_bytes / kSampleBatches);
  return std::max<int64_t>(static_cast<int64_t>(batches), 1) * form.batch_records;
}

int64_t FillLog(const std::string& directory, const LogForm& form) {
  const auto log = OpenLog(directory);
  const int64_t records = RecordsIn(form);
  Payload payload(form.lengths);
  for (int64_t number = 0; number < records; number += form.batch_records) {
    Must(log->Append(payload.Records(number, form.batch_records)));
  }
  Must(log->Close());
  return records;
}

std::vector<std::string> LogFilesOf(const std::string& directory) {
  std::vector<std::string> paths;
  for (const auto& entry : fs::directory_iterator(directory)) {
    if (entry.path().extension() == ".log") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

PreparedLog::PreparedLog(const std::string& parent, const LogForm& form)
    : directory_(parent + "/prepared-0"), record_count_(FillLog(directory_, form)), log_(OpenLog(directory_)) {
  Check(log_->segments().size() == 1 && log_->log_end_offset() == record_count_, "a prepared log of another form");
  file_.reset(new RawFile(RawFile::Open(LogFilesOf(directory_).front())));
  mapping_ = std::make_unique<RawMapping>(*file_, RawMapping::Pages::kPresent);
}

PreparedLog::~PreparedLog() {
  Must(log_->Close());
  std::error_code ignored;
  fs::remove_all(directory_, ignored);
}

}  // namespace varve::bench
