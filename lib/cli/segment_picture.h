// A picture of a partition's segments: a bar each, as long as the segment is large.
//
//      base offset      bytes  times of its records                       index
//                0  8.0 KiB    2023-11-14 22:13:20 to 22:13:21.000   1/728  ██████████████████████████████
//
// Thread rules: free functions.
#ifndef VARVE_LIB_CLI_SEGMENT_PICTURE_H_
#define VARVE_LIB_CLI_SEGMENT_PICTURE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "cli/partition_contents.h"

namespace varve::cli {

// One line for each segment, at most 100 columns wide, in UTF-8. The last segment is the active one: its bar is
// lighter. More than kPictureSegments: the first and the last ones, and how many lie between.
[[nodiscard]] std::string DrawSegments(const std::vector<SegmentSummary>& segments);

inline constexpr size_t kPictureSegments = 60;

// A bar of `cells` character cells at most, `share` of them full, to an eighth of a cell. Something is drawn of any
// share above 0.
[[nodiscard]] std::string DrawBar(double share, int64_t cells, bool light);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_SEGMENT_PICTURE_H_
