// SharedMemory: an object that a process shares with its children, and that outlives them.
#ifndef VARVE_TESTS_FILE_SYSTEMS_SHARED_MEMORY_H_
#define VARVE_TESTS_FILE_SYSTEMS_SHARED_MEMORY_H_

#include <sys/mman.h>

#include <cerrno>
#include <new>
#include <system_error>

namespace varve::testing_support {

// The destructor of T is not called.
template <typename T>
class SharedMemory {
 public:
  SharedMemory() {
    void* const memory =
        ::mmap(nullptr, sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    object_ = new (memory) T;
  }
  ~SharedMemory() { ::munmap(object_, sizeof(T)); }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }

 private:
  T* object_;
};

}  // namespace varve::testing_support

#endif  // VARVE_TESTS_FILE_SYSTEMS_SHARED_MEMORY_H_
