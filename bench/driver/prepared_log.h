// PreparedLog: a log that is large enough to be searched or scanned, made once and kept from round to round.
#ifndef VARVE_BENCH_DRIVER_PREPARED_LOG_H_
#define VARVE_BENCH_DRIVER_PREPARED_LOG_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "driver/payload.h"
#include "driver/raw_file.h"
#include "varve/log.h"

namespace varve::bench {

struct LogForm {
  Lengths lengths = Lengths::kEqual;
  int64_t batch_records = 1;
  int64_t bytes = 0;
};

// How many records a log of this form has, which is not larger than its bytes.
[[nodiscard]] int64_t RecordsIn(const LogForm& form);

// Makes a log of this form and closes it; answers how many records it has.
int64_t FillLog(const std::string& directory, const LogForm& form);

// Opens a log, or ends the program.
[[nodiscard]] std::unique_ptr<Log> OpenLog(const std::string& directory, const LogOptions& options = {});

// The .log files of a partition, in order.
[[nodiscard]] std::vector<std::string> LogFilesOf(const std::string& directory);

class PreparedLog {
 public:
  // In a directory of its own below `parent`, which is removed with it.
  PreparedLog(const std::string& parent, const LogForm& form);
  ~PreparedLog();
  PreparedLog(const PreparedLog&) = delete;
  PreparedLog& operator=(const PreparedLog&) = delete;

  [[nodiscard]] Log* log() const { return log_.get(); }
  [[nodiscard]] int64_t record_count() const { return record_count_; }
  [[nodiscard]] int64_t size_bytes() const { return static_cast<int64_t>(mapping_->size()); }
  // Its only segment, as it lies in the page cache.
  [[nodiscard]] const RawFile& file() const { return *file_; }
  [[nodiscard]] const RawMapping& mapping() const { return *mapping_; }

 private:
  const std::string directory_;
  const int64_t record_count_;
  const std::unique_ptr<Log> log_;
  std::unique_ptr<RawFile> file_;
  std::unique_ptr<RawMapping> mapping_;
};

}  // namespace varve::bench

#endif  // VARVE_BENCH_DRIVER_PREPARED_LOG_H_
