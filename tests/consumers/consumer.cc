// A user's program: exit status 0 if the library it was linked with answers.
#include "varve/errors.h"

int main() {
  const absl::Status status =
      varve::WithKafkaError(absl::OutOfRangeError("offset 7"), varve::KafkaError::kOffsetOutOfRange);
  return varve::KafkaErrorOf(status) == varve::KafkaError::kOffsetOutOfRange ? 0 : 1;
}
