#include "driver/failure.h"

#include <cstdio>
#include <cstdlib>

namespace varve::bench {

void Fail(const std::string& what) {
  std::fprintf(stderr, "varve_bench: %s\n", what.c_str());
  std::_Exit(3);
}

void FailWith(const absl::Status& status) { Fail(status.ToString()); }

void FailWronglyAnswered(const char* what) { Fail(std::string("wrong answer: ").append(what)); }

}  // namespace varve::bench
