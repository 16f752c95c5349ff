#include "log/partition_fixture.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>

#include "base/bytes.h"
#include "base/path.h"
#include "gtest/gtest.h"
#include "record/batch_header.h"
#include "segment/segment_files.h"
#include "support/status_matchers.h"

namespace varve::testing_support {

using internal::AsBytes;
using internal::AsText;
using internal::JoinPath;
using internal::SegmentFileKind;
using internal::SegmentFileName;
using internal::StoreBigEndian;

std::string BatchBytes(const TestBatch& batch) {
  RecordBatchBuilder builder({.base_offset = batch.base_offset, .leader_epoch = batch.leader_epoch});
  for (int32_t i = 0; i < batch.record_count; ++i) {
    Record record{.value = batch.value, .timestamp_ms = batch.timestamp_ms + i};
    if (batch.header.has_value()) record.headers = std::span<const Header>(&*batch.header, 1);
    EXPECT_THAT(builder.Add(record), IsOk());
  }
  const absl::StatusOr<std::span<const std::byte>> bytes = builder.Build();
  EXPECT_THAT(bytes, IsOk());
  return std::string(AsText(*bytes));
}

std::string BatchesBytes(int64_t first_offset, int64_t end_offset, int32_t leader_epoch) {
  std::string bytes;
  for (int64_t offset = first_offset; offset < end_offset; ++offset) {
    bytes +=
        BatchBytes({.base_offset = offset, .leader_epoch = leader_epoch, .timestamp_ms = 1'700'000'000'000 + offset});
  }
  return bytes;
}

namespace {

// CRC-32 as IEEE 802.3 has it, bit by bit: what messages of magic 0 and 1 carry.
uint32_t Crc32(std::string_view bytes) {
  constexpr uint32_t kPolynomial = 0xEDB88320;
  uint32_t crc = ~uint32_t{0};
  for (const char c : bytes) {
    crc ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
  }
  return ~crc;
}

template <typename Integer>
std::string BigEndian(Integer value) {
  std::string bytes(sizeof(value), '\0');
  StoreBigEndian(std::as_writable_bytes(std::span(bytes)).data(), value);
  return bytes;
}

}  // namespace

std::string LegacyMessage(int8_t magic, int64_t offset, std::string_view value) {
  std::string body = BigEndian(magic) + BigEndian(int8_t{0});
  if (magic == 1) body += BigEndian(int64_t{1'700'000'000'000});
  body += BigEndian(int32_t{-1}) + BigEndian(static_cast<int32_t>(value.size())) + std::string(value);
  return BigEndian(offset) + BigEndian(static_cast<int32_t>(body.size() + 4)) + BigEndian(Crc32(body)) + body;
}

void WriteFile(FileSystem* file_system, const std::string& path, std::string_view content) {
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file, file_system->Open(path, OpenMode::kTruncate));
  ASSERT_THAT(file->WriteAt(0, AsBytes(content)), IsOk());
}

std::string ReadFile(FileSystem* file_system, const std::string& path) {
  const absl::StatusOr<std::unique_ptr<File>> file = file_system->Open(path, OpenMode::kRead);
  EXPECT_THAT(file, IsOk()) << path;
  if (!file.ok()) return {};
  std::string content(static_cast<size_t>((*file)->Size().value()), '\0');
  const absl::StatusOr<size_t> read =
      (*file)->ReadAt(0, std::as_writable_bytes(std::span(content.data(), content.size())));
  EXPECT_TRUE(read.ok() && *read == content.size()) << path;
  return content;
}

FileMap ReadFiles(FileSystem* file_system, const std::string& directory) {
  FileMap files;
  const absl::StatusOr<std::vector<std::string>> names = file_system->List(directory);
  EXPECT_THAT(names, IsOk());
  if (!names.ok()) return files;
  for (const std::string& name : *names) files[name] = ReadFile(file_system, JoinPath(directory, name));
  return files;
}

FileMap ReadKafkaFiles(FileSystem* file_system, const std::string& directory) {
  FileMap files = ReadFiles(file_system, directory);
  std::erase_if(files, [](const auto& file) { return file.first.starts_with("varve."); });
  return files;
}

std::vector<std::string> SplitBatches(std::string_view log) {
  std::vector<std::string> batches;
  while (!log.empty()) {
    const size_t size_bytes = internal::DecodeBatchHeader(AsBytes(log).data()).size_bytes;
    if (log.size() < internal::kBatchHeaderBytes || size_bytes < internal::kBatchHeaderBytes ||
        size_bytes > log.size()) {
      ADD_FAILURE() << "no batch " << log.size() << " bytes before the end";
      break;
    }
    batches.emplace_back(log.substr(0, size_bytes));
    log.remove_prefix(size_bytes);
  }
  return batches;
}

std::vector<std::string> ServedBatches(FileSystem* file_system, const internal::LoadedLog& loaded) {
  std::vector<std::string> served;
  for (const internal::LoadedSegment& segment : loaded.segments) {
    const std::string name = SegmentFileName(segment.base_offset, SegmentFileKind::kLog);
    const std::string log = ReadFile(file_system, JoinPath(kDirectory, name));
    EXPECT_EQ(static_cast<int64_t>(log.size()), segment.size_bytes) << name;
    size_t position = 0;
    const auto serve_up_to = [&](size_t end) {
      for (std::string& batch : SplitBatches(std::string_view(log).substr(position, end - position))) {
        served.push_back(std::move(batch));
      }
    };
    for (const DamagedRange& range : segment.damage) {
      serve_up_to(static_cast<size_t>(range.position));
      position = static_cast<size_t>(range.position + range.bytes);
    }
    serve_up_to(log.size());
  }
  return served;
}

void SyncAll(FileSystem* file_system, const std::string& directory) {
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, file_system->List(directory));
  for (const std::string& name : names) {
    VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file,
                               file_system->Open(JoinPath(directory, name), OpenMode::kReadWrite));
    ASSERT_THAT(file->SyncData(), IsOk());
  }
  ASSERT_THAT(file_system->SyncDirectory(directory), IsOk());
}

Partition::Partition() : Partition(std::make_unique<MemoryFileSystem>()) {
  EXPECT_THAT(fs->CreateDirectory(kDirectory), IsOk());
  EXPECT_THAT(fs->SyncDirectory("."), IsOk());
}

Partition::Partition(std::unique_ptr<MemoryFileSystem> files) : fs(std::move(files)) {
  options.file_system = fs.get();
  options.clock = &clock;
  options.index_interval_bytes = 512;
}

absl::StatusOr<internal::LoadedLog> Partition::Load() { return internal::LoadLog(fs.get(), kDirectory, options); }

std::string Partition::LogPath(int64_t base_offset) const {
  return JoinPath(kDirectory, SegmentFileName(base_offset, SegmentFileKind::kLog));
}

std::string Partition::Log(int64_t base_offset) const { return ReadFile(fs.get(), LogPath(base_offset)); }

void Partition::AddSegment(int64_t base_offset, std::string_view log) {
  WriteFile(fs.get(), LogPath(base_offset), log);
  SyncAll(fs.get(), kDirectory);
}

void Partition::SetDurablePoint(int64_t segment, int64_t position, int64_t offset, bool survived, bool clean) {
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<internal::PartitionState> state,
                             internal::PartitionState::Open(fs.get(), kDirectory));
  internal::PartitionStateValues values = state->values();
  values.clean = clean;
  values.boot_id = survived ? fs->BootId() : "another boot";
  VARVE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> names, fs->List(kDirectory));
  for (const std::string& name : names) {
    if (!name.ends_with(".log")) continue;
    VARVE_ASSERT_OK_AND_ASSIGN(const FileInfo info, fs->Info(JoinPath(kDirectory, name)));
    values.active = info.identity;
  }
  values.durable = {.offset = offset, .segment = segment, .position = position};
  const std::string log = Log(segment);
  for (int64_t at = 0; at < position;) {
    const internal::BatchHeader header = internal::DecodeBatchHeader(AsBytes(log).data() + at);
    values.durable.batch_position = at;
    values.durable.batch_crc = header.crc;
    at += static_cast<int64_t>(header.size_bytes);
  }
  state->Store(values);
  ASSERT_THAT(state->Sync(), IsOk());
}

void Partition::FlipBit(const std::string& name, int64_t position, int bit) {
  const std::string path = JoinPath(kDirectory, name);
  std::string content = ReadFile(fs.get(), path);
  content.at(static_cast<size_t>(position)) ^= static_cast<char>(1 << bit);
  VARVE_ASSERT_OK_AND_ASSIGN(const std::unique_ptr<File> file, fs->Open(path, OpenMode::kReadWrite));
  ASSERT_THAT(file->WriteAt(0, AsBytes(content)), IsOk());
  ASSERT_THAT(file->SyncData(), IsOk());
}

namespace {

std::string ReadHostFile(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  EXPECT_TRUE(stream.good()) << path;
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::filesystem::path GoldenRoot() { return std::filesystem::path(VARVE_TEST_DATA) / "golden"; }

}  // namespace

std::vector<std::string> GoldenCaseNames() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(GoldenRoot())) {
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

GoldenCase LoadGoldenCase(const std::string& name) {
  GoldenCase golden{.name = name, .manifest = {}, .files = {}};
  golden.manifest = nlohmann::json::parse(ReadHostFile(GoldenRoot() / name / "manifest.json"));
  const std::filesystem::path partition = GoldenRoot() / name / golden.manifest["dir"].get<std::string>();
  for (const auto& entry : std::filesystem::directory_iterator(partition)) {
    golden.files[entry.path().filename().string()] = ReadHostFile(entry.path());
  }
  return golden;
}

void SetUpGolden(const GoldenCase& golden, Partition* partition) {
  for (const auto& [name, content] : golden.files) {
    WriteFile(partition->fs.get(), JoinPath(kDirectory, name), content);
  }
  SyncAll(partition->fs.get(), kDirectory);
  const nlohmann::json& open = golden.manifest["open"];
  partition->options.marks = {.clean = open["clean"].get<bool>(),
                              .recovery_point = open["recovery_point"].get<int64_t>(),
                              .log_start_offset = open["log_start_offset"].get<int64_t>()};
  const nlohmann::json& config = golden.manifest["config"];
  partition->options.index_interval_bytes = config.value("index.interval.bytes", int64_t{4096});
  partition->options.segment_index_bytes = config.value("segment.index.bytes", int64_t{10} << 20);
}

}  // namespace varve::testing_support
