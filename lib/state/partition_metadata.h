// partition.metadata: the id of the topic that a partition directory belongs to.
//
// Two lines without a line end behind the second, 43 bytes: "version: 0" and "topic_id: " with the 16 bytes of the id
// in URL-safe base64 of 22 characters. A reader takes any version from 0 on; the id of zeros is nobody's. A broker sets
// a directory aside whose id is not the one it expects. (Kafka: PartitionMetadataFile.)
//
// Thread rules: free functions.
#ifndef VARVE_LIB_STATE_PARTITION_METADATA_H_
#define VARVE_LIB_STATE_PARTITION_METADATA_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "varve/file_system.h"

namespace varve::internal {

inline constexpr char kPartitionMetadataFile[] = "partition.metadata";

using TopicId = std::array<uint8_t, 16>;

// 22 characters of URL-safe base64. kInvalidArgument for any other text, and for the id of zeros.
[[nodiscard]] absl::StatusOr<TopicId> ParseTopicId(std::string_view text);
[[nodiscard]] std::string FormatTopicId(const TopicId& topic_id);

// kDataLoss, naming the line, for anything that is not of this form; `path` is for messages.
[[nodiscard]] absl::StatusOr<TopicId> ParsePartitionMetadata(std::string_view path, std::string_view text);
[[nodiscard]] std::string FormatPartitionMetadata(const TopicId& topic_id);

// Errors: as ParsePartitionMetadata; kNotFound if there is no file; else as the file system.
[[nodiscard]] absl::StatusOr<TopicId> ReadPartitionMetadata(FileSystem* file_system, const std::string& path);

}  // namespace varve::internal

#endif  // VARVE_LIB_STATE_PARTITION_METADATA_H_
