#include "varve/errors.h"

#include <string>

#include "absl/strings/cord.h"
#include "base/status.h"

namespace varve {
namespace {

constexpr char kKafkaErrorPayload[] = "varve/kafka_error";
constexpr char kPoisonedPayload[] = "varve/poisoned";

}  // namespace

absl::Status WithKafkaError(absl::Status status, KafkaError error) {
  status.SetPayload(kKafkaErrorPayload, absl::Cord(std::to_string(static_cast<int16_t>(error))));
  return status;
}

std::optional<KafkaError> KafkaErrorOf(const absl::Status& status) {
  const auto payload = status.GetPayload(kKafkaErrorPayload);
  if (!payload.has_value()) return std::nullopt;
  return static_cast<KafkaError>(std::stoi(std::string(*payload)));
}

bool IsPoisoned(const absl::Status& status) { return status.GetPayload(kPoisonedPayload).has_value(); }

namespace internal {

absl::Status MarkPoisoned(absl::Status status) {
  status.SetPayload(kPoisonedPayload, absl::Cord("1"));
  return status;
}

absl::Status Annotate(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(
      status.code(),
      fmt::format("{}: {}", context, std::string_view(status.message().data(), status.message().size())));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) { annotated.SetPayload(url, payload); });
  return annotated;
}

}  // namespace internal
}  // namespace varve
