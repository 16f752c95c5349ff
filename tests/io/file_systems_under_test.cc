#include "io/file_systems_under_test.h"

#include "support/temporary_directory.h"
#include "varve/overlay_file_system.h"
#include "varve/testing/faulty_file_system.h"
#include "varve/testing/memory_file_system.h"

namespace varve::testing_support {
namespace {

class PosixUnderTest : public FileSystemUnderTest {
 public:
  FileSystem* file_system() override { return FileSystem::Default(); }
  std::string root() override { return directory_.path(); }

 private:
  TemporaryDirectory directory_;
};

class MemoryUnderTest : public FileSystemUnderTest {
 public:
  MemoryUnderTest() { EXPECT_TRUE(memory_.CreateDirectory("data").ok()); }
  FileSystem* file_system() override { return &memory_; }
  std::string root() override { return "data"; }

 private:
  MemoryFileSystem memory_;
};

class MemoryWithoutAllocationUnderTest : public FileSystemUnderTest {
 public:
  FileSystem* file_system() override { return &memory_; }
  std::string root() override { return "/"; }

 private:
  MemoryFileSystem memory_{{.clock = nullptr, .allocation_is_promise = false}};
};

class FaultyUnderTest : public FileSystemUnderTest {
 public:
  FileSystem* file_system() override { return &faulty_; }
  std::string root() override { return "/"; }

 private:
  MemoryFileSystem memory_;
  FaultyFileSystem faulty_{&memory_};
};

template <typename Base>
class OverlayUnderTest : public FileSystemUnderTest {
 public:
  FileSystem* file_system() override { return &overlay_; }
  std::string root() override { return base_.root(); }

 private:
  Base base_;
  OverlayFileSystem overlay_{base_.file_system()};
};

template <typename T>
std::unique_ptr<FileSystemUnderTest> Make() {
  return std::make_unique<T>();
}

}  // namespace

std::vector<FileSystemKind> AllFileSystemKinds() {
  return {
      {.name = "Posix", .make = Make<PosixUnderTest>, .has_descriptors = true},
      {.name = "Memory", .make = Make<MemoryUnderTest>},
      {.name = "FaultyWithoutFaults", .make = Make<FaultyUnderTest>},
      {.name = "OverlayOverPosix", .make = Make<OverlayUnderTest<PosixUnderTest>>},
      {.name = "OverlayOverMemory", .make = Make<OverlayUnderTest<MemoryUnderTest>>},
      {.name = "OverlayWithoutAllocation", .make = Make<OverlayUnderTest<MemoryWithoutAllocationUnderTest>>},
      {.name = "MemoryWithoutAllocation", .make = Make<MemoryWithoutAllocationUnderTest>},
  };
}

}  // namespace varve::testing_support
