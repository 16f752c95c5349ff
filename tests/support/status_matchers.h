// Matchers for absl::Status and absl::StatusOr, which Abseil 20220623 does not have.
//
//   EXPECT_THAT(fs->Remove("absent"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
//   EXPECT_THAT(file->Size(), IsOkAndHolds(Eq(12u)));
//   VARVE_ASSERT_OK_AND_ASSIGN(auto file, fs->Open(path, OpenMode::kRead));
#ifndef VARVE_TESTS_SUPPORT_STATUS_MATCHERS_H_
#define VARVE_TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace varve::testing_support {

inline const absl::Status& StatusOf(const absl::Status& status) { return status; }

template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// The status is OK; works for a Status and a StatusOr.
MATCHER(IsOk, negation ? "is not OK" : "is OK") {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).ok();
}

// The status has this code.
MATCHER_P(StatusIs, code, absl::StrCat(negation ? "has not" : "has", " the code ", absl::StatusCodeToString(code))) {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code;
}

// The status has this code and a message (a std::string) that matches.
MATCHER_P2(StatusIs, code, message,
           absl::StrCat(negation ? "has not" : "has", " the code ", absl::StatusCodeToString(code),
                        " and a message that ", ::testing::DescribeMatcher<std::string>(message, false))) {
  *result_listener << StatusOf(arg).ToString();
  return StatusOf(arg).code() == code &&
         ::testing::Value(std::string(StatusOf(arg).message()), ::testing::Matcher<std::string>(message));
}

// The StatusOr is OK and its value matches.
MATCHER_P(IsOkAndHolds, value, negation ? "is an error or holds another value" : "is OK and holds the value") {
  if (!arg.ok()) {
    *result_listener << arg.status().ToString();
    return false;
  }
  return ::testing::ExplainMatchResult(value, *arg, result_listener);
}

}  // namespace varve::testing_support

#define VARVE_ASSERT_OK(expression) ASSERT_THAT(expression, ::varve::testing_support::IsOk())
#define VARVE_EXPECT_OK(expression) EXPECT_THAT(expression, ::varve::testing_support::IsOk())

#define VARVE_TEST_CONCAT_(a, b) a##b
#define VARVE_TEST_NAME_(a, b) VARVE_TEST_CONCAT_(a, b)
// Declares or assigns `target` from a StatusOr, or fails the test and returns from it.
#define VARVE_ASSERT_OK_AND_ASSIGN(target, expression) \
  VARVE_ASSERT_OK_AND_ASSIGN_(VARVE_TEST_NAME_(varve_test_result_, __LINE__), target, expression)
#define VARVE_ASSERT_OK_AND_ASSIGN_(temporary, target, expression) \
  auto temporary = (expression);                                   \
  ASSERT_TRUE(temporary.ok()) << temporary.status().ToString();    \
  target = *std::move(temporary)

#endif  // VARVE_TESTS_SUPPORT_STATUS_MATCHERS_H_
