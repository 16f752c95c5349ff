#include "record/batch_header.h"

#include "fmt/format.h"

namespace varve::internal {

std::string ExplainBatch(const std::byte* bytes, size_t available, uint64_t limit) {
  if (limit <= kHeaderToMagicBytes || available <= kHeaderToMagicBytes) {
    return fmt::format("a batch of at least {} bytes expected, {} bytes left", kHeaderToMagicBytes + 1, limit);
  }
  const auto length = LoadBigEndian<int32_t>(bytes + kLengthPosition);
  const auto magic = LoadBigEndian<int8_t>(bytes + kMagicPosition);
  if (length < kMinLengthAnyMagic) {
    return fmt::format("a batch length of at least {} expected, found {}", kMinLengthAnyMagic, length);
  }
  if (kLogOverheadBytes + static_cast<uint64_t>(length) > limit) {
    return fmt::format("a batch of {} bytes expected, {} bytes left", kLogOverheadBytes + static_cast<uint64_t>(length),
                       limit);
  }
  if (magic != kMagic) return fmt::format("magic {} expected, found {}", kMagic, magic);
  return fmt::format("a batch length of at least {} expected, found {}", kMinLength, length);
}

}  // namespace varve::internal
