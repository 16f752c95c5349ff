// A user's program: exit status 0 if the library it was linked with keeps records, with every codec that it
// has.
#include <string_view>

#include "varve/log.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  constexpr varve::Codec kCodecs[] = {varve::Codec::kNone, varve::Codec::kGzip, varve::Codec::kSnappy,
                                      varve::Codec::kLz4, varve::Codec::kZstd};
  absl::StatusOr<std::unique_ptr<varve::Log>> log = varve::Log::Open(argv[1]);
  if (!log.ok()) return 1;
  const int64_t begin = (*log)->log_end_offset();
  int64_t expected = 0;
  for (const varve::Codec codec : kCodecs) {
    const bool available = varve::CodecAvailable(codec);
    if ((*log)->Append({{.key = "k", .value = "v"}}, {.compression = codec}).ok() != available) return 1;
    expected += available ? 1 : 0;
  }
  int64_t found = 0;
  varve::LogScan scan = (*log)->Scan(begin);
  for (const varve::RecordView& record : scan) found += record.value() == std::string_view("v") ? 1 : 0;
  return scan.status().ok() && found == expected && (*log)->Close().ok() ? 0 : 1;
}
