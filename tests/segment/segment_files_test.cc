#include "segment/segment_files.h"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "gtest/gtest.h"

namespace varve::internal {
namespace {

struct NameCase {
  const char* name;
  ParsedSegmentFile parts;
};

TEST(SegmentFilesTest, NamesAreKafkasAndComeBack) {
  const NameCase cases[] = {
      {"00000000000000000000.log", {0, SegmentFileKind::kLog, SegmentFileSuffix::kNone}},
      {"00000000000000000042.index", {42, SegmentFileKind::kOffsetIndex, SegmentFileSuffix::kNone}},
      {"00009007199254740993.timeindex", {9007199254740993, SegmentFileKind::kTimeIndex, SegmentFileSuffix::kNone}},
      {"00000000000000000100.txnindex", {100, SegmentFileKind::kTransactionIndex, SegmentFileSuffix::kNone}},
      {"00000000000000000240.snapshot", {240, SegmentFileKind::kSnapshot, SegmentFileSuffix::kNone}},
      {"09223372036854775807.log", {std::numeric_limits<int64_t>::max(), SegmentFileKind::kLog, {}}},
      {"00000000000000000007.log.deleted", {7, SegmentFileKind::kLog, SegmentFileSuffix::kDeleted}},
      {"00000000000000000007.index.cleaned", {7, SegmentFileKind::kOffsetIndex, SegmentFileSuffix::kCleaned}},
      {"00000000000000000007.timeindex.swap", {7, SegmentFileKind::kTimeIndex, SegmentFileSuffix::kSwap}},
      {"00000000000000000007.snapshot.deleted", {7, SegmentFileKind::kSnapshot, SegmentFileSuffix::kDeleted}},
  };
  for (const NameCase& test : cases) {
    EXPECT_EQ(SegmentFileName(test.parts.base_offset, test.parts.kind, test.parts.suffix), test.name);
    const std::optional<ParsedSegmentFile> parsed = ParseSegmentFileName(test.name);
    ASSERT_TRUE(parsed.has_value()) << test.name;
    EXPECT_EQ(*parsed, test.parts) << test.name;
  }
}

TEST(SegmentFilesTest, OtherNamesAreNotSegmentFiles) {
  const char* const names[] = {
      "",
      ".log",
      "42.log",
      "0000000000000000042.log",             // 19 digits
      "000000000000000000042.log",           // 21 digits
      "+0000000000000000042.log",            // signs are no digits
      "-0000000000000000042.log",            //
      "0-000000000000000042.log",            //
      "0000000000000000004x.log",            //
      " 0000000000000000042.log",            //
      "09223372036854775808.log",            // 2^63
      "99999999999999999999.log",            // beyond 2^64
      "00000000000000000042",                // no extension
      "00000000000000000042.",               //
      "00000000000000000042.LOG",            //
      "00000000000000000042.logs",           //
      "00000000000000000042.log.",           //
      "00000000000000000042.log.tmp",        //
      "00000000000000000042.log.swap.swap",  //
      "00000000000000000042.log.deleted ",   //
      "00000000000000000042.deleted",        //
      "leader-epoch-checkpoint",             //
      "varve.cut-00000000000000000042",      //
  };
  for (const char* name : names) EXPECT_EQ(ParseSegmentFileName(name), std::nullopt) << name;
}

}  // namespace
}  // namespace varve::internal
