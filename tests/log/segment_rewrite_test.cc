#include "log/segment_rewrite.h"

#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/bad_sectors.h"
#include "log/partition_fixture.h"
#include "support/status_matchers.h"
#include "varve/testing/memory_file_system.h"

namespace varve::internal {
namespace {

using testing_support::FileSystemWithBadSectors;
using testing_support::IsOkAndHolds;
using testing_support::WriteFile;

// Of five pages one cannot be read. Everything else from the position on is written again, wherever that lies in its
// page: bytes that are passed over and called durable all the same would be lost.
TEST(SegmentRewriteTest, PassesOverNothingButTheBadPage) {
  constexpr int64_t kPage = 4096;
  constexpr int64_t kSize = 5 * kPage - 100;
  for (int64_t bad_page = 0; bad_page < 5; ++bad_page) {
    for (const int64_t position :
         {int64_t{0}, int64_t{1}, int64_t{1000}, kPage - 1, kPage, kPage + 1, 2 * kPage + 700}) {
      SCOPED_TRACE(testing::Message() << "page " << bad_page << ", from " << position);
      MemoryFileSystem memory;
      WriteFile(&memory, "log", std::string(kSize, 'x'));
      FileSystemWithBadSectors bad(&memory, "log", static_cast<uint64_t>(bad_page * kPage), kPage);
      const int64_t bad_begin = std::max(position, bad_page * kPage);
      const int64_t bad_end = std::min(kSize, (bad_page + 1) * kPage);
      EXPECT_THAT(RewriteInPlace(&bad, "log", position),
                  IsOkAndHolds(kSize - position - std::max<int64_t>(0, bad_end - bad_begin)));
    }
  }
}

}  // namespace
}  // namespace varve::internal
