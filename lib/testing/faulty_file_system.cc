#include "varve/testing/faulty_file_system.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/status.h"
#include "testing/fault_rules.h"

namespace varve {
namespace {

using internal::Fault;
using internal::FaultRules;

bool Changes(FileOperation operation) {
  switch (operation) {
    case FileOperation::kWrite:
    case FileOperation::kTruncate:
    case FileOperation::kAllocate:
    case FileOperation::kSync:
    case FileOperation::kPopulate:
    case FileOperation::kCopy:
    case FileOperation::kRename:
    case FileOperation::kRemove:
    case FileOperation::kCreateDirectory:
    case FileOperation::kSyncDirectory:
      return true;
    case FileOperation::kOpen:
    case FileOperation::kRead:
    case FileOperation::kMap:
    case FileOperation::kSend:
    case FileOperation::kInfo:
    case FileOperation::kList:
    case FileOperation::kLock:
      break;
  }
  return false;
}

FileCall CallOf(FileOperation operation, std::string_view path, std::string_view other_path = {}) {
  return {.operation = operation, .path = path, .other_path = other_path, .changes = Changes(operation)};
}

// Carries `operation` out unless a rule makes it fail first, and answers what it answers unless a rule makes it fail
// afterwards.
template <typename Operation>
auto Guarded(FaultRules* rules, const FileCall& call, Operation operation) -> decltype(operation()) {
  std::optional<Fault> fault = rules->Next(call);
  if (!fault.has_value() || fault->status.ok()) return operation();
  if (fault->after_effect) {
    auto done = operation();
    if (!done.ok()) return done;
  }
  return std::move(fault->status);
}

template <typename Operation>
auto Guarded(FaultRules* rules, FileOperation kind, std::string_view path, Operation operation) {
  return Guarded(rules, CallOf(kind, path), std::move(operation));
}

class FaultyMapping : public Mapping {
 public:
  FaultyMapping(std::unique_ptr<Mapping> base, std::shared_ptr<FaultRules> rules, std::string path)
      : Mapping(base->data(), base->size()), base_(std::move(base)), rules_(std::move(rules)), path_(std::move(path)) {}

  absl::Status Populate(size_t begin, size_t length) override {
    return Guarded(rules_.get(), FileOperation::kPopulate, path_, [&] { return base_->Populate(begin, length); });
  }

 private:
  std::unique_ptr<Mapping> base_;
  std::shared_ptr<FaultRules> rules_;
  std::string path_;
};

class FaultyFile : public File {
 public:
  FaultyFile(std::unique_ptr<File> base, std::shared_ptr<FaultRules> rules)
      : base_(std::move(base)), rules_(std::move(rules)) {}

  absl::StatusOr<size_t> ReadAt(uint64_t position, std::span<std::byte> out) const override {
    const std::optional<Fault> fault = rules_->Next(CallOf(FileOperation::kRead, path()));
    if (!fault.has_value()) return base_->ReadAt(position, out);
    if (!fault->partial_bytes.has_value()) {
      if (fault->status.ok()) return base_->ReadAt(position, out);
      return fault->status;
    }
    const absl::StatusOr<size_t> count =
        base_->ReadAt(position, out.first(std::min(*fault->partial_bytes, out.size())));
    return fault->status.ok() ? count : fault->status;
  }

  absl::Status WriteAt(uint64_t position, std::span<const std::byte> bytes) override {
    const std::optional<Fault> fault = rules_->Next(CallOf(FileOperation::kWrite, path()));
    if (!fault.has_value() || fault->status.ok()) return base_->WriteAt(position, bytes);
    if (fault->after_effect) {
      VARVE_RETURN_IF_ERROR(base_->WriteAt(position, bytes));
    } else if (fault->partial_bytes.has_value()) {
      VARVE_RETURN_IF_ERROR(base_->WriteAt(position, bytes.first(std::min(*fault->partial_bytes, bytes.size()))));
    }
    return fault->status;
  }

  absl::StatusOr<uint64_t> Size() const override {
    return Guarded(rules_.get(), FileOperation::kInfo, path(), [&] { return base_->Size(); });
  }

  absl::Status Truncate(uint64_t size) override {
    return Guarded(rules_.get(), FileOperation::kTruncate, path(), [&] { return base_->Truncate(size); });
  }

  absl::Status Allocate(uint64_t position, uint64_t length) override {
    return Guarded(rules_.get(), FileOperation::kAllocate, path(), [&] { return base_->Allocate(position, length); });
  }

  absl::Status SyncData() override {
    return Guarded(rules_.get(), FileOperation::kSync, path(), [&] { return base_->SyncData(); });
  }

  void StartWriteOut(uint64_t position, uint64_t length) override { base_->StartWriteOut(position, length); }

  absl::StatusOr<std::unique_ptr<Mapping>> Map(uint64_t length, Access access) override {
    VARVE_ASSIGN_OR_RETURN(std::unique_ptr<Mapping> mapping, Guarded(rules_.get(), FileOperation::kMap, path(),
                                                                     [&] { return base_->Map(length, access); }));
    return std::make_unique<FaultyMapping>(std::move(mapping), rules_, path());
  }

  absl::Status CopyPrefixFrom(const File& source, uint64_t length) override {
    // The base may know a better way than reading, but only from a file of its own.
    const auto* const faulty = dynamic_cast<const FaultyFile*>(&source);
    return Guarded(rules_.get(), FileOperation::kCopy, path(),
                   [&] { return base_->CopyPrefixFrom(faulty != nullptr ? *faulty->base_ : source, length); });
  }

  absl::Status SendTo(int descriptor, uint64_t position, uint64_t length) const override {
    return Guarded(rules_.get(), FileOperation::kSend, path(),
                   [&] { return base_->SendTo(descriptor, position, length); });
  }

  absl::StatusOr<FileInfo> Info() const override {
    return Guarded(rules_.get(), FileOperation::kInfo, path(), [&] { return base_->Info(); });
  }

  int Descriptor() const override { return base_->Descriptor(); }
  const std::string& path() const override { return base_->path(); }

 private:
  std::unique_ptr<File> base_;
  std::shared_ptr<FaultRules> rules_;
};

}  // namespace

FaultyFileSystem::FaultyFileSystem(FileSystem* base) : base_(base), rules_(std::make_shared<FaultRules>()) {}

size_t FaultyFileSystem::AddRule(const FaultRule& rule) { return rules_->Add(rule); }

void FaultyFileSystem::ClearRules() { rules_->Clear(); }

void FaultyFileSystem::SetObserver(std::function<void(const FileCall&)> observer) {
  rules_->SetObserver(std::move(observer));
}

uint64_t FaultyFileSystem::operation_count(FileOperation operation) const { return rules_->operation_count(operation); }

uint64_t FaultyFileSystem::operation_count() const { return rules_->operation_count(); }

uint64_t FaultyFileSystem::faults_fired() const { return rules_->faults_fired(); }

uint64_t FaultyFileSystem::faults_fired(size_t rule) const { return rules_->faults_fired(rule); }

absl::StatusOr<std::unique_ptr<File>> FaultyFileSystem::Open(const std::string& path, OpenMode mode) {
  FileCall call = CallOf(FileOperation::kOpen, path);
  call.changes = mode == OpenMode::kCreate || mode == OpenMode::kTruncate;
  VARVE_ASSIGN_OR_RETURN(std::unique_ptr<File> file,
                         Guarded(rules_.get(), call, [&] { return base_->Open(path, mode); }));
  return std::make_unique<FaultyFile>(std::move(file), rules_);
}

absl::Status FaultyFileSystem::Rename(const std::string& from, const std::string& to) {
  return Guarded(rules_.get(), CallOf(FileOperation::kRename, from, to), [&] { return base_->Rename(from, to); });
}

absl::Status FaultyFileSystem::Remove(const std::string& path) {
  return Guarded(rules_.get(), FileOperation::kRemove, path, [&] { return base_->Remove(path); });
}

absl::Status FaultyFileSystem::CreateDirectory(const std::string& path) {
  return Guarded(rules_.get(), FileOperation::kCreateDirectory, path, [&] { return base_->CreateDirectory(path); });
}

absl::Status FaultyFileSystem::RemoveDirectory(const std::string& path) {
  return Guarded(rules_.get(), FileOperation::kRemove, path, [&] { return base_->RemoveDirectory(path); });
}

absl::StatusOr<std::vector<std::string>> FaultyFileSystem::List(const std::string& path) {
  return Guarded(rules_.get(), FileOperation::kList, path, [&] { return base_->List(path); });
}

absl::Status FaultyFileSystem::SyncDirectory(const std::string& path) {
  return Guarded(rules_.get(), FileOperation::kSyncDirectory, path, [&] { return base_->SyncDirectory(path); });
}

absl::StatusOr<FileInfo> FaultyFileSystem::Info(const std::string& path) {
  return Guarded(rules_.get(), FileOperation::kInfo, path, [&] { return base_->Info(path); });
}

absl::StatusOr<std::unique_ptr<FileLock>> FaultyFileSystem::Lock(const std::string& path, LockKind kind) {
  return Guarded(rules_.get(), FileOperation::kLock, path, [&] { return base_->Lock(path, kind); });
}

absl::StatusOr<bool> FaultyFileSystem::IsLocked(const std::string& path) {
  return Guarded(rules_.get(), FileOperation::kLock, path, [&] { return base_->IsLocked(path); });
}

std::string FaultyFileSystem::BootId() { return base_->BootId(); }

absl::StatusOr<bool> FaultyFileSystem::AllocationIsPromise(const std::string& directory) {
  return Guarded(rules_.get(), FileOperation::kInfo, directory, [&] { return base_->AllocationIsPromise(directory); });
}

}  // namespace varve
