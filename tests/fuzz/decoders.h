// The targets of decoders.cc, log_directory.cc, record_lines.cc and, where the command is built, command_line.cc; see
// FuzzTarget.
#ifndef VARVE_TESTS_FUZZ_DECODERS_H_
#define VARVE_TESTS_FUZZ_DECODERS_H_

#include "fuzz/fuzz_target.h"

namespace varve::fuzz {

void FuzzBatch(Input input);
void FuzzAppendedBatch(Input input);
void FuzzOffsetIndex(Input input);
void FuzzTimeIndex(Input input);
void FuzzTransactionIndex(Input input);
void FuzzProducerSnapshot(Input input);
void FuzzOffsetCheckpoint(Input input);
void FuzzLeaderEpochs(Input input);
void FuzzPartitionMetadata(Input input);
void FuzzLogDirectory(Input input);
void FuzzRecordLines(Input input);
void FuzzCommandLine(Input input);

}  // namespace varve::fuzz

#endif  // VARVE_TESTS_FUZZ_DECODERS_H_
