// Waypoints: where batches begin inside one stretch of a segment, from one index entry to the next, so that a search does
// not begin at the entry. And whether the stretch was tested, which is when they are noted.
//
// One 64-bit word, so that any thread may store it while others read:
//
//   bits   meaning
//   0      the stretch was tested
//   16-31  bytes from its beginning to the last batch whose base offset is not above a quarter of its offsets
//   32-47  the same for two quarters
//   48-63  the same for three quarters
//
// 0 bytes: nothing better is known than the beginning. A batch that lies further than 16 bits tell is left out: there the
// batches are large, and few.
#ifndef VARVE_LIB_SEGMENT_WAYPOINTS_H_
#define VARVE_LIB_SEGMENT_WAYPOINTS_H_

#include <cstdint>
#include <limits>

namespace varve::internal {

class Waypoints {
 public:
  Waypoints() = default;
  explicit Waypoints(uint64_t word) : word_(word) {}
  [[nodiscard]] uint64_t word() const { return word_; }

  [[nodiscard]] bool tested() const { return (word_ & 1) != 0; }
  void SetTested() { word_ |= 1; }

  // Notes a batch of the stretch of [first_offset, end_offset), of rising base offsets, that many bytes behind its
  // beginning.
  void Note(int64_t base_offset, int64_t distance_bytes, int64_t first_offset, int64_t end_offset) {
    if (distance_bytes > std::numeric_limits<uint16_t>::max()) return;
    // The batch that leads to the stretch may begin below it, and is its beginning; one beyond the end will not hold.
    if (base_offset < first_offset || base_offset >= end_offset) return;
    for (int64_t quarter = 1; quarter < kQuarters; ++quarter) {
      if (kQuarters * (base_offset - first_offset) > quarter * (end_offset - first_offset)) continue;
      word_ &= ~(uint64_t{0xffff} << ShiftOf(quarter));
      word_ |= static_cast<uint64_t>(distance_bytes) << ShiftOf(quarter);
    }
  }

  // Where to begin a search for an offset that is not below the stretch's first: so many bytes behind its beginning. No
  // batch between the two ends at or above `offset`.
  [[nodiscard]] int64_t DistanceTo(int64_t offset, int64_t first_offset, int64_t end_offset) const {
    const int64_t scaled = kQuarters * (offset - first_offset);
    const int64_t span = end_offset - first_offset;
    const int quarter = (scaled >= span) + (scaled >= 2 * span) + (scaled >= 3 * span);
    return quarter == 0 ? 0 : static_cast<int64_t>(word_ >> ShiftOf(quarter) & 0xffff);
  }

 private:
  static constexpr int64_t kQuarters = 4;
  static constexpr int ShiftOf(int64_t quarter) { return static_cast<int>(16 * quarter); }

  uint64_t word_ = 0;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_WAYPOINTS_H_
