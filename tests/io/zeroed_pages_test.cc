#include "io/zeroed_pages.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"

namespace varve::internal {
namespace {

using ::testing::HasSubstr;
using testing_support::StatusIs;

TEST(ZeroedPages, AreZeroAndCanBeWrittenToTheLastByte) {
  for (const size_t size_bytes : {size_t{1}, size_t{4096}, (size_t{4} << 20) + 1}) {
    SCOPED_TRACE(size_bytes);
    VARVE_ASSERT_OK_AND_ASSIGN(ZeroedPages pages, MapZeroedPages(size_bytes));
    EXPECT_TRUE(
        std::all_of(pages.get(), pages.get() + size_bytes, [](std::byte byte) { return byte == std::byte{0}; }));
    std::fill_n(pages.get(), size_bytes, std::byte{1});
    const ZeroedPages moved = std::move(pages);
    EXPECT_EQ(moved[size_bytes - 1], std::byte{1});
  }
}

TEST(ZeroedPages, AnswerWhereThereIsNoMemory) {
  EXPECT_THAT(MapZeroedPages(std::numeric_limits<size_t>::max() / 2).status(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("memory: map 9223372036854775807 bytes")));
}

}  // namespace
}  // namespace varve::internal
