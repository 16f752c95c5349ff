#include "segment/segment_files.h"

#include <array>
#include <charconv>
#include <cstddef>
#include <system_error>

#include "fmt/format.h"

namespace varve::internal {
namespace {

constexpr size_t kOffsetDigitCount = 20;

struct KindName {
  SegmentFileKind kind;
  std::string_view extension;
};
constexpr std::array<KindName, 5> kKinds = {{{SegmentFileKind::kLog, ".log"},
                                             {SegmentFileKind::kOffsetIndex, ".index"},
                                             {SegmentFileKind::kTimeIndex, ".timeindex"},
                                             {SegmentFileKind::kTransactionIndex, ".txnindex"},
                                             {SegmentFileKind::kSnapshot, ".snapshot"}}};

struct SuffixName {
  SegmentFileSuffix suffix;
  std::string_view text;
};
constexpr std::array<SuffixName, 4> kSuffixes = {{{SegmentFileSuffix::kNone, ""},
                                                  {SegmentFileSuffix::kDeleted, ".deleted"},
                                                  {SegmentFileSuffix::kCleaned, ".cleaned"},
                                                  {SegmentFileSuffix::kSwap, ".swap"}}};

// Both tables are in the order of their enumeration, so that formatting is a subscript.
constexpr bool TablesAreInOrder() {
  for (size_t i = 0; i < kKinds.size(); ++i) {
    if (static_cast<size_t>(kKinds[i].kind) != i) return false;
  }
  for (size_t i = 0; i < kSuffixes.size(); ++i) {
    if (static_cast<size_t>(kSuffixes[i].suffix) != i) return false;
  }
  return true;
}
static_assert(TablesAreInOrder());

// Exactly 20 digits that fit into an offset. No sign can slip in, as from_chars would take one: the first character of
// 20 that fit into 63 bits is a zero.
std::optional<int64_t> ParseBaseOffset(std::string_view digits) {
  if (digits.front() != '0') return std::nullopt;
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  if (value > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
  return static_cast<int64_t>(value);
}

}  // namespace

std::string SegmentFileName(int64_t base_offset, SegmentFileKind kind, SegmentFileSuffix suffix) {
  return fmt::format("{:020d}{}{}", base_offset, kKinds[static_cast<size_t>(kind)].extension,
                     kSuffixes[static_cast<size_t>(suffix)].text);
}

std::optional<ParsedSegmentFile> ParseSegmentFileName(std::string_view name) {
  if (name.size() <= kOffsetDigitCount) return std::nullopt;
  const std::optional<int64_t> base_offset = ParseBaseOffset(name.substr(0, kOffsetDigitCount));
  if (!base_offset.has_value()) return std::nullopt;
  const std::string_view rest = name.substr(kOffsetDigitCount);
  for (const KindName& kind : kKinds) {
    if (!rest.starts_with(kind.extension)) continue;
    for (const SuffixName& suffix : kSuffixes) {
      if (rest.substr(kind.extension.size()) == suffix.text) {
        return ParsedSegmentFile{.base_offset = *base_offset, .kind = kind.kind, .suffix = suffix.suffix};
      }
    }
  }
  return std::nullopt;
}

}  // namespace varve::internal
