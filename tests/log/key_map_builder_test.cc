#include "log/key_map_builder.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "fmt/format.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/cleaning_fixture.h"
#include "record/batch_header.h"

namespace varve::internal {
namespace {

using ::testing::HasSubstr;
using testing_support::Cleaning;
using testing_support::CleaningBatch;
using testing_support::CleaningMarker;
using testing_support::InTransaction;
using testing_support::KeyedRecord;
using testing_support::StatusIs;

using Offsets = std::map<std::string, int64_t>;

// Of those keys that are in the map.
Offsets OffsetsIn(const KeyOffsetMap& map, const std::string& keys) {
  Offsets offsets;
  for (const char key : keys) {
    const auto offset = map.Find(std::string(1, key));
    if (offset.has_value()) offsets[std::string(1, key)] = *offset;
  }
  EXPECT_EQ(map.key_count(), offsets.size());
  return offsets;
}

constexpr size_t EntriesFor(size_t key_count) { return (key_count + 1) * KeyOffsetMap::kEntryBytes; }

TEST(KeyMapBuilder, HoldsTheLatestOffsetOfEachKey) {
  for (const Codec codec : {Codec::kNone, Codec::kGzip, Codec::kSnappy, Codec::kLz4, Codec::kZstd}) {
    if (!CodecAvailable(codec)) continue;
    SCOPED_TRACE(CodecName(codec));
    Cleaning cleaning;
    cleaning.AddSegment(0, 10, CleaningBatch({{0, "a", "1"}, {1, "b", "1"}, {2, "a", "2"}}, {.codec = codec}));
    // A tombstone counts, what has no key does not.
    cleaning.AddSegment(10, 20, CleaningBatch({{10, "b", ""}, {11, "", "1"}, {12, "c", "1"}}, {.codec = codec}));
    VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap());
    EXPECT_EQ(OffsetsIn(built.map, "abc"), (Offsets{{"a", 2}, {"b", 10}, {"c", 12}}));
    // Up to the next base offset, whatever there is.
    EXPECT_EQ(built.map_end_offset, 19);
    EXPECT_EQ(built.records_read, 6);
    EXPECT_EQ(built.bytes_read, cleaning.sources[0].size_bytes + cleaning.sources[1].size_bytes);
  }
}

TEST(KeyMapBuilder, BeginsInsideABatch) {
  Cleaning cleaning;
  cleaning.AddSegment(
      0, 5,
      CleaningBatch({{0, "a", "1"}, {1, "b", "1"}}) + CleaningBatch({{2, "c", "1"}, {3, "d", "1"}, {4, "e", "1"}}));
  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap(/*first_dirty_offset=*/3));
  EXPECT_EQ(OffsetsIn(built.map, "abcde"), (Offsets{{"d", 3}, {"e", 4}}));
  EXPECT_EQ(built.map_end_offset, 4);
}

TEST(KeyMapBuilder, OfNothingCoversNothing) {
  Cleaning cleaning;
  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap none, cleaning.BuildMap(/*first_dirty_offset=*/12));
  EXPECT_EQ(none.map_end_offset, 11);
  EXPECT_EQ(none.map.key_count(), 0u);
  // An emptied segment covers its offsets all the same.
  cleaning.AddSegment(10, 20, "");
  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap empty, cleaning.BuildMap(/*first_dirty_offset=*/12));
  EXPECT_EQ(empty.map_end_offset, 19);
}

TEST(KeyMapBuilder, StopsAtTheFirstKeyWithoutRoom) {
  struct Case {
    size_t key_count;
    int64_t map_end_offset;
    Offsets offsets;
  };
  const Case cases[] = {
      {1, 1, {{"a", 1}}},
      {2, 4, {{"a", 4}, {"b", 2}}},  // 3 has no key, 4 one that is there
      {3, 19, {{"a", 4}, {"b", 2}, {"c", 5}}},
      {4, 29, {{"a", 21}, {"b", 2}, {"c", 5}, {"d", 20}}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.key_count);
    Cleaning cleaning;
    cleaning.AddSegment(0, 20,
                        CleaningBatch({{0, "a", "1"}, {1, "a", "2"}, {2, "b", "1"}}) +
                            CleaningBatch({{3, "", "1"}, {4, "a", "3"}, {5, "c", "1"}}));
    cleaning.AddSegment(20, 30, CleaningBatch({{20, "d", "1"}, {21, "a", "4"}}));
    VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap(0, EntriesFor(c.key_count)));
    EXPECT_EQ(built.map_end_offset, c.map_end_offset);
    EXPECT_EQ(OffsetsIn(built.map, "abcd"), c.offsets);
  }
}

TEST(KeyMapBuilder, StopsThereInALargeBatchToo) {
  constexpr int64_t kRecords = 300;
  std::vector<std::string> keys;
  for (int64_t offset = 0; offset < kRecords; ++offset) keys.push_back(fmt::format("key {}", offset));
  std::vector<KeyedRecord> records;
  for (const std::string& key : keys) records.push_back({static_cast<int64_t>(records.size()), key, "1"});
  Cleaning cleaning;
  cleaning.AddSegment(0, kRecords, CleaningBatch(records));
  for (const size_t key_count : {size_t{64}, size_t{65}, size_t{100}, size_t{128}, size_t{200}}) {
    SCOPED_TRACE(key_count);
    VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap(0, EntriesFor(key_count)));
    EXPECT_EQ(built.map.key_count(), built.map.capacity());
    EXPECT_EQ(built.map_end_offset, static_cast<int64_t>(built.map.capacity()) - 1);
    EXPECT_EQ(built.map.Find(records.back().key), std::nullopt);
  }
  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap all, cleaning.BuildMap());
  EXPECT_EQ(all.map_end_offset, kRecords - 1);
  for (const KeyedRecord& record : records) ASSERT_EQ(all.map.Find(record.key), record.offset);
}

TEST(KeyMapBuilder, LeavesOutMarkersAndAbortedData) {
  Cleaning cleaning;
  cleaning.aborted = {{.producer_id = 7, .first_offset = 1, .last_offset = 20, .last_stable_offset = 21}};
  cleaning.AddSegment(0, 10,
                      CleaningBatch({{0, "a", "1"}}) + CleaningBatch({{1, "a", "2"}, {2, "b", "1"}}, InTransaction(7)) +
                          CleaningBatch({{3, "c", "1"}}, InTransaction(8)) +
                          CleaningMarker(4, ControlType::kCommit, 8));
  // The transaction goes on in the next segment; its marker is in neither.
  cleaning.AddSegment(10, 20, CleaningBatch({{10, "c", "2"}}, InTransaction(7)));
  VARVE_ASSERT_OK_AND_ASSIGN(const BuiltKeyMap built, cleaning.BuildMap());
  EXPECT_EQ(OffsetsIn(built.map, "abc"), (Offsets{{"a", 0}, {"c", 3}}));
  EXPECT_EQ(built.map_end_offset, 19);
}

TEST(KeyMapBuilder, RefusesWhatItCannotTrust) {
  const std::string first = CleaningBatch({{0, "a", "1"}});
  const std::string second = CleaningBatch({{1, "b", "1"}});
  const std::string at_second = fmt::format("00000000000000000000.log, position {}: ", first.size());
  struct Case {
    const char* what;
    std::string log;
    absl::StatusCode code;
    std::string message;
  };
  std::string flipped = first + second;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  const Case cases[] = {
      {"a flipped bit", flipped, absl::StatusCode::kDataLoss, at_second + "a checksum of "},
      {"half a batch", first + second.substr(0, 60), absl::StatusCode::kDataLoss, at_second + "a batch of "},
      {"zeros", first + std::string(70, '\0'), absl::StatusCode::kDataLoss, at_second + "a batch length of "},
      {"an old message", first + testing_support::LegacyMessage(1, 1), absl::StatusCode::kUnimplemented, at_second},
      {"the same offset twice", first + first, absl::StatusCode::kDataLoss,
       at_second + "offsets from 1 to 9 expected, found 0 and 0 more"},
      {"an offset of the next segment", first + CleaningBatch({{9, "a", "1"}, {10, "a", "1"}}),
       absl::StatusCode::kDataLoss, at_second + "offsets from 1 to 9 expected, found 9 and 1 more"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    Cleaning cleaning;
    cleaning.AddSegment(0, 10, c.log);
    EXPECT_THAT(cleaning.BuildMap().status(), StatusIs(c.code, HasSubstr(c.message)));
  }
}

TEST(KeyMapBuilder, RefusesAFileThatIsShorterOrMissing) {
  Cleaning cleaning;
  cleaning.AddSegment(0, 10, CleaningBatch({{0, "a", "1"}}));
  ++cleaning.sources[0].size_bytes;
  EXPECT_THAT(cleaning.BuildMap().status(), StatusIs(absl::StatusCode::kDataLoss));
  VARVE_ASSERT_OK(cleaning.partition.fs->Remove(cleaning.partition.LogPath(0)));
  EXPECT_THAT(cleaning.BuildMap().status(), StatusIs(absl::StatusCode::kNotFound));
}

TEST(KeyMapBuilder, RefusesKnownDamageUnread) {
  Cleaning cleaning;
  cleaning.AddSegment(0, 10, CleaningBatch({{0, "a", "1"}}));
  cleaning.sources[0].damage = {{.segment = 0,
                                 .position = 17,
                                 .bytes = 30,
                                 .first_offset = 4,
                                 .last_offset = 6,
                                 .reason = "a checksum that is wrong"}};
  EXPECT_THAT(cleaning.BuildMap().status(),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("00000000000000000000.log, position 17: 30 damaged bytes, offsets 4 to 6 (a checksum "
                                 "that is wrong)")));
}

TEST(KeyMapBuilder, RefusesMalformedRecords) {
  Cleaning cleaning;
  std::string log = CleaningBatch({{0, "a", "1"}});
  log[60] = 2;  // one record more than there is
  SealBatch({reinterpret_cast<std::byte*>(log.data()), log.size()});
  cleaning.AddSegment(0, 10, log);
  EXPECT_THAT(
      cleaning.BuildMap().status(),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("00000000000000000000.log, position 0: batch with base")));
}

TEST(KeyMapBuilder, AStepIsABatch) {
  Cleaning cleaning;
  const std::string first = CleaningBatch({{0, "a", "1"}});
  const std::string second = CleaningBatch({{1, "b", "1"}, {2, "c", "1"}});
  cleaning.AddSegment(0, 10, first + second);
  cleaning.AddSegment(10, 20, "");
  cleaning.AddSegment(20, 30, CleaningBatch({{20, "d", "1"}}));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto builder, KeyMapBuilder::Create({.file_system = cleaning.partition.fs.get(),
                                                                        .directory = testing_support::kDirectory,
                                                                        .segments = cleaning.sources,
                                                                        .budget_bytes = 1 << 20,
                                                                        .transactions = {}}));
  int64_t expected_bytes = 0;
  for (const size_t bytes : {first.size(), second.size(), first.size()}) {
    EXPECT_THAT(builder->Step(), testing_support::IsOkAndHolds(true));
    expected_bytes += static_cast<int64_t>(bytes);
    EXPECT_EQ(builder->bytes_read(), expected_bytes);
  }
  EXPECT_THAT(builder->Step(), testing_support::IsOkAndHolds(false));
  EXPECT_EQ(builder->bytes_read(), expected_bytes);
  EXPECT_EQ(std::move(*builder).Finish().map.key_count(), 4u);
}

}  // namespace
}  // namespace varve::internal
