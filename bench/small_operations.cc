// What appends and reads are made of, each by itself and from warm caches: checksums, building and decoding batches,
// searching indexes. The whole works beside their limits: bench/driver.
//
//   build/bench/small_operations --benchmark_repetitions=5 --benchmark_enable_random_interleaving=true
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "varve/record_batch.h"
#include "varve/sparse_offset_index.h"
#include "varve/time_index.h"

namespace {

constexpr int64_t kTimestampMs = 1'700'000'000'000;

// One batch of records of 8 bytes of key and 100 of value.
std::vector<std::byte> Batch(int64_t records) {
  const std::string value(100, 'v');
  varve::RecordBatchBuilder builder;
  for (int64_t number = 0; number < records; ++number) {
    const varve::Record record{.key = "12345678", .value = value, .timestamp_ms = kTimestampMs + number};
    if (!builder.Add(record).ok()) return {};
  }
  const auto batch = builder.Build();
  return batch.ok() ? std::vector<std::byte>(batch->begin(), batch->end()) : std::vector<std::byte>();
}

void SetBytes(benchmark::State& state, size_t bytes) {
  state.SetBytesProcessed(state.iterations() * static_cast<int64_t>(bytes));
}

void BM_Checksum(benchmark::State& state) {
  const std::vector<std::byte> bytes = Batch(state.range(0));
  const varve::RecordBatchView batch(bytes);
  for (auto _ : state) {
    if (!batch.CrcMatches()) state.SkipWithError("a checksum does not match");
  }
  SetBytes(state, bytes.size());
}
BENCHMARK(BM_Checksum)->ArgName("records")->Arg(1)->Arg(10)->Arg(100)->Arg(10'000);

void BM_BuildBatch(benchmark::State& state) {
  const std::string value(100, 'v');
  const varve::Record record{.key = "12345678", .value = value, .timestamp_ms = kTimestampMs};
  varve::RecordBatchBuilder builder;
  size_t bytes = 0;
  for (auto _ : state) {
    builder.Reset();
    for (int64_t number = 0; number < state.range(0); ++number) {
      if (!builder.Add(record).ok()) state.SkipWithError("a record was refused");
    }
    const auto batch = builder.Build();
    if (!batch.ok()) state.SkipWithError("a batch was refused");
    benchmark::DoNotOptimize(bytes = batch->size());
  }
  SetBytes(state, bytes);
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_BuildBatch)->ArgName("records")->Arg(1)->Arg(100)->Arg(10'000);

// Varints and all; keys and values stay where they are.
void BM_DecodeRecords(benchmark::State& state) {
  const std::vector<std::byte> bytes = Batch(state.range(0));
  for (auto _ : state) {
    varve::RecordCursor cursor(varve::RecordBatchView(bytes), nullptr);
    int64_t records = 0;
    for (varve::RecordView record; cursor.Next(&record); ++records) benchmark::DoNotOptimize(record);
    if (records != state.range(0)) state.SkipWithError("records are missing");
  }
  SetBytes(state, bytes.size());
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_DecodeRecords)->ArgName("records")->Arg(1)->Arg(100)->Arg(10'000);

// As a reader walks from one header to the next.
void BM_WalkBatches(benchmark::State& state) {
  constexpr int kBatches = 100;
  const std::vector<std::byte> one = Batch(state.range(0));
  std::vector<std::byte> all;
  for (int number = 0; number < kBatches; ++number) all.insert(all.end(), one.begin(), one.end());
  for (auto _ : state) {
    std::span<const std::byte> rest(all);
    int batches = 0;
    for (varve::RecordBatchView batch; varve::NextBatch(&rest, &batch); ++batches) benchmark::DoNotOptimize(batch);
    if (batches != kBatches) state.SkipWithError("batches are missing");
  }
  state.SetItemsProcessed(state.iterations() * kBatches);
}
BENCHMARK(BM_WalkBatches)->ArgName("records")->Arg(1)->Arg(100);

// An index with an entry for each 4 KiB, of 25 records, of so much log.
constexpr int64_t kEntryRecords = 25;
constexpr int64_t kEntryBytes = 4096;

template <typename Builder, typename Append>
std::vector<std::byte> Entries(int64_t count, size_t entry_bytes, Append append) {
  Builder builder(0, count * static_cast<int64_t>(entry_bytes) + static_cast<int64_t>(entry_bytes));
  for (int64_t number = 1; number <= count; ++number) append(&builder, number);
  std::vector<std::byte> bytes(builder.entry_count() * entry_bytes);
  builder.CopyTo(0, builder.entry_count(), bytes.data());
  return bytes;
}

void BM_OffsetIndexFloor(benchmark::State& state) {
  const int64_t count = state.range(0);
  const auto bytes = Entries<varve::SparseOffsetIndexBuilder>(
      count, varve::SparseOffsetIndex::kEntryBytes, [&](varve::SparseOffsetIndexBuilder* builder, int64_t number) {
        if (!builder->Append(number * kEntryRecords, number * kEntryBytes).ok()) state.SkipWithError("refused");
      });
  const varve::SparseOffsetIndex index(0, bytes);
  std::mt19937_64 random(1);
  for (auto _ : state) {
    const auto entry = static_cast<int64_t>(random() % static_cast<uint64_t>(count)) + 1;
    if (index.Floor(entry * kEntryRecords + 1).position != entry * kEntryBytes) state.SkipWithError("another entry");
  }
}
BENCHMARK(BM_OffsetIndexFloor)->ArgName("entries")->Arg(1'000)->Arg(262'144);

void BM_TimeIndexFloor(benchmark::State& state) {
  const int64_t count = state.range(0);
  const auto bytes = Entries<varve::TimeIndexBuilder>(count, varve::TimeIndex::kEntryBytes,
                                                      [&](varve::TimeIndexBuilder* builder, int64_t number) {
                                                        const int64_t offset = number * kEntryRecords;
                                                        if (!builder->MaybeAppend(kTimestampMs + offset, offset).ok())
                                                          state.SkipWithError("refused");
                                                      });
  const varve::TimeIndex index(0, bytes);
  std::mt19937_64 random(1);
  for (auto _ : state) {
    const auto entry = static_cast<int64_t>(random() % static_cast<uint64_t>(count)) + 1;
    const int64_t offset = entry * kEntryRecords;
    if (index.Floor(kTimestampMs + offset + 1).offset != offset) state.SkipWithError("another entry");
  }
}
BENCHMARK(BM_TimeIndexFloor)->ArgName("entries")->Arg(1'000)->Arg(262'144);

}  // namespace
