// OwnedDescriptor: the owner of one open descriptor of the system.
#ifndef VARVE_LIB_IO_OWNED_DESCRIPTOR_H_
#define VARVE_LIB_IO_OWNED_DESCRIPTOR_H_

#include <unistd.h>

#include <cerrno>
#include <utility>

namespace varve::internal {

class OwnedDescriptor {
 public:
  explicit OwnedDescriptor(int number) : number_(number) {}
  // close() reports nothing that a caller could use: bytes whose loss matters were synced, with an answer, before.
  ~OwnedDescriptor() {
    if (number_ >= 0) ::close(number_);
  }
  OwnedDescriptor(OwnedDescriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  OwnedDescriptor& operator=(OwnedDescriptor&&) = delete;

  [[nodiscard]] int number() const { return number_; }
  [[nodiscard]] bool valid() const { return number_ >= 0; }

 private:
  int number_;
};

// Calls again while a signal interrupts: `call` answers -1 with EINTR in errno.
template <typename Call>
auto RetryInterrupted(Call call) {
  auto result = call();
  while (result == -1 && errno == EINTR) result = call();
  return result;
}

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_OWNED_DESCRIPTOR_H_
