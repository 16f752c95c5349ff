// Adding to a segment's transaction index, whose file is made by the first transaction that is aborted in it.
#ifndef VARVE_LIB_SEGMENT_APPEND_TRANSACTION_H_
#define VARVE_LIB_SEGMENT_APPEND_TRANSACTION_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "varve/file_system.h"
#include "varve/transaction_index.h"

namespace varve::internal {

// Not synced: recovery makes the file anew from the log. Errors: as the file system.
[[nodiscard]] absl::Status AppendToTransactionIndex(FileSystem* file_system, const std::string& directory,
                                                    int64_t base_offset, const AbortedTransaction& transaction);

}  // namespace varve::internal

#endif  // VARVE_LIB_SEGMENT_APPEND_TRANSACTION_H_
