#include "driver/sizes.h"

#include <array>

namespace varve::bench {

namespace {

struct Name {
  const char* name;
  int64_t Sizes::*size;
};

constexpr std::array kNames = {Name{"append_records", &Sizes::append_records},
                               Name{"append_bytes", &Sizes::append_bytes},
                               Name{"sustained_bytes", &Sizes::sustained_bytes},
                               Name{"trickle_records", &Sizes::trickle_records},
                               Name{"durable_appends", &Sizes::durable_appends},
                               Name{"shared_appends", &Sizes::shared_appends},
                               Name{"log_bytes", &Sizes::log_bytes},
                               Name{"lookups", &Sizes::lookups},
                               Name{"codec_bytes", &Sizes::codec_bytes},
                               Name{"segments", &Sizes::segments},
                               Name{"hand_overs", &Sizes::hand_overs},
                               Name{"growth_bytes", &Sizes::growth_bytes},
                               Name{"open_logs", &Sizes::open_logs}};

}  // namespace

Sizes Sizes::Full() {
  Sizes sizes;
  sizes.append_records = 2'000'000;
  sizes.append_bytes = int64_t{1} << 30;
  sizes.sustained_bytes = int64_t{8} << 30;
  sizes.trickle_records = 3'000;
  sizes.durable_appends = 10'000;
  sizes.shared_appends = 200'000;
  sizes.log_bytes = int64_t{1} << 30;
  sizes.lookups = 1'000'000;
  sizes.codec_bytes = 64 << 20;
  sizes.segments = 10'000;
  sizes.hand_overs = 500'000;
  sizes.growth_bytes = int64_t{16} << 30;
  sizes.open_logs = 10'000;
  return sizes;
}

Sizes Sizes::Tiny() {
  Sizes sizes;
  sizes.append_records = 2'000;
  sizes.append_bytes = 4 << 20;
  sizes.sustained_bytes = 1 << 20;
  sizes.trickle_records = 3;
  sizes.durable_appends = 20;
  sizes.shared_appends = 2'048;
  sizes.log_bytes = 1 << 20;
  sizes.lookups = 1'000;
  sizes.codec_bytes = 1 << 20;
  sizes.segments = 20;
  sizes.hand_overs = 200;
  sizes.growth_bytes = 4 << 20;
  sizes.open_logs = 10;
  return sizes;
}

bool Sizes::Set(const std::string& name, int64_t value) {
  if (value <= 0) return false;
  for (const Name& one : kNames) {
    if (one.name != name) continue;
    this->*one.size = value;
    return true;
  }
  return false;
}

std::vector<std::pair<std::string, int64_t>> Sizes::All() const {
  std::vector<std::pair<std::string, int64_t>> all;
  for (const Name& one : kNames) all.emplace_back(one.name, this->*one.size);
  return all;
}

}  // namespace varve::bench
