// Index files opened through the file system.
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "support/status_matchers.h"
#include "support/temporary_directory.h"
#include "varve/file_system.h"
#include "varve/sparse_offset_index.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/time_index.h"
#include "varve/transaction_index.h"

namespace varve {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing_support::StatusIs;

class IndexOpenTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return directory_.path() + "/" + name; }

  std::string Write(const std::string& name, const std::string& hex) const {
    const std::string bytes = absl::HexStringToBytes(hex);
    std::ofstream(Path(name), std::ios::binary).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return Path(name);
  }

  testing_support::TemporaryDirectory directory_;
  FileSystem* const fs_ = FileSystem::Default();
};

TEST_F(IndexOpenTest, OffsetIndexIsMapped) {
  const std::string path = Write("0.index", "0000000d000002d70000001400000513");
  VARVE_ASSERT_OK_AND_ASSIGN(const SparseOffsetIndex index, SparseOffsetIndex::Open(fs_, path, 100));
  EXPECT_EQ(index.base_offset(), 100);
  EXPECT_EQ(index.entry_count(), 2u);
  EXPECT_EQ(index.Floor(119), (OffsetPosition{113, 727}));
}

TEST_F(IndexOpenTest, MappingOutlivesTheNameAndTheFirstCopy) {
  const std::string path = Write("0.index", "0000000d000002d7");
  std::optional<SparseOffsetIndex> first = *SparseOffsetIndex::Open(fs_, path, 0);
  const SparseOffsetIndex copy = *first;
  ASSERT_TRUE(std::filesystem::remove(path));
  first.reset();
  EXPECT_EQ(copy.entry(0), (OffsetPosition{13, 727}));
}

// A search that touched such a sector would end the process.
TEST_F(IndexOpenTest, ABadSectorIsAnError) {
  const std::string path = Write("0.index", "0000000d000002d7");
  FaultyFileSystem faulty(fs_);
  faulty.AddRule({.operation = FileOperation::kPopulate, .status = absl::InternalError("EIO")});
  EXPECT_THAT(SparseOffsetIndex::Open(&faulty, path, 0), StatusIs(absl::StatusCode::kInternal, HasSubstr("EIO")));
  faulty.AddRule({.operation = FileOperation::kPopulate, .status = absl::UnimplementedError("a kernel before 5.14")});
  VARVE_ASSERT_OK_AND_ASSIGN(const SparseOffsetIndex index, SparseOffsetIndex::Open(&faulty, path, 0));
  EXPECT_EQ(index.entry(0), (OffsetPosition{13, 727}));
}

TEST_F(IndexOpenTest, EmptyFilesAreEmptyIndexes) {
  const std::string path = Write("empty", "");
  VARVE_ASSERT_OK_AND_ASSIGN(const SparseOffsetIndex offsets, SparseOffsetIndex::Open(fs_, path, 7));
  EXPECT_EQ(offsets.entry_count(), 0u);
  EXPECT_EQ(offsets.Floor(9), (OffsetPosition{7, 0}));
  VARVE_EXPECT_OK(offsets.Check(0));
  VARVE_ASSERT_OK_AND_ASSIGN(const TimeIndex times, TimeIndex::Open(fs_, path, 7));
  EXPECT_EQ(times.Floor(9), (TimestampOffset{-1, 7}));
  VARVE_EXPECT_OK(times.Check(7));
  VARVE_ASSERT_OK_AND_ASSIGN(const TransactionIndex aborted, TransactionIndex::Open(fs_, path, 7));
  EXPECT_THAT(aborted.entries(), IsEmpty());
}

TEST_F(IndexOpenTest, ChecksNameTheFile) {
  const std::string offsets_path = Write("1.index", "0000000d000002d70000");
  VARVE_ASSERT_OK_AND_ASSIGN(const SparseOffsetIndex offsets, SparseOffsetIndex::Open(fs_, offsets_path, 0));
  EXPECT_THAT(offsets.Check(1000),
              StatusIs(absl::StatusCode::kDataLoss, AllOf(HasSubstr(offsets_path), HasSubstr("found 2 bytes"))));
  const std::string times_path = Write("1.timeindex", "0000018bcfe568f0000000050000018bcfe568f000000006");
  VARVE_ASSERT_OK_AND_ASSIGN(const TimeIndex times, TimeIndex::Open(fs_, times_path, 0));
  EXPECT_EQ(times.last_entry(), (TimestampOffset{0x18bcfe568f0, 6}));
  EXPECT_THAT(times.Check(1000),
              StatusIs(absl::StatusCode::kDataLoss, AllOf(HasSubstr(times_path), HasSubstr("entry 1 at byte 12"))));
}

TEST_F(IndexOpenTest, TransactionIndexIsRead) {
  const std::string path = Write("0.txnindex", "000000000000000003090000000000000028000000000000002a000000000000002b");
  VARVE_ASSERT_OK_AND_ASSIGN(const TransactionIndex index, TransactionIndex::Open(fs_, path, 0));
  EXPECT_THAT(index.entries(), ElementsAre(AbortedTransaction{777, 40, 42, 43}));
  EXPECT_THAT(TransactionIndex::Open(fs_, path, 43), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path)));
}

TEST_F(IndexOpenTest, MissingFilesAreNotFound) {
  EXPECT_THAT(SparseOffsetIndex::Open(fs_, Path("no.index"), 0), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(TimeIndex::Open(fs_, Path("no.timeindex"), 0), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(TransactionIndex::Open(fs_, Path("no.txnindex"), 0), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace varve
