// The two forms of a dump: one JSON document with a list for each kind of thing, and text in the order of the log.
//
// Thread rules: one thread. Cost: the log is read once for each list that needs it; nothing but one batch is in memory.
#ifndef VARVE_LIB_CLI_DUMP_FORMS_H_
#define VARVE_LIB_CLI_DUMP_FORMS_H_

#include "absl/status/status.h"
#include "cli/json_forms.h"
#include "cli/output.h"
#include "cli/partition_contents.h"

namespace varve::cli {

struct DumpForm {
  bool batches_only = false;  // leave the records out
  BytesForm bytes = BytesForm::kDigest;
};

// A whole partition: {"log":…,"segments":…,…}, as the contract of the command has it.
[[nodiscard]] absl::Status DumpPartitionJson(FileSystem* file_system, PartitionContents* contents,
                                             const PartitionSummary& summary, const DumpForm& form, Output* out);

// One file of a partition: the lists that it has a part in.
[[nodiscard]] absl::Status DumpFileJson(FileSystem* file_system, const PartitionFile& file, PartitionContents* contents,
                                        const DumpForm& form, Output* out);

// The same for people: what a partition holds segment by segment, or what one file holds.
[[nodiscard]] absl::Status DumpPartitionText(FileSystem* file_system, PartitionContents* contents,
                                             const PartitionSummary& summary, const DumpForm& form, Output* out);
[[nodiscard]] absl::Status DumpFileText(FileSystem* file_system, const PartitionFile& file, PartitionContents* contents,
                                        const DumpForm& form, Output* out);

// A checkpoint that lies beside the partitions: {"checkpoint":[[topic,partition,offset],…]}, or a line for each.
[[nodiscard]] absl::Status DumpOffsetCheckpoint(FileSystem* file_system, const std::string& path, bool json,
                                                Output* out);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_DUMP_FORMS_H_
