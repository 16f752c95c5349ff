#include "varve/testing/memory_file_system.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "io/whole_file.h"
#include "support/status_matchers.h"
#include "varve/testing/manual_clock.h"

namespace varve {
namespace {

using absl::StatusCode;
using internal::AsBytes;
using internal::AsText;
using ::testing::AnyOf;
using ::testing::ElementsAre;
using ::testing::Eq;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Ne;
using ::testing::UnorderedElementsAre;
using testing_support::IsOk;
using testing_support::IsOkAndHolds;
using testing_support::StatusIs;

constexpr uint64_t kSeedCount = 400;
constexpr size_t kSectorBytes = 512;
constexpr size_t kBlockBytes = 4096;

std::unique_ptr<File> MakeFile(FileSystem* fs, const std::string& path, std::string_view content) {
  auto file = fs->Open(path, OpenMode::kTruncate);
  EXPECT_THAT(file, IsOk());
  EXPECT_THAT((*file)->WriteAt(0, AsBytes(content)), IsOk());
  return *std::move(file);
}

// A file whose content and name are stable.
std::unique_ptr<File> MakeStableFile(FileSystem* fs, const std::string& path, std::string_view content) {
  auto file = MakeFile(fs, path, content);
  EXPECT_THAT(file->SyncData(), IsOk());
  EXPECT_THAT(fs->SyncDirectory("/"), IsOk());
  return file;
}

std::string ContentOf(FileSystem* fs, const std::string& path) {
  const auto content = internal::ReadWholeFile(fs, path, uint64_t{1} << 30);
  EXPECT_THAT(content, IsOk());
  return content.ok() ? *content : "";
}

// What a file holds in many random crash clones.
std::set<std::string> ContentsAfterCrashes(const MemoryFileSystem& fs, const std::string& path) {
  std::set<std::string> contents;
  for (uint64_t seed = 0; seed < kSeedCount; ++seed) {
    contents.insert(ContentOf(fs.CloneAfterCrash({.seed = seed}).get(), path));
  }
  return contents;
}

// The names at the root in many random crash clones.
std::set<std::vector<std::string>> NamesAfterCrashes(const MemoryFileSystem& fs) {
  std::set<std::vector<std::string>> listings;
  for (uint64_t seed = 0; seed < kSeedCount; ++seed) {
    const auto names = fs.CloneAfterCrash({.seed = seed})->List("/");
    EXPECT_THAT(names, IsOk());
    listings.insert(*names);
  }
  return listings;
}

TEST(MemoryFileSystemCrash, SyncedContentUnderASyncedNameStays) {
  MemoryFileSystem fs;
  MakeStableFile(&fs, "a", "content");
  EXPECT_THAT(ContentsAfterCrashes(fs, "a"), ElementsAre("content"));
  EXPECT_EQ(ContentOf(fs.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}).get(), "a"), "content");
}

TEST(MemoryFileSystemCrash, AnUnsyncedNameMayVanish) {
  MemoryFileSystem fs;
  VARVE_ASSERT_OK(MakeFile(&fs, "a", "content")->SyncData());
  EXPECT_THAT(NamesAfterCrashes(fs), UnorderedElementsAre(ElementsAre(), ElementsAre("a")));
  EXPECT_THAT(fs.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced})->List("/"), IsOkAndHolds(IsEmpty()));
  EXPECT_THAT(fs.CloneAfterCrash({.mode = CrashMode::kKeepAll})->List("/"), IsOkAndHolds(ElementsAre("a")));
}

TEST(MemoryFileSystemCrash, AnUnsyncedDirectoryTakesItsFilesAlong) {
  MemoryFileSystem fs;
  VARVE_ASSERT_OK(fs.CreateDirectory("d"));
  VARVE_ASSERT_OK(MakeFile(&fs, "d/a", "content")->SyncData());
  VARVE_ASSERT_OK(fs.SyncDirectory("d"));
  EXPECT_THAT(fs.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced})->List("/"), IsOkAndHolds(IsEmpty()));
  VARVE_ASSERT_OK(fs.SyncDirectory("/"));
  EXPECT_EQ(ContentOf(fs.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}).get(), "d/a"), "content");
}

TEST(MemoryFileSystemCrash, AnUnsyncedRenameLeavesTheOldNameOrTheNew) {
  MemoryFileSystem fs;
  MakeStableFile(&fs, "a", "content");
  VARVE_ASSERT_OK(fs.Rename("a", "b"));
  EXPECT_THAT(NamesAfterCrashes(fs), UnorderedElementsAre(ElementsAre("a"), ElementsAre("b")));
  VARVE_ASSERT_OK(fs.SyncDirectory("/"));
  EXPECT_THAT(NamesAfterCrashes(fs), ElementsAre(ElementsAre("b")));
}

TEST(MemoryFileSystemCrash, AReplacedFileIsTheOldOrTheNewOne) {
  MemoryFileSystem fs;
  MakeStableFile(&fs, "a", "old");
  VARVE_ASSERT_OK(MakeFile(&fs, "a.tmp", "new")->SyncData());
  VARVE_ASSERT_OK(fs.Rename("a.tmp", "a"));
  EXPECT_THAT(ContentsAfterCrashes(fs, "a"), UnorderedElementsAre("old", "new"));
}

TEST(MemoryFileSystemCrash, AnUnsyncedRemovalMayComeBackWithItsContent) {
  MemoryFileSystem fs;
  MakeStableFile(&fs, "a", "content");
  VARVE_ASSERT_OK(fs.Remove("a"));
  EXPECT_EQ(fs.used_bytes(), 0u);
  EXPECT_THAT(NamesAfterCrashes(fs), UnorderedElementsAre(ElementsAre(), ElementsAre("a")));
  const auto before = fs.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  EXPECT_EQ(ContentOf(before.get(), "a"), "content");
  EXPECT_EQ(before->used_bytes(), kBlockBytes);
}

TEST(MemoryFileSystemCrash, RemovalsAreIndependent) {
  MemoryFileSystem fs;
  MakeStableFile(&fs, "a", "");
  MakeStableFile(&fs, "b", "");
  VARVE_ASSERT_OK(fs.Remove("a"));
  VARVE_ASSERT_OK(fs.Remove("b"));
  EXPECT_THAT(NamesAfterCrashes(fs),
              UnorderedElementsAre(ElementsAre(), ElementsAre("a"), ElementsAre("b"), ElementsAre("a", "b")));
}

TEST(MemoryFileSystemCrash, SyncOfADirectoryLeavesOthersAlone) {
  MemoryFileSystem fs;
  VARVE_ASSERT_OK(fs.CreateDirectory("d"));
  VARVE_ASSERT_OK(fs.CreateDirectory("e"));
  VARVE_ASSERT_OK(fs.SyncDirectory("/"));
  MakeFile(&fs, "d/a", "");
  MakeFile(&fs, "e/a", "");
  VARVE_ASSERT_OK(fs.SyncDirectory("d"));
  const auto after = fs.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  EXPECT_THAT(after->List("d"), IsOkAndHolds(ElementsAre("a")));
  EXPECT_THAT(after->List("e"), IsOkAndHolds(IsEmpty()));
}

TEST(MemoryFileSystemCrash, ARenameAcrossDirectoriesIsStableOnceEitherIsSynced) {
  MemoryFileSystem fs;
  VARVE_ASSERT_OK(fs.CreateDirectory("d"));
  VARVE_ASSERT_OK(fs.CreateDirectory("e"));
  VARVE_ASSERT_OK(fs.SyncDirectory("/"));
  MakeFile(&fs, "d/a", "");
  VARVE_ASSERT_OK(fs.Rename("d/a", "e/b"));
  VARVE_ASSERT_OK(fs.SyncDirectory("e"));
  for (uint64_t seed = 0; seed < kSeedCount; ++seed) {
    const auto after = fs.CloneAfterCrash({.seed = seed});
    EXPECT_THAT(after->List("d"), IsOkAndHolds(IsEmpty()));
    EXPECT_THAT(after->List("e"), IsOkAndHolds(ElementsAre("b")));
  }
}

TEST(MemoryFileSystemCrash, RewrittenSectorsAreOldOrNewEachOnItsOwn) {
  MemoryFileSystem fs;
  const std::string a(kSectorBytes, 'a');
  const std::string b(kSectorBytes, 'b');
  const auto file = MakeStableFile(&fs, "a", a + a);
  VARVE_ASSERT_OK(file->WriteAt(0, AsBytes(b + b)));
  EXPECT_THAT(ContentsAfterCrashes(fs, "a"), UnorderedElementsAre(a + a, a + b, b + a, b + b));
  VARVE_ASSERT_OK(file->SyncData());
  EXPECT_THAT(ContentsAfterCrashes(fs, "a"), ElementsAre(b + b));
}

TEST(MemoryFileSystemCrash, StoresThroughAMappingAreUnsyncedBytesToo) {
  MemoryFileSystem fs;
  const auto file = MakeStableFile(&fs, "a", std::string(kSectorBytes, 'a'));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto mapping, file->Map(kSectorBytes, Access::kReadWrite));
  std::fill_n(mapping->data(), kSectorBytes, std::byte{'b'});
  EXPECT_THAT(ContentsAfterCrashes(fs, "a"),
              UnorderedElementsAre(std::string(kSectorBytes, 'a'), std::string(kSectorBytes, 'b')));
  VARVE_ASSERT_OK(file->SyncData());
  EXPECT_THAT(ContentsAfterCrashes(fs, "a"), ElementsAre(std::string(kSectorBytes, 'b')));
}

TEST(MemoryFileSystemCrash, ASectorMayHoldWhatItHeldBetweenTwoSyncs) {
  MemoryFileSystem fs;
  const auto file = MakeStableFile(&fs, "a", "0");
  VARVE_ASSERT_OK(file->WriteAt(0, AsBytes("1")));
  VARVE_ASSERT_OK(file->WriteAt(0, AsBytes("2")));
  EXPECT_THAT(ContentsAfterCrashes(fs, "a"), UnorderedElementsAre("0", "1", "2"));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto mapping, file->Map(1, Access::kReadWrite));
  file->StartWriteOut(0, 1);
  mapping->data()[0] = std::byte{'3'};
  EXPECT_THAT(ContentsAfterCrashes(fs, "a"), UnorderedElementsAre("0", "2", "3"));
}

TEST(MemoryFileSystemCrash, NeverSyncedSectorsMayBeZerosOrGarbage) {
  MemoryFileSystem fs;
  const auto file = MakeStableFile(&fs, "a", std::string(kSectorBytes, 'a'));
  const std::string written(kSectorBytes, 'b');
  VARVE_ASSERT_OK(file->WriteAt(kSectorBytes, AsBytes(written)));
  bool seen_zeros = false;
  bool seen_garbage = false;
  bool seen_written = false;
  for (const std::string& content : ContentsAfterCrashes(fs, "a")) {
    EXPECT_EQ(content.substr(0, kSectorBytes), std::string(kSectorBytes, 'a'));
    const std::string tail = content.substr(kSectorBytes);
    if (tail.size() != kSectorBytes) continue;
    seen_zeros |= tail == std::string(kSectorBytes, '\0');
    seen_written |= tail == written;
    seen_garbage |= tail != written && tail != std::string(kSectorBytes, '\0');
  }
  EXPECT_TRUE(seen_zeros);
  EXPECT_TRUE(seen_garbage);
  EXPECT_TRUE(seen_written);
}

TEST(MemoryFileSystemCrash, TheSizeIsOldOrNewOrBetween) {
  MemoryFileSystem fs;
  const auto file = MakeStableFile(&fs, "a", std::string(100, 'a'));
  VARVE_ASSERT_OK(file->WriteAt(100, AsBytes(std::string(200, 'b'))));
  std::set<size_t> sizes;
  for (const std::string& content : ContentsAfterCrashes(fs, "a")) {
    sizes.insert(content.size());
    // The one sector is old or new, whole.
    const std::string tail = content.substr(100);
    EXPECT_THAT(tail, AnyOf(Eq(std::string(tail.size(), 'b')), Eq(std::string(tail.size(), '\0'))));
    EXPECT_EQ(content.substr(0, 100), std::string(100, 'a'));
  }
  EXPECT_EQ(*sizes.begin(), 100u);
  EXPECT_EQ(*sizes.rbegin(), 300u);
  EXPECT_GT(sizes.size(), 10u);
}

TEST(MemoryFileSystemCrash, ATruncationMayBeUndone) {
  MemoryFileSystem fs;
  const auto file = MakeStableFile(&fs, "a", "0123456789");
  VARVE_ASSERT_OK(file->Truncate(4));
  for (const std::string& content : ContentsAfterCrashes(fs, "a")) {
    EXPECT_GE(content.size(), 4u);
    EXPECT_EQ(content.substr(0, 4), "0123");
  }
  VARVE_ASSERT_OK(file->SyncData());
  EXPECT_THAT(ContentsAfterCrashes(fs, "a"), ElementsAre("0123"));
}

TEST(MemoryFileSystemCrash, ModesLoseOrKeepAll) {
  MemoryFileSystem fs;
  const auto file = MakeStableFile(&fs, "a", "old");
  VARVE_ASSERT_OK(file->WriteAt(0, AsBytes("newer")));
  EXPECT_EQ(ContentOf(fs.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}).get(), "a"), "old");
  EXPECT_EQ(ContentOf(fs.CloneAfterCrash({.mode = CrashMode::kKeepAll}).get(), "a"), "newer");
}

TEST(MemoryFileSystemCrash, ASeedGivesTheSameCloneEachTime) {
  MemoryFileSystem fs;
  MakeFile(&fs, "a", std::string(10 * kSectorBytes, 'a'));
  MakeFile(&fs, "b", std::string(10 * kSectorBytes, 'b'));
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const auto first = fs.CloneAfterCrash({.seed = seed});
    const auto second = fs.CloneAfterCrash({.seed = seed});
    VARVE_ASSERT_OK_AND_ASSIGN(const auto names, first->List("/"));
    EXPECT_THAT(second->List("/"), IsOkAndHolds(Eq(names)));
    for (const std::string& name : names) EXPECT_EQ(ContentOf(first.get(), name), ContentOf(second.get(), name));
  }
}

TEST(MemoryFileSystemCrash, ACloneIsStableAndIndependent) {
  MemoryFileSystem fs;
  const auto file = MakeFile(&fs, "a", "content");
  const auto clone = fs.CloneAfterCrash({.mode = CrashMode::kKeepAll});
  VARVE_ASSERT_OK(file->WriteAt(0, AsBytes("CONTENT")));
  EXPECT_EQ(ContentOf(clone.get(), "a"), "content");
  EXPECT_EQ(ContentOf(clone->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}).get(), "a"), "content");
}

TEST(MemoryFileSystemCrash, IsARestartOfTheKernel) {
  MemoryFileSystem fs;
  const auto file = MakeStableFile(&fs, "a", "");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto held, fs.Lock("a", LockKind::kExclusive));
  const auto clone = fs.CloneAfterCrash({});
  EXPECT_NE(clone->BootId(), fs.BootId());
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo before, fs.Info("a"));
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo after, clone->Info("a"));
  EXPECT_NE(after.identity.mount, before.identity.mount);
  EXPECT_EQ(after.identity.inode, before.identity.inode);
  EXPECT_EQ(after.identity.birth_ns, before.identity.birth_ns);
  EXPECT_THAT(clone->Lock("a", LockKind::kExclusive), IsOk());
}

TEST(MemoryFileSystemProcessDeath, KeepsAllAndTheKernelAndDropsLocks) {
  MemoryFileSystem fs;
  const auto file = MakeStableFile(&fs, "a", "old");
  VARVE_ASSERT_OK(file->WriteAt(0, AsBytes("new")));
  MakeFile(&fs, "b", "b");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto held, fs.Lock("a", LockKind::kExclusive));
  const auto clone = fs.CloneAfterProcessDeath();
  EXPECT_EQ(ContentOf(clone.get(), "a"), "new");
  EXPECT_EQ(ContentOf(clone.get(), "b"), "b");
  EXPECT_EQ(clone->BootId(), fs.BootId());
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo before, fs.Info("a"));
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo after, clone->Info("a"));
  EXPECT_EQ(after.identity, before.identity);
  EXPECT_EQ(after.modified_ms, before.modified_ms);
  EXPECT_THAT(clone->Lock("a", LockKind::kExclusive), IsOk());
  // What was not synced still is not.
  const auto crashed = clone->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced});
  EXPECT_THAT(crashed->List("/"), IsOkAndHolds(ElementsAre("a")));
  EXPECT_EQ(ContentOf(crashed.get(), "a"), "old");
}

TEST(MemoryFileSystemProcessDeath, FreesFilesThatOnlyTheProcessHeldOpen) {
  MemoryFileSystem fs;
  const auto file = MakeStableFile(&fs, "a", "content");
  VARVE_ASSERT_OK(fs.Remove("a"));
  EXPECT_EQ(fs.used_bytes(), kBlockBytes);
  const auto clone = fs.CloneAfterProcessDeath();
  EXPECT_THAT(clone->List("/"), IsOkAndHolds(IsEmpty()));
  EXPECT_EQ(clone->used_bytes(), 0u);
  // The removal is not stable yet.
  EXPECT_EQ(ContentOf(clone->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}).get(), "a"), "content");
}

TEST(MemoryFileSystemFailedSync, DropsThePagesForEver) {
  MemoryFileSystem fs;
  const auto file = MakeStableFile(&fs, "a", "old");
  VARVE_ASSERT_OK(file->WriteAt(0, AsBytes("new")));
  fs.FailNextSync("a", absl::InternalError("EIO"));
  EXPECT_THAT(file->SyncData(), StatusIs(StatusCode::kInternal, HasSubstr("EIO")));
  EXPECT_THAT(file->SyncData(), IsOk());
  EXPECT_EQ(ContentOf(&fs, "a"), "new");
  for (const CrashMode mode : {CrashMode::kLoseAllUnsynced, CrashMode::kKeepAll, CrashMode::kRandom}) {
    EXPECT_EQ(ContentOf(fs.CloneAfterCrash({.mode = mode}).get(), "a"), "old");
  }
}

TEST(MemoryFileSystemFailedSync, OutlivesTheProcess) {
  MemoryFileSystem fs;
  const auto file = MakeStableFile(&fs, "a", "old");
  VARVE_ASSERT_OK(file->WriteAt(0, AsBytes("new")));
  fs.FailNextSync("a", absl::InternalError("EIO"));
  EXPECT_THAT(file->SyncData(), StatusIs(StatusCode::kInternal));
  const auto next = fs.CloneAfterProcessDeath();
  EXPECT_EQ(ContentOf(next.get(), "a"), "new");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto reopened, next->Open("a", OpenMode::kReadWrite));
  VARVE_ASSERT_OK(reopened->SyncData());
  EXPECT_EQ(ContentOf(next->CloneAfterCrash({.mode = CrashMode::kKeepAll}).get(), "a"), "old");
  // Written again, the same bytes are dirty again.
  VARVE_ASSERT_OK(reopened->WriteAt(0, AsBytes("new")));
  VARVE_ASSERT_OK(reopened->SyncData());
  EXPECT_EQ(ContentOf(next->CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}).get(), "a"), "new");
}

TEST(MemoryFileSystemFailedSync, OtherStoresThroughAMappingMakeThePageDirtyAgain) {
  MemoryFileSystem fs;
  const auto file = MakeStableFile(&fs, "a", "old");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto mapping, file->Map(3, Access::kReadWrite));
  std::ranges::copy(AsBytes("new"), mapping->data());
  fs.FailNextSync("a", absl::InternalError("EIO"));
  EXPECT_THAT(file->SyncData(), StatusIs(StatusCode::kInternal));
  mapping->data()[2] = std::byte{'t'};
  VARVE_ASSERT_OK(file->SyncData());
  EXPECT_EQ(ContentOf(fs.CloneAfterCrash({.mode = CrashMode::kLoseAllUnsynced}).get(), "a"), "net");
}

// Blocks are what a copy by reference shares: it writes back what is dirty first, which dropped pages are not.
TEST(MemoryFileSystemFailedSync, ACopyByReferenceHasWhatTheDiskHas) {
  MemoryFileSystem fs;
  const std::string first(kBlockBytes, 'a');
  const auto file = MakeStableFile(&fs, "a", first + "old");
  VARVE_ASSERT_OK(file->WriteAt(kBlockBytes, AsBytes("new")));
  fs.FailNextSync("a", absl::InternalError("EIO"));
  EXPECT_THAT(file->SyncData(), StatusIs(StatusCode::kInternal));
  VARVE_ASSERT_OK(file->WriteAt(0, AsBytes("dirty")));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto copy, fs.Open("b", OpenMode::kCreate));
  VARVE_ASSERT_OK(copy->CopyPrefixFrom(*file, kBlockBytes + 2));
  EXPECT_EQ(ContentOf(&fs, "a"), "dirty" + first.substr(5) + "new");
  EXPECT_EQ(ContentOf(&fs, "b"), "dirty" + first.substr(5) + "ol");
  // Written again it is dirty.
  VARVE_ASSERT_OK(file->WriteAt(kBlockBytes, AsBytes("new")));
  VARVE_ASSERT_OK(copy->CopyPrefixFrom(*file, kBlockBytes + 2));
  EXPECT_EQ(ContentOf(&fs, "b"), "dirty" + first.substr(5) + "ne");
}

TEST(MemoryFileSystemFailedSync, IsToldOnceToEveryHandleOpenThenAndToNoLaterOne) {
  MemoryFileSystem fs;
  const auto first = MakeStableFile(&fs, "a", "old");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto second, fs.Open("a", OpenMode::kReadWrite));
  fs.FailNextSync("b", absl::InternalError("another file's"));
  fs.FailNextSync("a", absl::InternalError("EIO"));
  EXPECT_THAT(first->SyncData(), StatusIs(StatusCode::kInternal, HasSubstr("EIO")));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto later, fs.Open("a", OpenMode::kReadWrite));
  EXPECT_THAT(later->SyncData(), IsOk());
  EXPECT_THAT(second->SyncData(), StatusIs(StatusCode::kInternal, HasSubstr("EIO")));
  EXPECT_THAT(second->SyncData(), IsOk());
}

TEST(MemoryFileSystemCapacity, AWriteBeyondItWritesWhatFits) {
  MemoryFileSystem fs;
  fs.set_capacity_bytes(2 * kBlockBytes);
  const auto file = MakeFile(&fs, "a", "x");
  EXPECT_THAT(file->WriteAt(1, AsBytes(std::string(3 * kBlockBytes, 'b'))),
              StatusIs(StatusCode::kResourceExhausted, HasSubstr("a: ")));
  EXPECT_THAT(file->Size(), IsOkAndHolds(Eq(2 * kBlockBytes)));
  EXPECT_THAT(file->WriteAt(2 * kBlockBytes, AsBytes("c")), StatusIs(StatusCode::kResourceExhausted));
  EXPECT_THAT(file->WriteAt(kBlockBytes, AsBytes("rewritten")), IsOk());
  EXPECT_EQ(fs.used_bytes(), 2 * kBlockBytes);
}

TEST(MemoryFileSystemCapacity, AllocateTakesAllOrNothing) {
  MemoryFileSystem fs;
  fs.set_capacity_bytes(2 * kBlockBytes);
  const auto file = MakeFile(&fs, "a", "");
  EXPECT_THAT(file->Allocate(0, 3 * kBlockBytes), StatusIs(StatusCode::kResourceExhausted, HasSubstr("a: ")));
  EXPECT_EQ(fs.used_bytes(), 0u);
  EXPECT_THAT(file->Size(), IsOkAndHolds(Eq(0u)));
  EXPECT_THAT(file->Allocate(0, 2 * kBlockBytes), IsOk());
  const auto other = MakeFile(&fs, "b", "");
  EXPECT_THAT(other->WriteAt(0, AsBytes("x")), StatusIs(StatusCode::kResourceExhausted));
  EXPECT_THAT(file->WriteAt(0, AsBytes(std::string(2 * kBlockBytes, 'a'))), IsOk());
}

TEST(MemoryFileSystemCapacity, PopulateOfAHoleNeedsSpaceAndOfAllocatedBytesNone) {
  MemoryFileSystem fs;
  fs.set_capacity_bytes(kBlockBytes);
  const auto file = MakeFile(&fs, "a", "");
  VARVE_ASSERT_OK(file->Truncate(2 * kBlockBytes));
  VARVE_ASSERT_OK(file->Allocate(0, kBlockBytes));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto mapping, file->Map(2 * kBlockBytes, Access::kReadWrite));
  EXPECT_THAT(mapping->Populate(0, kBlockBytes), IsOk());
  EXPECT_THAT(mapping->Populate(kBlockBytes, 1), StatusIs(StatusCode::kResourceExhausted, HasSubstr("a: ")));
  fs.set_capacity_bytes(std::nullopt);
  EXPECT_THAT(mapping->Populate(kBlockBytes, 1), IsOk());
  EXPECT_EQ(fs.used_bytes(), 2 * kBlockBytes);
}

TEST(MemoryFileSystemCapacity, SpaceComesBackWithTruncationAndWithTheLastNameAndUse) {
  MemoryFileSystem fs;
  auto file = MakeFile(&fs, "a", std::string(3 * kBlockBytes, 'a'));
  EXPECT_EQ(fs.used_bytes(), 3 * kBlockBytes);
  VARVE_ASSERT_OK(file->Truncate(kBlockBytes + 1));
  EXPECT_EQ(fs.used_bytes(), 2 * kBlockBytes);
  VARVE_ASSERT_OK(fs.Remove("a"));
  EXPECT_EQ(fs.used_bytes(), 2 * kBlockBytes);
  file.reset();
  EXPECT_EQ(fs.used_bytes(), 0u);
  MakeFile(&fs, "b", "b");
  MakeFile(&fs, "c", "c");
  EXPECT_EQ(fs.used_bytes(), 2 * kBlockBytes);
  VARVE_ASSERT_OK(fs.Rename("c", "b"));
  EXPECT_EQ(fs.used_bytes(), kBlockBytes);
}

TEST(MemoryFileSystemMapping, StoresBeyondTheEndAreNeverPartOfTheFile) {
  MemoryFileSystem fs;
  const auto file = MakeFile(&fs, "a", "ab");
  VARVE_ASSERT_OK_AND_ASSIGN(const auto mapping, file->Map(4 * kBlockBytes, Access::kReadWrite));
  std::fill_n(mapping->data() + 2, 3 * kBlockBytes, std::byte{'x'});
  VARVE_ASSERT_OK(file->Truncate(4 * kBlockBytes));
  EXPECT_EQ(ContentOf(&fs, "a"), "ab" + std::string(4 * kBlockBytes - 2, '\0'));
}

TEST(MemoryFileSystemMapping, NothingOfAFileIsFoundInALaterOne) {
  constexpr size_t kSmallMapBytes = 10 * kBlockBytes;
  constexpr size_t kLargeMapBytes = 1000 * kBlockBytes;
  for (const size_t map_bytes : {kSmallMapBytes, kLargeMapBytes, kSmallMapBytes}) {
    MemoryFileSystem fs;
    auto file = MakeFile(&fs, "f", "content");
    auto mapping = file->Map(map_bytes, Access::kReadWrite);
    ASSERT_THAT(mapping, IsOk());
    const std::span<std::byte> mapped((*mapping)->data(), map_bytes);
    EXPECT_EQ(std::ranges::count(mapped.subspan(7), std::byte{0}), static_cast<std::ptrdiff_t>(map_bytes - 7));
    std::ranges::fill(mapped, std::byte{0xff});
  }
}

// More than are kept for later ones, so that address space goes back to the system and is given out anew.
TEST(MemoryFileSystemMapping, ManyFilesMayComeAndGoAtOnce) {
  constexpr int kFiles = 200;
  for (int round = 0; round < 2; ++round) {
    MemoryFileSystem fs;
    std::vector<std::unique_ptr<Mapping>> mappings;
    for (int number = 0; number < kFiles; ++number) {
      const auto file = MakeFile(&fs, "f" + std::to_string(number), "content");
      VARVE_ASSERT_OK_AND_ASSIGN(auto mapping, file->Map(kBlockBytes, Access::kReadWrite));
      std::fill_n(mapping->data(), kBlockBytes, std::byte{0xff});
      mappings.push_back(std::move(mapping));
    }
  }
}

TEST(MemoryFileSystemMapping, MoreThanCanBeMappedIsRefused) {
  MemoryFileSystem fs;
  const auto file = MakeFile(&fs, "a", "ab");
  constexpr uint64_t kTooMuch = (uint64_t{4} << 30) + 1;
  EXPECT_THAT(file->Map(kTooMuch, Access::kRead), StatusIs(StatusCode::kResourceExhausted, HasSubstr("a: ")));
  VARVE_ASSERT_OK_AND_ASSIGN(const auto mapping, file->Map(2, Access::kRead));
  EXPECT_THAT(file->Truncate(kTooMuch), StatusIs(StatusCode::kResourceExhausted, HasSubstr("a: ")));
  EXPECT_EQ(ContentOf(&fs, "a"), "ab");
}

TEST(MemoryFileSystemTime, ComesFromTheClockOrGoesUpByItself) {
  ManualClock clock(1000);
  MemoryFileSystem fs({.clock = &clock});
  const auto file = MakeFile(&fs, "a", "content");
  clock.AdvanceMs(500);
  VARVE_ASSERT_OK(file->WriteAt(0, AsBytes("x")));
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo info, file->Info());
  EXPECT_EQ(info.modified_ms, 1500);
  EXPECT_EQ(info.identity.birth_ns, 1'000'000'000);

  MemoryFileSystem without_clock;
  const auto other = MakeFile(&without_clock, "a", "content");
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo before, other->Info());
  VARVE_ASSERT_OK(other->Truncate(0));
  VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo after, other->Info());
  EXPECT_GT(after.modified_ms, before.modified_ms);
}

TEST(ManualClock, StandsStillUntilMoved) {
  ManualClock clock(1000, 5);
  EXPECT_EQ(clock.WallMs(), 1000);
  EXPECT_EQ(clock.MonotonicNs(), 5);
  clock.AdvanceMs(2);
  EXPECT_EQ(clock.WallMs(), 1002);
  EXPECT_EQ(clock.MonotonicNs(), 2'000'005);
  clock.AdvanceNs(600'000);
  EXPECT_EQ(clock.WallMs(), 1002);
  clock.AdvanceNs(600'000);
  EXPECT_EQ(clock.WallMs(), 1003);
  clock.SetWallMs(7);
  EXPECT_EQ(clock.WallMs(), 7);
  EXPECT_EQ(clock.MonotonicNs(), 3'200'005);
}

}  // namespace
}  // namespace varve
