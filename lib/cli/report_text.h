// A RecoveryReport as people read it.
//
// Thread rules: free functions.
#ifndef VARVE_LIB_CLI_REPORT_TEXT_H_
#define VARVE_LIB_CLI_REPORT_TEXT_H_

#include "cli/output.h"
#include "varve/recovery_report.h"

namespace varve::cli {

// The offsets, what was scanned and cut, then every finding and every damaged range on a line of its own.
void PrintReport(const RecoveryReport& report, Output* out);

// "  FILE position P, N bytes, offsets A to B: reason".
void PrintDamage(const DamagedRange& range, Output* out);

}  // namespace varve::cli

#endif  // VARVE_LIB_CLI_REPORT_TEXT_H_
