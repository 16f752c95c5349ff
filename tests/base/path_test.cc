#include "base/path.h"

#include "gtest/gtest.h"

namespace varve::internal {
namespace {

TEST(Path, JoinPutsOneSlashBetween) {
  EXPECT_EQ(JoinPath("orders-0", "00000000000000000000.log"), "orders-0/00000000000000000000.log");
  EXPECT_EQ(JoinPath("orders-0/", "a"), "orders-0/a");
  EXPECT_EQ(JoinPath("/", "a"), "/a");
  EXPECT_EQ(JoinPath("", "a"), "a");
}

TEST(Path, ParentIsTheDirectoryToSync) {
  EXPECT_EQ(ParentDirectory("a/b"), "a");
  EXPECT_EQ(ParentDirectory("/a/b"), "/a");
  EXPECT_EQ(ParentDirectory("a//b"), "a");
  EXPECT_EQ(ParentDirectory("a/b/"), "a");
  EXPECT_EQ(ParentDirectory("b"), ".");
  EXPECT_EQ(ParentDirectory("b/"), ".");
  EXPECT_EQ(ParentDirectory("/b"), "/");
  EXPECT_EQ(ParentDirectory("/"), "/");
  EXPECT_EQ(ParentDirectory(""), ".");
}

TEST(Path, BaseNameIsTheLastComponent) {
  EXPECT_EQ(BaseName("a/b"), "b");
  EXPECT_EQ(BaseName("a/b/"), "b");
  EXPECT_EQ(BaseName("b"), "b");
  EXPECT_EQ(BaseName("/b"), "b");
  EXPECT_EQ(BaseName("/"), "/");
  EXPECT_EQ(BaseName(""), "");
}

TEST(Path, ComponentsAreTheNamesFromTheRootOn) {
  EXPECT_EQ(PathComponents("/a//./b/"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(PathComponents("./a/.."), (std::vector<std::string>{"a", ".."}));
  EXPECT_EQ(PathComponents("/"), std::vector<std::string>());
  EXPECT_EQ(PathComponents("."), std::vector<std::string>());
  EXPECT_EQ(PathComponents(""), std::vector<std::string>());
}

}  // namespace
}  // namespace varve::internal
