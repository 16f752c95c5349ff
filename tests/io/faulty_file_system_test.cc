#include "varve/testing/faulty_file_system.h"

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/whole_file.h"
#include "support/status_matchers.h"
#include "varve/testing/memory_file_system.h"

namespace varve {
namespace {

using absl::StatusCode;
using internal::AsBytes;
using ::testing::AnyOf;
using ::testing::Eq;
using ::testing::HasSubstr;
using testing_support::IsOk;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;

class FaultyFileSystemTest : public ::testing::Test {
 protected:
  FaultyFileSystemTest() : fs_(&memory_) {
    auto file = fs_.Open("a", OpenMode::kCreate);
    EXPECT_THAT(file, IsOk());
    file_ = *std::move(file);
    EXPECT_THAT(file_->WriteAt(0, AsBytes("content")), IsOk());
    auto mapping = file_->Map(7, Access::kReadWrite);
    EXPECT_THAT(mapping, IsOk());
    mapping_ = *std::move(mapping);
  }

  MemoryFileSystem memory_;
  FaultyFileSystem fs_;
  std::unique_ptr<File> file_;
  std::unique_ptr<Mapping> mapping_;
};

TEST_F(FaultyFileSystemTest, EveryKindOfOperationFailsAndIsCounted) {
  std::string out(1, '?');
  struct Case {
    FileOperation operation;
    std::function<absl::Status()> run;
  };
  const std::vector<Case> cases = {
      {FileOperation::kOpen, [&] { return fs_.Open("a", OpenMode::kRead).status(); }},
      {FileOperation::kRead, [&] { return file_->ReadAt(0, std::as_writable_bytes(std::span(out))).status(); }},
      {FileOperation::kWrite, [&] { return file_->WriteAt(0, AsBytes("x")); }},
      {FileOperation::kTruncate, [&] { return file_->Truncate(1); }},
      {FileOperation::kAllocate, [&] { return file_->Allocate(0, 100); }},
      {FileOperation::kSync, [&] { return file_->SyncData(); }},
      {FileOperation::kMap, [&] { return file_->Map(7, Access::kRead).status(); }},
      {FileOperation::kPopulate, [&] { return mapping_->Populate(0, 7); }},
      {FileOperation::kCopy, [&] { return file_->CopyPrefixFrom(*file_, 1); }},
      {FileOperation::kSend, [&] { return file_->SendTo(0, 0, 1); }},
      {FileOperation::kInfo, [&] { return file_->Size().status(); }},
      {FileOperation::kInfo, [&] { return file_->Info().status(); }},
      {FileOperation::kInfo, [&] { return fs_.Info("a").status(); }},
      {FileOperation::kInfo, [&] { return fs_.AllocationIsPromise("/").status(); }},
      {FileOperation::kRename, [&] { return fs_.Rename("a", "b"); }},
      {FileOperation::kRemove, [&] { return fs_.Remove("a"); }},
      {FileOperation::kCreateDirectory, [&] { return fs_.CreateDirectory("d"); }},
      {FileOperation::kList, [&] { return fs_.List("/").status(); }},
      {FileOperation::kSyncDirectory, [&] { return fs_.SyncDirectory("/"); }},
      {FileOperation::kLock, [&] { return fs_.Lock("a", LockKind::kShared).status(); }},
      {FileOperation::kLock, [&] { return fs_.IsLocked("a").status(); }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(static_cast<int>(c.operation));
    fs_.ClearRules();
    const uint64_t fired_before = fs_.faults_fired();
    const uint64_t count_before = fs_.operation_count(c.operation);
    const uint64_t all_before = fs_.operation_count();
    const size_t rule = fs_.AddRule({.operation = c.operation, .status = absl::DataLossError("as told")});
    EXPECT_THAT(c.run(), StatusIs(StatusCode::kDataLoss, HasSubstr("as told")));
    EXPECT_EQ(fs_.faults_fired(), fired_before + 1);
    EXPECT_EQ(fs_.faults_fired(rule), 1u);
    EXPECT_EQ(fs_.operation_count(c.operation), count_before + 1);
    EXPECT_EQ(fs_.operation_count(), all_before + 1);
  }
  fs_.ClearRules();
  EXPECT_THAT(internal::ReadWholeFile(&fs_, "a", 100), IsOkAndHolds(Eq("content")));
}

TEST_F(FaultyFileSystemTest, TheNthMatchFailsOnce) {
  fs_.AddRule({.operation = FileOperation::kWrite, .nth = 3});
  EXPECT_THAT(file_->WriteAt(0, AsBytes("1")), IsOk());
  EXPECT_THAT(file_->WriteAt(0, AsBytes("2")), IsOk());
  EXPECT_THAT(file_->WriteAt(0, AsBytes("3")), StatusIs(StatusCode::kInternal));
  EXPECT_THAT(file_->WriteAt(0, AsBytes("4")), IsOk());
  EXPECT_EQ(fs_.faults_fired(), 1u);
}

TEST_F(FaultyFileSystemTest, ForEverFailsFromTheNthMatchOn) {
  fs_.AddRule({.operation = FileOperation::kSync, .nth = 2, .for_ever = true});
  EXPECT_THAT(file_->SyncData(), IsOk());
  EXPECT_THAT(file_->SyncData(), StatusIs(StatusCode::kInternal));
  EXPECT_THAT(file_->SyncData(), StatusIs(StatusCode::kInternal));
  EXPECT_EQ(fs_.faults_fired(), 2u);
}

TEST_F(FaultyFileSystemTest, APathPartLimitsARule) {
  fs_.AddRule({.path_part = ".log", .for_ever = true});
  EXPECT_THAT(fs_.Open("0.index", OpenMode::kCreate), IsOk());
  EXPECT_THAT(fs_.Open("0.log", OpenMode::kCreate), StatusIs(StatusCode::kInternal));
  EXPECT_THAT(fs_.Rename("0.index", "1.log"), StatusIs(StatusCode::kInternal));
  EXPECT_THAT(fs_.Rename("0.index", "1.index"), IsOk());
  EXPECT_EQ(fs_.faults_fired(), 2u);
}

TEST_F(FaultyFileSystemTest, TheFirstRuleThatFiresAnswers) {
  const size_t first = fs_.AddRule({.nth = 2, .status = absl::DataLossError("first")});
  const size_t second = fs_.AddRule({.for_ever = true, .status = absl::AbortedError("second")});
  EXPECT_THAT(fs_.List("/"), StatusIs(StatusCode::kAborted));
  EXPECT_THAT(fs_.List("/"), StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(fs_.List("/"), StatusIs(StatusCode::kAborted));
  EXPECT_EQ(fs_.faults_fired(first), 1u);
  EXPECT_EQ(fs_.faults_fired(second), 2u);
}

TEST_F(FaultyFileSystemTest, AShortWriteWritesAPartAndFails) {
  fs_.AddRule({.operation = FileOperation::kWrite, .status = absl::ResourceExhaustedError("full"), .partial_bytes = 2});
  EXPECT_THAT(file_->WriteAt(0, AsBytes("XYZ")), StatusIs(StatusCode::kResourceExhausted));
  EXPECT_THAT(internal::ReadWholeFile(&memory_, "a", 100), IsOkAndHolds(Eq("XYntent")));
}

TEST_F(FaultyFileSystemTest, AShortReadReadsAPartAndFailsOrEndsThere) {
  std::string out(7, '?');
  fs_.AddRule({.operation = FileOperation::kRead, .partial_bytes = 3});
  EXPECT_THAT(file_->ReadAt(0, std::as_writable_bytes(std::span(out))), StatusIs(StatusCode::kInternal));
  EXPECT_EQ(out, "con????");
  fs_.ClearRules();
  fs_.AddRule({.operation = FileOperation::kRead, .status = absl::OkStatus(), .partial_bytes = 4});
  EXPECT_THAT(file_->ReadAt(0, std::as_writable_bytes(std::span(out))), IsOkAndHolds(Eq(4u)));
  EXPECT_EQ(out, "cont???");
}

TEST_F(FaultyFileSystemTest, ARuleWithAnOkStatusOnlyCounts) {
  std::string out(7, '?');
  const size_t rule = fs_.AddRule({.for_ever = true, .status = absl::OkStatus()});
  EXPECT_THAT(file_->WriteAt(0, AsBytes("C")), IsOk());
  EXPECT_THAT(file_->ReadAt(0, std::as_writable_bytes(std::span(out))), IsOkAndHolds(Eq(7u)));
  EXPECT_EQ(out, "Content");
  EXPECT_EQ(fs_.faults_fired(rule), 2u);
}

TEST_F(FaultyFileSystemTest, CountsFromManyThreads) {
  const size_t rule = fs_.AddRule({.operation = FileOperation::kInfo, .nth = 500, .for_ever = true});
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 250; ++n) (void)fs_.Info("a");
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fs_.operation_count(FileOperation::kInfo), 1000u);
  EXPECT_EQ(fs_.faults_fired(rule), 501u);
}

// ReplaceFile at every fault, once and for ever, and at every crash after it: the name holds the old content or the
// new.
TEST(ReplaceFile, IsAllOrNothingAtEveryFaultAndCrash) {
  for (const bool for_ever : {false, true}) {
    bool fired = true;
    for (uint64_t n = 1; fired; ++n) {
      SCOPED_TRACE(n);
      MemoryFileSystem memory;
      VARVE_ASSERT_OK(internal::ReplaceFile(&memory, "checkpoint", AsBytes("old content")));
      FaultyFileSystem fs(&memory);
      fs.AddRule({.nth = n, .for_ever = for_ever, .partial_bytes = 3});
      const absl::Status status = internal::ReplaceFile(&fs, "checkpoint", AsBytes("new"));
      fired = fs.faults_fired() > 0;
      EXPECT_EQ(status.ok(), !fired);
      EXPECT_THAT(internal::ReadWholeFile(&memory, "checkpoint", 100),
                  IsOkAndHolds(AnyOf(Eq("new"), fired ? Eq("old content") : Eq("new"))));
      for (uint64_t seed = 0; seed < 50; ++seed) {
        const auto crashed = memory.CloneAfterCrash({.seed = seed});
        EXPECT_THAT(internal::ReadWholeFile(crashed.get(), "checkpoint", 100),
                    IsOkAndHolds(AnyOf(Eq("new"), fired ? Eq("old content") : Eq("new"))));
      }
      // The next call is not in the way of what this one left.
      VARVE_EXPECT_OK(internal::ReplaceFile(&memory, "checkpoint", AsBytes("next")));
      EXPECT_THAT(internal::ReadWholeFile(&memory, "checkpoint", 100), IsOkAndHolds(Eq("next")));
    }
  }
}

TEST(ReplaceFile, FreesTheSpaceOfAFailedAttempt) {
  MemoryFileSystem memory;
  memory.set_capacity_bytes(4096);
  EXPECT_THAT(internal::ReplaceFile(&memory, "checkpoint", AsBytes(std::string(5000, 'x'))),
              StatusIs(StatusCode::kResourceExhausted));
  EXPECT_EQ(memory.used_bytes(), 0u);
}

TEST(ReadWholeFile, PassesErrorsOn) {
  MemoryFileSystem memory;
  VARVE_ASSERT_OK(internal::ReplaceFile(&memory, "a", AsBytes("content")));
  for (uint64_t n = 1; n <= 3; ++n) {
    FaultyFileSystem fs(&memory);
    fs.AddRule({.nth = n});
    EXPECT_THAT(internal::ReadWholeFile(&fs, "a", 100), StatusIs(StatusCode::kInternal));
    EXPECT_EQ(fs.faults_fired(), 1u);
  }
}

TEST(ReadWholeFile, OfAFileThatShrinksMeanwhileIsWhatWasLeft) {
  MemoryFileSystem memory;
  VARVE_ASSERT_OK(internal::ReplaceFile(&memory, "a", AsBytes("content")));
  FaultyFileSystem fs(&memory);
  fs.AddRule({.operation = FileOperation::kRead, .status = absl::OkStatus(), .partial_bytes = 4});
  EXPECT_THAT(internal::ReadWholeFile(&fs, "a", 100), IsOkAndHolds(Eq("cont")));
}

TEST_F(FaultyFileSystemTest, WhatFailsAfterItsEffectHasHappened) {
  const absl::Status lost = absl::InternalError("the answer is lost");
  const auto fail = [&](FileOperation operation) {
    fs_.ClearRules();
    fs_.AddRule({.operation = operation, .status = lost, .after_effect = true});
  };
  const auto content = [](MemoryFileSystem* disk) { return internal::ReadWholeFile(disk, "a", 100); };
  fail(FileOperation::kWrite);
  EXPECT_EQ(file_->WriteAt(0, AsBytes("written")), lost);
  EXPECT_THAT(content(&memory_), IsOkAndHolds("written"));
  fail(FileOperation::kTruncate);
  EXPECT_EQ(file_->Truncate(5), lost);
  EXPECT_THAT(content(&memory_), IsOkAndHolds("writt"));
  fail(FileOperation::kSync);
  EXPECT_EQ(file_->SyncData(), lost);
  fail(FileOperation::kSyncDirectory);
  EXPECT_EQ(fs_.SyncDirectory("."), lost);
  EXPECT_THAT(content(memory_.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}).get()), IsOkAndHolds("writt"));
  fail(FileOperation::kRename);
  EXPECT_EQ(fs_.Rename("a", "b"), lost);
  EXPECT_THAT(memory_.List("."), IsOkAndHolds(std::vector<std::string>{"b"}));
  fail(FileOperation::kRemove);
  EXPECT_EQ(fs_.Remove("b"), lost);
  EXPECT_EQ(fs_.faults_fired(), 6u);
  // The second time it is the base that fails.
  fail(FileOperation::kRemove);
  EXPECT_THAT(fs_.Remove("b"), StatusIs(StatusCode::kNotFound));
  fail(FileOperation::kOpen);
  EXPECT_EQ(fs_.Open("made", OpenMode::kCreate).status(), lost);
  EXPECT_THAT(memory_.List("."), IsOkAndHolds(std::vector<std::string>{"made"}));
}

}  // namespace
}  // namespace varve
