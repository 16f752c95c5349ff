#include "log/segment_list.h"

#include <algorithm>
#include <utility>

#include "base/path.h"
#include "base/status.h"
#include "index/index_file.h"
#include "segment/segment_files.h"

namespace varve::internal {

void OpenSegmentCache::Add(const std::shared_ptr<SegmentHandle>& handle) {
  std::vector<std::shared_ptr<SegmentHandle>> released;  // let go outside the lock: unmapping takes time
  {
    const MutexLock lock(&mutex_);
    opened_.push_back(handle);
    while (opened_.size() > max_open_segments_) {
      if (std::shared_ptr<SegmentHandle> oldest = opened_.front().lock(); oldest != nullptr) {
        released.push_back(std::move(oldest));
      }
      opened_.pop_front();
    }
  }
  for (const std::shared_ptr<SegmentHandle>& oldest : released) oldest->Release();
}

SegmentHandle::SegmentHandle(std::shared_ptr<FileSystem> file_system, std::string directory, int64_t base_offset,
                             PublishedEnd end, std::vector<DamagedRange> damage,
                             std::shared_ptr<OpenSegmentCache> cache)
    : file_system_(std::move(file_system)),
      directory_(std::move(directory)),
      base_offset_(base_offset),
      cache_(std::move(cache)),
      end_(end),
      damage_(std::move(damage)),
      sealed_(true) {}

SegmentHandle::SegmentHandle(std::shared_ptr<FileSystem> file_system, std::string directory,
                             std::shared_ptr<const OpenSegment> open, std::shared_ptr<OpenSegmentCache> cache)
    : file_system_(std::move(file_system)),
      directory_(std::move(directory)),
      base_offset_(open->base_offset()),
      cache_(std::move(cache)),
      open_(std::move(open)),
      sealed_(false) {}

SegmentHandle::SegmentHandle(std::shared_ptr<FileSystem> file_system, std::string directory,
                             std::shared_ptr<const OpenSegment> open, std::shared_ptr<const TransactionIndex> aborted,
                             std::shared_ptr<OpenSegmentCache> cache)
    : file_system_(std::move(file_system)),
      directory_(std::move(directory)),
      base_offset_(open->base_offset()),
      cache_(std::move(cache)),
      open_(std::move(open)),
      sealed_(true),
      aborted_(std::move(aborted)) {}

PublishedEnd SegmentHandle::end() const {
  const MutexLock lock(&mutex_);
  return open_ != nullptr ? open_->published() : end_;
}

std::vector<DamagedRange> SegmentHandle::damage() const {
  const MutexLock lock(&mutex_);
  return open_ != nullptr ? open_->damage() : damage_;
}

std::vector<DamagedRange> SegmentHandle::lasting_damage() const {
  const MutexLock lock(&mutex_);
  return open_ != nullptr ? open_->lasting_damage() : damage_;
}

absl::StatusOr<std::shared_ptr<const OpenSegment>> SegmentHandle::Acquire() {
  std::shared_ptr<const OpenSegment> open;
  {
    const MutexLock lock(&mutex_);
    if (open_ != nullptr) return open_;
    VARVE_RETURN_IF_ERROR(CheckNames());
    VARVE_ASSIGN_OR_RETURN(open_, OpenSegment::OpenSealed(file_system_, directory_, base_offset_, end_, damage_));
    open = open_;
  }
  cache_->Add(shared_from_this());
  return open;
}

absl::StatusOr<TimestampOffset> SegmentHandle::LargestTimestamp() {
  const MutexLock lock(&mutex_);
  if (open_ != nullptr && open_->knows_largest_timestamp()) return open_->largest_timestamp();
  if (largest_timestamp_.has_value()) return *largest_timestamp_;
  VARVE_RETURN_IF_ERROR(CheckNames());
  VARVE_ASSIGN_OR_RETURN(
      const std::shared_ptr<const OpenSegment> open,
      OpenSegment::OpenSealed(file_system_, directory_, base_offset_, open_ != nullptr ? open_->published() : end_,
                              open_ != nullptr ? open_->lasting_damage() : damage_));
  VARVE_RETURN_IF_ERROR(
      Annotate(open->largest_timestamp_status(), fmt::format("{}: its largest timestamp is not known", open->path())));
  largest_timestamp_ = open->largest_timestamp();
  return *largest_timestamp_;
}

absl::StatusOr<std::shared_ptr<const TransactionIndex>> SegmentHandle::AbortedIndex() {
  const MutexLock lock(&mutex_);
  if (aborted_ != nullptr) return aborted_;
  VARVE_RETURN_IF_ERROR(CheckNames());
  const std::string path = JoinPath(directory_, SegmentFileName(base_offset_, SegmentFileKind::kTransactionIndex));
  absl::StatusOr<std::vector<std::byte>> bytes = ReadIndexFile(file_system_.get(), path);
  if (absl::IsNotFound(bytes.status())) bytes.emplace();
  VARVE_RETURN_IF_ERROR(bytes.status());
  bytes->resize(bytes->size() / TransactionIndex::kEntryBytes *
                TransactionIndex::kEntryBytes);  // one may be on its way
  VARVE_ASSIGN_OR_RETURN(TransactionIndex index, TransactionIndex::Parse(path, base_offset_, *bytes));
  auto read = std::make_shared<const TransactionIndex>(std::move(index));
  if (sealed_) aborted_ = read;
  return read;
}

void SegmentHandle::NoteFile() {
  const absl::StatusOr<FileInfo> info =
      file_system_->Info(JoinPath(directory_, SegmentFileName(base_offset_, SegmentFileKind::kLog)));
  const MutexLock lock(&mutex_);
  if (info.ok()) noted_ = info->identity;
}

bool SegmentHandle::IsExchanged() const {
  const MutexLock lock(&mutex_);
  if (!noted_.has_value()) return false;
  const absl::StatusOr<FileInfo> info =
      file_system_->Info(JoinPath(directory_, SegmentFileName(base_offset_, SegmentFileKind::kLog)));
  return info.ok() ? info->identity != *noted_ : absl::IsNotFound(info.status());
}

void SegmentHandle::Sealed() {
  {
    const MutexLock lock(&mutex_);
    sealed_ = true;
  }
  cache_->Add(shared_from_this());
}

void SegmentHandle::Retire() {
  const MutexLock lock(&mutex_);
  retired_ = true;
}

absl::Status SegmentHandle::CheckNames() const {
  if (!retired_) return absl::OkStatus();
  return Error(absl::StatusCode::kAborted, "{}: the segment at {} was replaced", directory_, base_offset_);
}

void SegmentHandle::Release() {
  std::shared_ptr<const OpenSegment> last;  // unmapped behind the lock
  const MutexLock lock(&mutex_);
  if (open_ == nullptr) return;
  end_ = open_->published();
  damage_ = open_->lasting_damage();
  last = std::move(open_);
}

SegmentList::SegmentList(Handles handles) : handles_(std::move(handles)) {
  base_offsets_.reserve(handles_.size());
  for (const std::shared_ptr<SegmentHandle>& handle : handles_) base_offsets_.push_back(handle->base_offset());
}

std::optional<size_t> SegmentList::Floor(int64_t offset) const {
  // Most reads are of the newest segment.
  if (!base_offsets_.empty() && base_offsets_.back() <= offset) return base_offsets_.size() - 1;
  const auto above = std::upper_bound(base_offsets_.begin(), base_offsets_.end(), offset);
  if (above == base_offsets_.begin()) return std::nullopt;
  return static_cast<size_t>(above - base_offsets_.begin()) - 1;
}

SegmentTable::Snapshot SegmentTable::Load() const {
  const MutexLock lock(&mutex_);
  return {list_, generation_.load(std::memory_order_relaxed)};
}

void SegmentTable::ReplaceActive(std::shared_ptr<SegmentHandle> active) {
  SegmentList::Handles handles = Load().list->handles();
  handles.push_back(std::move(active));
  Store(std::move(handles));
}

void SegmentTable::ReplaceRange(size_t begin, size_t end, const SegmentList::Handles& with) {
  SegmentList::Handles handles = Load().list->handles();
  const auto at = handles.erase(handles.begin() + static_cast<std::ptrdiff_t>(begin),
                                handles.begin() + static_cast<std::ptrdiff_t>(end));
  handles.insert(at, with.begin(), with.end());
  Store(std::move(handles));
}

void SegmentTable::DropPrefix(size_t count) { ReplaceRange(0, count, {}); }

void SegmentTable::DropSuffix(size_t from, std::shared_ptr<SegmentHandle> replacement) {
  ReplaceRange(from, Load().list->size(), {std::move(replacement)});
}

void SegmentTable::Store(SegmentList::Handles handles) {
  auto list = std::make_shared<const SegmentList>(std::move(handles));
  const MutexLock lock(&mutex_);
  list_ = std::move(list);
  generation_.fetch_add(1, std::memory_order_release);
}

}  // namespace varve::internal
