#include "varve/transaction_index.h"

#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varve {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string EncodeAll(const std::vector<AbortedTransaction>& transactions) {
  return std::string(internal::AsText(TransactionIndex::Encode(transactions)));
}

// Kafka's bytes: format notes §8.4, and the observations.
TEST(TransactionIndexTest, ReadsAndWritesKafkasExamples) {
  const std::string bytes = absl::HexStringToBytes(
      "000000000000000003090000000000000028000000000000002a000000000000002b"
      "00000000000000001b5a0000000000000059000000000000005f0000000000000060");
  const absl::StatusOr<TransactionIndex> index = TransactionIndex::Parse("test", 0, internal::AsBytes(bytes));
  ASSERT_TRUE(index.ok()) << index.status();
  EXPECT_THAT(index->entries(),
              ElementsAre(AbortedTransaction{777, 40, 42, 43}, AbortedTransaction{7002, 0x59, 0x5f, 0x60}));
  EXPECT_EQ(EncodeAll(index->entries()), bytes);
}

TEST(TransactionIndexTest, EmptyFileHasNoEntries) {
  const absl::StatusOr<TransactionIndex> index = TransactionIndex::Parse("test", 88, {});
  ASSERT_TRUE(index.ok());
  EXPECT_EQ(index->base_offset(), 88);
  EXPECT_THAT(index->entries(), IsEmpty());
}

TEST(TransactionIndexTest, ParseRefusesDamage) {
  struct Case {
    const char* name;
    std::string bytes;
    const char* message;
  };
  const std::string good = EncodeAll({{1, 100, 105, 106}, {2, 101, 110, 111}});
  std::string other_version = good;
  other_version[35] = 1;
  const std::vector<Case> cases = {
      {"cut entry", good.substr(0, 50), "00.txnindex: at byte 34: expected an entry of 34 bytes, found 16"},
      {"version", other_version, "00.txnindex: at byte 34: expected entry version 0, found 1"},
      {"order", EncodeAll({{1, 100, 105, 106}, {2, 101, 105, 106}}),
       "00.txnindex: at byte 34: transaction index of segment "
       "100: entry 1: expected a last offset above 105, found 105"},
      {"below the base", EncodeAll({{1, 90, 99, 100}}), "entry 0: expected a last offset above 99, found 99"},
  };
  for (const Case& bad : cases) {
    SCOPED_TRACE(bad.name);
    const absl::StatusOr<TransactionIndex> index =
        TransactionIndex::Parse("00.txnindex", 100, internal::AsBytes(bad.bytes));
    EXPECT_EQ(index.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(index.status().message()), HasSubstr(bad.message));
  }
}

TEST(TransactionIndexTest, FirstOffsetMayLieInAnEarlierSegment) {
  TransactionIndex index(100);
  EXPECT_TRUE(index.Append({1, 60, 100, 101}).ok());
}

TEST(TransactionIndexTest, AppendRefusesWhatDoesNotRise) {
  TransactionIndex index(100);
  EXPECT_EQ(index.Append({1, 90, 99, 100}).code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(index.Append({1, 90, 105, 106}).ok());
  EXPECT_EQ(index.Append({2, 90, 105, 106}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(index.Append({2, 90, 104, 106}).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(index.entries().size(), 1u);
  EXPECT_TRUE(index.Append({2, 90, 106, 107}).ok());
}

class CollectTest : public ::testing::Test {
 protected:
  CollectTest() : index_(0) {
    for (const AbortedTransaction& transaction : all_) EXPECT_TRUE(index_.Append(transaction).ok());
  }

  // The selection rule of format notes §4.4, entry by entry.
  bool ReferenceCollect(int64_t start, int64_t upper, std::vector<AbortedTransaction>* aborted) const {
    for (const AbortedTransaction& entry : all_) {
      if (entry.last_offset >= start && entry.first_offset < upper) aborted->push_back(entry);
      if (entry.last_stable_offset >= upper) return true;
    }
    return false;
  }

  const std::vector<AbortedTransaction> all_ = {{1, 0, 6, 7},    {1, 11, 13, 14}, {2, 19, 23, 20}, {1, 35, 37, 20},
                                                {3, 20, 42, 43}, {2, 53, 58, 57}, {1, 57, 76, 77}};
  TransactionIndex index_;
};

TEST_F(CollectTest, EqualsTheRuleForEveryRange) {
  for (int64_t start = 0; start < 90; ++start) {
    for (int64_t upper = start + 1; upper <= 90; ++upper) {
      std::vector<AbortedTransaction> expected;
      const bool expected_complete = ReferenceCollect(start, upper, &expected);
      std::vector<AbortedTransaction> aborted;
      ASSERT_EQ(index_.Collect(start, upper, &aborted), expected_complete) << start << ".." << upper;
      ASSERT_EQ(aborted, expected) << start << ".." << upper;
    }
  }
}

TEST_F(CollectTest, AppendsToWhatIsThere) {
  std::vector<AbortedTransaction> aborted = {{9, 9, 9, 9}};
  EXPECT_TRUE(index_.Collect(0, 5, &aborted));
  EXPECT_THAT(aborted, ElementsAre(AbortedTransaction{9, 9, 9, 9}, AbortedTransaction{1, 0, 6, 7}));
}

TEST_F(CollectTest, EndOfTheIndexAsksForTheNextSegment) {
  std::vector<AbortedTransaction> aborted;
  EXPECT_FALSE(index_.Collect(77, 80, &aborted));
  EXPECT_THAT(aborted, IsEmpty());
}

TEST_F(CollectTest, TruncationDropsFromTheFirstEntryAtOrAboveTheOffset) {
  for (int64_t offset = 0; offset < 90; ++offset) {
    TransactionIndex index = index_;
    index.TruncateTo(offset);
    size_t kept = 0;
    while (kept < all_.size() && all_[kept].last_offset < offset) ++kept;
    ASSERT_EQ(index.entries().size(), kept) << offset;
    if (kept > 0) {
      ASSERT_EQ(index.entries().back(), all_[kept - 1]);
    }
    // The order rule starts from what is left.
    ASSERT_TRUE(index.Append({5, 0, std::max<int64_t>(offset, 1), 90}).ok());
  }
}

}  // namespace
}  // namespace varve
