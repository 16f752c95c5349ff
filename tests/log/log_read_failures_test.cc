// Each call that a reader makes fails in its turn: it says so, or answers as ever, and its next try does. Some segments are
// damaged and nobody has read them yet, so that a reader is the first to judge them.
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/path.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "log/log_places.h"
#include "segment/segment_files.h"
#include "support/status_matchers.h"
#include "varve/log.h"
#include "varve/log_reader.h"
#include "varve/testing/faulty_file_system.h"

namespace varve {
namespace {

using testing_support::AppendMany;
using testing_support::LogTest;

constexpr int64_t kRecords = 40;

// What a reader answers, as text.
using Question = std::function<absl::StatusOr<std::string>(LogReader*)>;

Question FindAt(int64_t offset) {
  return [offset](LogReader* reader) -> absl::StatusOr<std::string> {
    const auto found = reader->Find(offset, Isolation::kLogEnd);
    if (!found.ok()) return found.status();
    return found->has_value() ? absl::StrCat((*found)->segment, " at ", (*found)->position) : "none";
  };
}

Question ReadAt(int64_t offset, Isolation isolation) {
  return [offset, isolation](LogReader* reader) -> absl::StatusOr<std::string> {
    const auto range = reader->Read(offset, {.max_bytes = 1 << 20, .isolation = isolation});
    if (!range.ok()) return range.status();
    return absl::StrCat(range->View().size(), " bytes up to ", range->next_offset());
  };
}

Question TimeOf(int64_t timestamp_ms) {
  return [timestamp_ms](LogReader* reader) -> absl::StatusOr<std::string> {
    const auto found = reader->OffsetForTimestamp(timestamp_ms);
    if (!found.ok()) return found.status();
    return found->has_value() ? absl::StrCat((*found)->timestamp_ms, " at ", (*found)->offset) : "none";
  };
}

class LogReadFailuresTest : public LogTest {
 protected:
  // Closed; the magic of a batch in the second segment and the base offset of one in the third are wrong.
  void SetUp() override {
    options_.io_mode = IoMode::kWrite;
    std::vector<LogSegmentInfo> segments;
    std::vector<OffsetLookup> places;
    {
      const auto log = Open();
      AppendMany(log.get(), kRecords);
      segments = log->segments();
      ASSERT_GT(segments.size(), 4u);
      for (const size_t index : {size_t{1}, size_t{2}}) {
        VARVE_ASSERT_OK_AND_ASSIGN(const auto found,
                                   log->NewReader().Find(segments[index].base_offset + 2, Isolation::kLogEnd));
        places.push_back(*found);
      }
      VARVE_ASSERT_OK(log->Close());
    }
    for (size_t index = 0; index < places.size(); ++index) {
      const std::string path = internal::JoinPath(
          directory_, internal::SegmentFileName(places[index].segment, internal::SegmentFileKind::kLog));
      VARVE_ASSERT_OK_AND_ASSIGN(const auto file, memory_.Open(path, OpenMode::kReadWrite));
      const std::byte wrong{0x40};
      VARVE_ASSERT_OK(
          file->WriteAt(static_cast<uint64_t>(places[index].position) + (index == 0 ? 16 : 6), {&wrong, 1}));
    }
    damaged_ = {places[0].base_offset, places[1].base_offset};
  }

  std::vector<int64_t> damaged_;
};

TEST_F(LogReadFailuresTest, ACallThatFailsIsToldOfAndTheNextTryAnswers) {
  std::vector<Question> questions = {TimeOf(1'000'000 + kRecords / 2), TimeOf(kMaxTimestamp), TimeOf(1'000'000)};
  for (const int64_t damaged : damaged_) {
    for (const int64_t offset : {damaged - 1, damaged, damaged + 1}) {
      questions.push_back(FindAt(offset));
      questions.push_back(ReadAt(offset, Isolation::kLogEnd));
      questions.push_back(ReadAt(offset, Isolation::kCommitted));
      questions.push_back(TimeOf(1'000'000 + offset));
    }
  }
  for (size_t number = 0; number < questions.size(); ++number) {
    const auto undisturbed = memory_.CloneAfterProcessDeath();
    options_.file_system = undisturbed.get();
    const auto whole = Open();
    LogReader reader = whole->NewReader();
    const absl::StatusOr<std::string> expected = questions[number](&reader);
    for (uint64_t nth = 1;; ++nth) {
      SCOPED_TRACE(::testing::Message() << "question " << number << ", call " << nth);
      const auto disk = memory_.CloneAfterProcessDeath();
      FaultyFileSystem faulty(disk.get());
      options_.file_system = &faulty;
      const auto log = Open();
      const size_t rule = faulty.AddRule({.nth = nth, .status = absl::ResourceExhaustedError("too many open files")});
      LogReader disturbed = log->NewReader();
      const absl::StatusOr<std::string> answer = questions[number](&disturbed);
      const bool fired = faulty.faults_fired(rule) > 0;
      if (!fired || !absl::IsResourceExhausted(answer.status())) {
        ASSERT_EQ(answer.status().code(), expected.status().code()) << answer.status();
        ASSERT_EQ(answer.value_or(""), expected.value_or(""));
      }
      const absl::StatusOr<std::string> again = questions[number](&disturbed);
      ASSERT_EQ(again.status().code(), expected.status().code()) << again.status();
      ASSERT_EQ(again.value_or(""), expected.value_or(""));
      if (!fired) break;
    }
  }
}

}  // namespace
}  // namespace varve
