#include "log/log_core.h"

#include "log/log_loader.h"

namespace varve::internal {

SegmentList::Handles LogCore::HandlesOf(const LoadedLog& loaded, const std::shared_ptr<FileSystem>& file_system) const {
  SegmentList::Handles handles;
  for (size_t index = 0; index < loaded.segments.size(); ++index) {
    const LoadedSegment& segment = loaded.segments[index];
    const int64_t next_offset =
        index + 1 < loaded.segments.size() ? loaded.segments[index + 1].base_offset : loaded.log_end_offset;
    handles.push_back(std::make_shared<SegmentHandle>(file_system, directory, segment.base_offset,
                                                      PublishedEnd{segment.size_bytes, next_offset}, segment.damage,
                                                      cache));
  }
  return handles;
}

}  // namespace varve::internal
