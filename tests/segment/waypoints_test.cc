#include "segment/waypoints.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

namespace varve::internal {
namespace {

struct Batch {
  int64_t base_offset;
  int64_t last_offset;
  int64_t distance_bytes;
};

// A stretch of batches with holes between their offsets, the first of which may begin below its first offset.
struct Stretch {
  int64_t first_offset = 1000;
  int64_t end_offset = 0;
  std::vector<Batch> batches;

  [[nodiscard]] Waypoints Noted() const {
    Waypoints waypoints;
    for (const Batch& batch : batches) {
      waypoints.Note(batch.base_offset, batch.distance_bytes, first_offset, end_offset);
    }
    return waypoints;
  }

  // The batch that a search for `offset` is to find, from the end on if there is none.
  [[nodiscard]] size_t NumberOf(int64_t offset) const {
    size_t number = 0;
    while (number < batches.size() && batches[number].last_offset < offset) ++number;
    return number;
  }

  [[nodiscard]] size_t NumberAt(int64_t distance_bytes) const {
    size_t number = 0;
    while (number < batches.size() && batches[number].distance_bytes != distance_bytes) ++number;
    return number;
  }
};

Stretch RandomStretch(uint32_t seed, int batch_count, int64_t most_bytes) {
  std::mt19937 random(seed);
  const auto below = [&](int64_t bound) { return static_cast<int64_t>(random() % static_cast<uint64_t>(bound)); };
  Stretch stretch;
  int64_t offset = stretch.first_offset - below(4);
  int64_t distance_bytes = 0;
  for (int number = 0; number < batch_count; ++number) {
    const int64_t last_offset = std::max(offset, stretch.first_offset) + below(4);
    stretch.batches.push_back({offset, last_offset, distance_bytes});
    offset = last_offset + 1 + (below(4) == 0 ? below(20) : 0);
    distance_bytes += 61 + below(most_bytes);
  }
  stretch.end_offset = offset + below(3);
  return stretch;
}

TEST(WaypointsTest, ASearchNeverBeginsBehindItsBatch) {
  for (uint32_t seed = 1; seed <= 200; ++seed) {
    for (const int64_t most_bytes : {1, 300, 30'000}) {
      SCOPED_TRACE(::testing::Message() << "seed " << seed << ", batches of up to " << most_bytes << " bytes");
      const Stretch stretch = RandomStretch(seed, 1 + static_cast<int>(seed % 40), most_bytes);
      const Waypoints waypoints = stretch.Noted();
      for (int64_t offset = stretch.first_offset; offset < stretch.end_offset + 5; ++offset) {
        const size_t number = stretch.NumberAt(waypoints.DistanceTo(offset, stretch.first_offset, stretch.end_offset));
        ASSERT_LT(number, stretch.batches.size()) << "offset " << offset << ": not where a batch begins";
        ASSERT_LE(number, stretch.NumberOf(offset)) << "offset " << offset;
      }
    }
  }
}

TEST(WaypointsTest, EqualBatchesAreWalkedThroughAQuarterOfThem) {
  Stretch stretch{.first_offset = 0, .end_offset = 16, .batches = {}};
  for (int64_t offset = 0; offset < 16; ++offset) stretch.batches.push_back({offset, offset, 250 * offset});
  const Waypoints waypoints = stretch.Noted();
  for (int64_t offset = 0; offset < 16; ++offset) {
    EXPECT_EQ(waypoints.DistanceTo(offset, 0, 16), 250 * (offset / 4 * 4)) << "offset " << offset;
  }
}

TEST(WaypointsTest, ABatchFurtherThanSixteenBitsTellIsLeftOut) {
  Waypoints waypoints;
  waypoints.Note(0, 0, 0, 4);
  waypoints.Note(1, 65'535, 0, 4);
  waypoints.Note(2, 65'536, 0, 4);
  EXPECT_EQ(waypoints.DistanceTo(1, 0, 4), 65'535);
  EXPECT_EQ(waypoints.DistanceTo(2, 0, 4), 65'535);
  EXPECT_EQ(waypoints.DistanceTo(3, 0, 4), 65'535);
}

TEST(WaypointsTest, TestedIsApartFromWhatIsNoted) {
  Waypoints waypoints;
  waypoints.Note(3, 40'000, 0, 4);
  EXPECT_FALSE(waypoints.tested());
  waypoints.SetTested();
  EXPECT_TRUE(Waypoints(waypoints.word()).tested());
  EXPECT_EQ(Waypoints(waypoints.word()).DistanceTo(3, 0, 4), 40'000);
  EXPECT_EQ(Waypoints().DistanceTo(3, 0, 4), 0);
}

}  // namespace
}  // namespace varve::internal
