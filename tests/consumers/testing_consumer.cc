// A user's test: exit status 0 if bytes that were never synced are gone after a crash of varve::testing's file system.
#include <span>
#include <string_view>

#include "varve/testing/memory_file_system.h"

int main() {
  varve::MemoryFileSystem file_system;
  absl::StatusOr<std::unique_ptr<varve::File>> file = file_system.Open("journal", varve::OpenMode::kCreate);
  if (!file.ok()) return 1;
  const std::string_view text = "synced, and not";
  const std::span<const std::byte> bytes = std::as_bytes(std::span(text));
  if (!(*file)->WriteAt(0, bytes.first(6)).ok() || !(*file)->SyncData().ok()) return 1;
  if (!file_system.SyncDirectory("/").ok() || !(*file)->WriteAt(6, bytes.subspan(6)).ok()) return 1;

  const auto after = file_system.CloneAfterCrash({.mode = varve::CrashMode::kLoseAllUnsynced});
  const absl::StatusOr<varve::FileInfo> info = after->Info("journal");
  return info.ok() && info->size == 6 ? 0 : 1;
}
