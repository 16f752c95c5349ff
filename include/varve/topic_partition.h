// TopicPartition: a partition's name, and the name of its directory.
//
// A replica lives in a directory TOPIC-N. Kafka also keeps TOPIC-N.UNIQUE-future (being copied from another disk),
// TOPIC-N.UNIQUE-delete (to be removed) and TOPIC-N.UNIQUE-stray (found, but not assigned), where UNIQUE is 32
// hexadecimal digits and the topic of the last two may be cut short. (Kafka: LocalLog.parseTopicPartitionName, Topic.)
//
// Thread rules: values and free functions.
//
//   absl::StatusOr<varve::TopicPartition> partition = varve::ParseTopicPartition("orders-eu-3");  // topic orders-eu
#ifndef VARVE_TOPIC_PARTITION_H_
#define VARVE_TOPIC_PARTITION_H_

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace varve {

struct TopicPartition {
  std::string topic;
  int32_t partition = 0;

  // The name of its live directory.
  [[nodiscard]] std::string DirectoryName() const { return topic + "-" + std::to_string(partition); }

  friend bool operator==(const TopicPartition&, const TopicPartition&) = default;
  friend auto operator<=>(const TopicPartition&, const TopicPartition&) = default;
};

// kInvalidArgument unless `topic` may name a topic: 1 to 249 of the characters a-z A-Z 0-9 . _ -, and neither "." nor
// "..". Topics that differ only by "." against "_" collide in Kafka's metrics; that is for the creator of topics to
// refuse.
[[nodiscard]] absl::Status CheckTopicName(std::string_view topic);

// The partition a directory belongs to, live or with one of the three suffixes. The topic is what stands before
// the last "-" and is taken as it is; what follows must be a decimal number up to 2^31-1. kInvalidArgument for any other name.
[[nodiscard]] absl::StatusOr<TopicPartition> ParseTopicPartition(std::string_view directory_name);

// The partition whose live directory has just this name. Absent for any other name: what lies beside the partitions tells
// nothing of a copy on its way in or out, though its name speaks of the same partition.
[[nodiscard]] std::optional<TopicPartition> LivePartitionOf(std::string_view directory_name);

}  // namespace varve

#endif  // VARVE_TOPIC_PARTITION_H_
