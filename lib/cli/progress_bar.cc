#include "cli/progress_bar.h"

#include <algorithm>
#include <cmath>

#include "cli/exit_status.h"
#include "cli/quantities.h"
#include "cli/terminal.h"
#include "fmt/format.h"
#include "varve/clock.h"

namespace varve::cli {
namespace {

constexpr int64_t kDrawIntervalNs = 100'000'000;
constexpr int64_t kBarCells = 30;

}  // namespace

std::string ProgressLine(std::string_view title, int64_t done_bytes, int64_t total_bytes, int64_t elapsed_ns) {
  const double seconds = static_cast<double>(elapsed_ns) / 1e9;
  const double bytes_per_second = static_cast<double>(done_bytes) / seconds;
  if (total_bytes <= 0) {
    return fmt::format("{}  {}  {}/s", title, FormatBytes(done_bytes),
                       FormatBytes(static_cast<int64_t>(bytes_per_second)));
  }
  const double share = std::clamp(static_cast<double>(done_bytes) / static_cast<double>(total_bytes), 0.0, 1.0);
  const auto filled = static_cast<int64_t>(share * static_cast<double>(kBarCells));
  std::string bar;
  for (int64_t cell = 0; cell < kBarCells; ++cell) bar += cell < filled ? "█" : "░";
  const double seconds_left = share > 0 ? seconds * (1 - share) / share : 0;
  const auto whole_seconds_left = static_cast<int64_t>(std::llround(seconds_left));
  return fmt::format("{}  {} {:3.0f} %  {}/s  {}:{:02} left", title, bar, share * 100,
                     FormatBytes(static_cast<int64_t>(bytes_per_second)), whole_seconds_left / 60,
                     whole_seconds_left % 60);
}

ProgressBar::ProgressBar(std::string_view title, Beside beside)
    : title_(title),
      shown_(StandardErrorIsTerminal() && !(beside == Beside::kOutput && StandardOutputIsTerminal())),
      start_ns_(Clock::Default()->MonotonicNs()),
      next_draw_ns_(start_ns_ + kDrawIntervalNs) {}

void ProgressBar::Update(int64_t done_bytes, int64_t total_bytes) {
  if (!shown_) return;
  const int64_t now_ns = Clock::Default()->MonotonicNs();
  if (now_ns < next_draw_ns_) return;
  next_draw_ns_ = now_ns + kDrawIntervalNs;
  // The escape sequence wipes what a longer line before this one left behind.
  WriteToStandardError(fmt::format("\r{}\x1b[K", ProgressLine(title_, done_bytes, total_bytes, now_ns - start_ns_)));
  drawn_ = true;
}

void ProgressBar::Finish() {
  if (!drawn_) return;
  WriteToStandardError("\r\x1b[K");
  drawn_ = false;
}

ProgressCallback UpdatesOf(const std::shared_ptr<ProgressBar>& bar) {
  return [shown = std::weak_ptr<ProgressBar>(bar)](int64_t done_bytes, int64_t total_bytes) {
    if (const std::shared_ptr<ProgressBar> held = shown.lock(); held != nullptr) held->Update(done_bytes, total_bytes);
  };
}

}  // namespace varve::cli
