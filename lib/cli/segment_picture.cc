#include "cli/segment_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>

#include "cli/quantities.h"
#include "fmt/format.h"

namespace varve::cli {
namespace {

constexpr int64_t kBarCells = 24;

// "2023-11-14 22:13:20": to the second, which is what an eye can use.
std::string ShortTime(int64_t timestamp_ms) {
  if (timestamp_ms == kNoTimestamp) return "-";
  std::string text = FormatTime(timestamp_ms);
  if (const size_t t = text.find('T'); t != std::string::npos) {
    text[t] = ' ';
    text.resize(text.rfind('.'));
  }
  return text;
}

// Bytes of log to an index entry.
std::string IndexDensity(const SegmentSummary& segment) {
  if (segment.index_entries == 0) return "-";
  return FormatBytes(segment.log_bytes / segment.index_entries);
}

void DrawSegment(const SegmentSummary& segment, int64_t largest_bytes, bool active, std::string* out) {
  const double share =
      largest_bytes > 0 ? static_cast<double>(segment.log_bytes) / static_cast<double>(largest_bytes) : 0;
  fmt::format_to(std::back_inserter(*out), "{:>12} {:>10} {:>9}  {:19}  {:>10}  {}\n", segment.base_offset,
                 FormatBytes(segment.log_bytes), segment.batches, ShortTime(segment.max_timestamp_ms),
                 IndexDensity(segment), DrawBar(share, kBarCells, active));
}

}  // namespace

std::string DrawBar(double share, int64_t cells, bool light) {
  constexpr std::array<const char*, 8> kEighths{"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const double exact = std::clamp(share, 0.0, 1.0) * static_cast<double>(cells) * 8;
  const auto eighths = static_cast<int64_t>(std::ceil(exact));
  std::string bar;
  if (light) {
    for (int64_t cell = 0; cell < (eighths + 7) / 8; ++cell) bar += "▒";
    return bar;
  }
  for (int64_t cell = 0; cell < eighths / 8; ++cell) bar += "█";
  bar += kEighths.at(static_cast<size_t>(eighths % 8));
  return bar;
}

std::string DrawSegments(const std::vector<SegmentSummary>& segments) {
  std::string out = fmt::format("{:>12} {:>10} {:>9}  {:19}  {:>10}\n", "base offset", "size", "batches",
                                "latest record (UTC)", "per index");
  int64_t largest_bytes = 0;
  for (const SegmentSummary& segment : segments) largest_bytes = std::max(largest_bytes, segment.log_bytes);
  const size_t hidden = segments.size() > kPictureSegments ? segments.size() - kPictureSegments : 0;
  const size_t hidden_from = kPictureSegments / 2;
  for (size_t i = 0; i < segments.size(); ++i) {
    if (hidden > 0 && i == hidden_from) {
      int64_t bytes = 0;
      for (size_t j = i; j < i + hidden; ++j) bytes += segments[j].log_bytes;
      fmt::format_to(std::back_inserter(out), "{:>12} {:>10}  in {} more segments\n", "⋮", FormatBytes(bytes), hidden);
      i += hidden;
    }
    DrawSegment(segments[i], largest_bytes, i + 1 == segments.size(), &out);
  }
  return out;
}

}  // namespace varve::cli
