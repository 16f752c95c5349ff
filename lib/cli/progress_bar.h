// ProgressBar: rate, percent and time left of one piece of work, on standard error where that is a terminal; nothing
// elsewhere.
//
// Thread rules: one thread. Cost of an update: a clock reading; it draws ten times a second at most.
//
//   ProgressBar bar("verify");
//   bar.Update(done_bytes, total_bytes);
//   bar.Finish();  // before anything else is written to the terminal
#ifndef VARVE_LIB_CLI_PROGRESS_BAR_H_
#define VARVE_LIB_CLI_PROGRESS_BAR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "varve/log_options.h"

namespace varve::cli {

class ProgressBar {
 public:
  enum class Beside {
    kNothing,  // the work prints when it is done
    kOutput,   // it prints all the time: no bar where standard output is the terminal, too
  };

  explicit ProgressBar(std::string_view title, Beside beside = Beside::kNothing);
  ~ProgressBar() { Finish(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  // Of the whole work: what was done and what there is to do in all. `total_bytes` is 0 where it is not known (a pipe):
  // then there is a rate, but no percent and no time left.
  void Update(int64_t done_bytes, int64_t total_bytes);

  // Wipes the line. Updates that follow draw it again.
  void Finish();

 private:
  const std::string title_;
  const bool shown_;
  const int64_t start_ns_;
  int64_t next_draw_ns_;
  bool drawn_ = false;
};

// Updates of the bar for as long as there is one: a log keeps its callback for longer than its opening takes.
[[nodiscard]] ProgressCallback UpdatesOf(const std::shared_ptr<ProgressBar>& bar);

// The line that is drawn, without the carriage return: pure, for tests. `elapsed_ns` > 0.
[[nodiscard]] std::string ProgressLine(std::string_view title, int64_t done_bytes, int64_t total_bytes,
                                       int64_t elapsed_ns);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_PROGRESS_BAR_H_
