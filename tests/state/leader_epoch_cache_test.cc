#include "state/leader_epoch_cache.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"

namespace varve::internal {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::StatusIs;

using Epochs = std::vector<LeaderEpoch>;

class LeaderEpochCacheTest : public ::testing::Test {
 protected:
  LeaderEpochCacheTest() : path_(directory_.path() + "/leader-epoch-checkpoint") {}

  std::unique_ptr<LeaderEpochCache> Open() {
    auto cache = LeaderEpochCache::Open(FileSystem::Default(), path_);
    EXPECT_TRUE(cache.ok()) << cache.status();
    return cache.ok() ? *std::move(cache) : nullptr;
  }

  std::unique_ptr<LeaderEpochCache> OpenWith(const Epochs& epochs) {
    std::ofstream(path_) << FileText(epochs);
    return Open();
  }

  static std::string FileText(const Epochs& epochs) {
    std::string text = "0\n" + std::to_string(epochs.size()) + "\n";
    for (const LeaderEpoch& epoch : epochs) {
      text += std::to_string(epoch.epoch) + " " + std::to_string(epoch.start_offset) + "\n";
    }
    return text;
  }

  std::string Text() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }

  testing_support::TemporaryDirectory directory_;
  std::string path_;
};

TEST_F(LeaderEpochCacheTest, FileIsEmptyUntilSomethingIsAssigned) {
  const auto cache = Open();
  EXPECT_TRUE(fs::exists(path_));
  EXPECT_EQ(Text(), "");
  EXPECT_EQ(cache->Latest(), std::nullopt);
  EXPECT_TRUE(cache->IsLatest(-1));
  EXPECT_FALSE(cache->IsLatest(0));
  VARVE_ASSERT_OK(cache->TruncateFromEnd(0));
  VARVE_ASSERT_OK(cache->TruncateFromStart(100));
  VARVE_ASSERT_OK(cache->Clear());
  EXPECT_EQ(Text(), "");
  VARVE_ASSERT_OK(cache->Assign(0, 0));
  EXPECT_EQ(Text(), "0\n1\n0 0\n");
  VARVE_ASSERT_OK(cache->TruncateFromEnd(0));
  EXPECT_EQ(Text(), "0\n0\n");
  EXPECT_TRUE(cache->IsLatest(-1));
}

TEST_F(LeaderEpochCacheTest, ChangesAreInTheFileAtOnce) {
  const auto cache = Open();
  VARVE_ASSERT_OK(cache->Assign(3, 0));
  VARVE_ASSERT_OK(cache->Assign(4, 12));
  EXPECT_EQ(Text(), "0\n2\n3 0\n4 12\n");
  EXPECT_EQ(cache->Latest(), (LeaderEpoch{4, 12}));
  EXPECT_TRUE(cache->IsLatest(4));
  EXPECT_FALSE(cache->IsLatest(3));
  EXPECT_THAT(Open()->entries(), ElementsAre(LeaderEpoch{3, 0}, LeaderEpoch{4, 12}));
  VARVE_ASSERT_OK(cache->Clear());
  EXPECT_EQ(Text(), "0\n0\n");
}

TEST_F(LeaderEpochCacheTest, AssignKeepsEntriesAscending) {
  struct Case {
    Epochs before;
    LeaderEpoch assigned;
    Epochs after;
  };
  const std::vector<Case> cases = {
      {{}, {5, 10}, {{5, 10}}},
      {{{1, 0}}, {2, 10}, {{1, 0}, {2, 10}}},
      {{{1, 0}}, {1, 10}, {{1, 0}}},  // the same epoch goes on
      {{{1, 0}}, {1, 0}, {{1, 0}}},
      {{{1, 5}}, {1, 3}, {{1, 3}}},                     // it began earlier
      {{{1, 0}, {2, 10}}, {3, 10}, {{1, 0}, {3, 10}}},  // an epoch without a record
      {{{1, 0}, {2, 10}}, {3, 4}, {{1, 0}, {3, 4}}},
      {{{1, 0}, {2, 10}}, {3, 0}, {{3, 0}}},
      {{{1, 0}, {5, 10}}, {3, 20}, {{1, 0}, {3, 20}}},  // a lower epoch removes the higher ones
      {{{1, 0}, {5, 10}}, {0, 20}, {{0, 20}}},
      {{{1, 0}, {3, 10}, {5, 20}}, {3, 30}, {{1, 0}, {3, 30}}},
      {{{1, 0}, {3, 10}, {5, 20}}, {4, 5}, {{1, 0}, {4, 5}}},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(FileText(c.before) + " assign " + std::to_string(c.assigned.epoch));
    const auto cache = OpenWith(c.before);
    VARVE_ASSERT_OK(cache->Assign(c.assigned.epoch, c.assigned.start_offset));
    EXPECT_EQ(cache->entries(), c.after);
    EXPECT_EQ(Text(), FileText(c.after));
    EXPECT_TRUE(cache->IsLatest(c.after.back().epoch));
  }
}

TEST_F(LeaderEpochCacheTest, AssignRefusesNegativeNumbers) {
  const auto cache = OpenWith({{1, 0}});
  EXPECT_THAT(cache->Assign(-1, 5), StatusIs(absl::StatusCode::kInvalidArgument,
                                             AllOf(HasSubstr(path_), HasSubstr("leader epoch -1 from offset 5"))));
  EXPECT_THAT(cache->Assign(2, -5), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(cache->entries(), ElementsAre(LeaderEpoch{1, 0}));
}

TEST_F(LeaderEpochCacheTest, TruncateFromEndDropsEntriesAtAndAboveTheOffset) {
  const Epochs all = {{0, 0}, {2, 10}, {3, 20}};
  for (const auto& [offset, kept] : {std::pair<int64_t, size_t>{21, 3}, {20, 2}, {11, 2}, {10, 1}, {1, 1}, {0, 0}}) {
    const auto cache = OpenWith(all);
    VARVE_ASSERT_OK(cache->TruncateFromEnd(offset));
    const Epochs expected(all.begin(), all.begin() + static_cast<ptrdiff_t>(kept));
    EXPECT_EQ(cache->entries(), expected) << offset;
    EXPECT_EQ(Text(), FileText(expected)) << offset;
  }
}

TEST_F(LeaderEpochCacheTest, TruncateFromStartKeepsTheCoveringEpoch) {
  struct Case {
    int64_t offset;
    Epochs after;
  };
  const std::vector<Case> cases = {
      {3, {{0, 5}, {2, 10}, {3, 20}}},
      {5, {{0, 5}, {2, 10}, {3, 20}}},
      {9, {{0, 9}, {2, 10}, {3, 20}}},
      {10, {{2, 10}, {3, 20}}},
      {15, {{2, 15}, {3, 20}}},
      {20, {{3, 20}}},
      {99, {{3, 99}}},
  };
  for (const Case& c : cases) {
    const auto cache = OpenWith({{0, 5}, {2, 10}, {3, 20}});
    VARVE_ASSERT_OK(cache->TruncateFromStart(c.offset));
    EXPECT_EQ(cache->entries(), c.after) << c.offset;
    EXPECT_EQ(Text(), FileText(c.after)) << c.offset;
  }
}

// Every epoch question against the table of format notes §9.1.
TEST_F(LeaderEpochCacheTest, EndOffsetFollowsTheTable) {
  const auto cache = OpenWith({{2, 5}, {4, 10}, {7, 20}});
  EXPECT_EQ(cache->EndOffsetFor(-1, 30), std::nullopt);
  EXPECT_EQ(cache->EndOffsetFor(8, 30), std::nullopt);
  EXPECT_EQ(cache->EndOffsetFor(7, 30), (LeaderEpoch{7, 30}));
  EXPECT_EQ(cache->EndOffsetFor(0, 30), (LeaderEpoch{0, 5}));
  EXPECT_EQ(cache->EndOffsetFor(1, 30), (LeaderEpoch{1, 5}));
  EXPECT_EQ(cache->EndOffsetFor(2, 30), (LeaderEpoch{2, 10}));
  EXPECT_EQ(cache->EndOffsetFor(3, 30), (LeaderEpoch{2, 10}));
  EXPECT_EQ(cache->EndOffsetFor(4, 30), (LeaderEpoch{4, 20}));
  EXPECT_EQ(cache->EndOffsetFor(6, 30), (LeaderEpoch{4, 20}));
  EXPECT_EQ(OpenWith({})->EndOffsetFor(0, 30), std::nullopt);
}

TEST_F(LeaderEpochCacheTest, EpochForOffsetIsTheFloor) {
  const auto cache = OpenWith({{2, 5}, {4, 10}});
  EXPECT_EQ(cache->EpochForOffset(4), std::nullopt);
  EXPECT_EQ(cache->EpochForOffset(5), 2);
  EXPECT_EQ(cache->EpochForOffset(9), 2);
  EXPECT_EQ(cache->EpochForOffset(10), 4);
  EXPECT_EQ(cache->EpochForOffset(1000), 4);
}

// Where a replica cuts its log after the leader's answers (format notes §9.5).
int64_t TruncationPoint(const LeaderEpochCache& leader, int64_t leader_end, LeaderEpochCache& follower,
                        int64_t follower_end) {
  for (;;) {
    const std::optional<LeaderEpoch> latest = follower.Latest();
    if (!latest.has_value()) return follower_end;
    const FetchAnswer answer =
        JudgeFetch(latest->epoch, follower_end, leader.EndOffsetFor(latest->epoch, leader_end), 0);
    if (answer.verdict != FetchVerdict::kDiverging) return follower_end;
    const TruncationStep step = StepAfterDivergence(
        answer.diverging, follower.EndOffsetFor(answer.diverging.epoch, follower_end), 0, follower_end);
    EXPECT_EQ(step.action, TruncationAction::kTruncateTo);
    follower_end = step.offset;
    EXPECT_TRUE(follower.TruncateFromEnd(follower_end).ok());
    if (!step.ask_again) return follower_end;
  }
}

TEST_F(LeaderEpochCacheTest, FollowersPartWhereTheScenariosSay) {
  struct Case {
    const char* name;
    Epochs leader;
    int64_t leader_end;
    Epochs follower;
    int64_t follower_end;
    int64_t truncated_to;
  };
  const std::vector<Case> cases = {
      {"extra records of epoch 1", {{1, 0}, {2, 10}}, 12, {{1, 0}}, 15, 10},
      {"lagging", {{1, 0}, {2, 10}}, 12, {{1, 0}}, 7, 7},
      {"fast double failover", {{1, 0}, {3, 8}, {4, 11}}, 13, {{1, 0}, {2, 10}}, 12, 8},
      {"epochs the leader never saw", {{0, 0}, {4, 30}}, 40, {{0, 0}, {1, 10}, {2, 15}, {3, 18}}, 20, 10},
      {"two rounds", {{0, 0}, {2, 15}, {5, 30}}, 40, {{0, 0}, {1, 10}, {3, 18}}, 20, 10},
      {"unclean election", {{1, 0}}, 5, {{1, 0}}, 9, 5},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const auto leader = OpenWith(c.leader);
    path_ += "x";
    const auto follower = OpenWith(c.follower);
    path_ += "y";
    EXPECT_EQ(TruncationPoint(*leader, c.leader_end, *follower, c.follower_end), c.truncated_to);
  }
}

TEST_F(LeaderEpochCacheTest, LinesOutOfOrderAreAppliedAsAssignments) {
  std::ofstream(path_) << "0\n4\n1 0\n5 10\n3 20\n4 20\n";
  EXPECT_THAT(Open()->entries(), ElementsAre(LeaderEpoch{1, 0}, LeaderEpoch{4, 20}));
}

TEST_F(LeaderEpochCacheTest, MalformedFileIsRefusedAndKept) {
  std::ofstream(path_) << "0\n1\nepoch\n";
  EXPECT_THAT(LeaderEpochCache::Open(FileSystem::Default(), path_),
              StatusIs(absl::StatusCode::kDataLoss, AllOf(HasSubstr(path_), HasSubstr("line 3"))));
  EXPECT_EQ(Text(), "0\n1\nepoch\n");
}

TEST_F(LeaderEpochCacheTest, MissingDirectoryIsNotFound) {
  EXPECT_THAT(LeaderEpochCache::Open(FileSystem::Default(), directory_.path() + "/no/file"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(LeaderEpochCacheTest, FailedWritesChangeNothing) {
  const auto cache = OpenWith({{1, 0}, {2, 10}});
  // The file beside it cannot be made: its name is a directory's.
  ASSERT_TRUE(fs::create_directory(path_ + ".tmp"));
  EXPECT_FALSE(cache->Assign(3, 20).ok());
  EXPECT_FALSE(cache->TruncateFromEnd(10).ok());
  EXPECT_FALSE(cache->TruncateFromStart(5).ok());
  EXPECT_FALSE(cache->Clear().ok());
  EXPECT_THAT(cache->entries(), ElementsAre(LeaderEpoch{1, 0}, LeaderEpoch{2, 10}));
  EXPECT_TRUE(cache->IsLatest(2));
  EXPECT_EQ(Text(), "0\n2\n1 0\n2 10\n");
  // What changes nothing writes nothing.
  VARVE_EXPECT_OK(cache->Assign(2, 30));
  VARVE_EXPECT_OK(cache->TruncateFromEnd(11));
  VARVE_EXPECT_OK(cache->TruncateFromStart(0));
  ASSERT_TRUE(fs::remove(path_ + ".tmp"));
  VARVE_EXPECT_OK(cache->Assign(3, 20));
  EXPECT_EQ(Text(), "0\n3\n1 0\n2 10\n3 20\n");
}

TEST_F(LeaderEpochCacheTest, ReadersSeeOneStateOrTheOther) {
  const auto cache = OpenWith({{1, 0}});
  std::atomic<bool> done = false;
  std::atomic<int> mistakes = 0;
  std::thread reader([&] {
    while (!done.load()) {
      const Epochs entries = cache->entries();
      for (size_t i = 1; i < entries.size(); ++i) {
        if (entries[i].epoch <= entries[i - 1].epoch || entries[i].start_offset <= entries[i - 1].start_offset)
          ++mistakes;
      }
      const std::optional<LeaderEpoch> end = cache->EndOffsetFor(1, 1 << 20);
      if (!end.has_value() || end->epoch != 1) ++mistakes;
      static_cast<void>(cache->IsLatest(5));
      static_cast<void>(cache->EpochForOffset(7));
      static_cast<void>(cache->Latest());
    }
  });
  for (int32_t epoch = 2; epoch < 40; ++epoch) {
    EXPECT_TRUE(cache->Assign(epoch, epoch * 10).ok());
    if (epoch % 8 == 0) {
      EXPECT_TRUE(cache->TruncateFromEnd(epoch * 5).ok());
    }
  }
  done.store(true);
  reader.join();
  EXPECT_EQ(mistakes.load(), 0);
}

TEST_F(LeaderEpochCacheTest, KafkasFilesAnswerAsInTheirManifests) {
  int asked = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(VARVE_TEST_DATA "/golden")) {
    if (!entry.is_directory()) continue;
    SCOPED_TRACE(entry.path().string());
    std::ifstream manifest_file(entry.path() / "manifest.json");
    const nlohmann::json manifest = nlohmann::json::parse(manifest_file);
    path_ = directory_.path() + "/" + entry.path().filename().string();
    fs::copy_file(entry.path() / manifest["dir"].get<std::string>() / "leader-epoch-checkpoint", path_);
    const auto cache = Open();
    ASSERT_NE(cache, nullptr);
    const int64_t log_end_offset = manifest["log"]["log_end_offset"];
    // As a log does when it is loaded.
    VARVE_ASSERT_OK(cache->TruncateFromEnd(log_end_offset));
    Epochs expected;
    for (const auto& epoch : manifest["leader_epochs"]) expected.push_back({epoch[0], epoch[1]});
    EXPECT_EQ(cache->entries(), expected);
    for (const auto& query : manifest["epoch_queries"]) {
      std::optional<LeaderEpoch> answer;
      if (!query[1].is_null()) answer = {query[1], query[2]};
      EXPECT_EQ(cache->EndOffsetFor(query[0], log_end_offset), answer) << query.dump();
      ++asked;
    }
  }
  EXPECT_GE(asked, 40);
}

}  // namespace
}  // namespace varve::internal
