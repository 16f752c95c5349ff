// ForkMark: tells a process from its children by fork() without asking the kernel: one page that a child finds wiped.
#ifndef VARVE_LIB_IO_FORK_MARK_H_
#define VARVE_LIB_IO_FORK_MARK_H_

namespace varve::internal {

class ForkMark {
 public:
  ForkMark();
  ~ForkMark();
  ForkMark(const ForkMark&) = delete;
  ForkMark& operator=(const ForkMark&) = delete;

  // True in a child forked since the mark was made. Always false where the kernel offers no such page. Cost: one load.
  [[nodiscard]] bool IsInherited() const { return page_ != nullptr && *page_ == 0; }

 private:
  const volatile unsigned char* page_ = nullptr;
};

}  // namespace varve::internal

#endif  // VARVE_LIB_IO_FORK_MARK_H_
