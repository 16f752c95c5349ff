#include "cli/report_text.h"

#include <string>

#include "cli/quantities.h"

namespace varve::cli {

void PrintReport(const RecoveryReport& report, Output* out) {
  out->Print("  last stop {}, page cache {}, durable up to offset {}\n", report.clean ? "clean" : "not clean",
             report.cache_survived ? "survived" : "not known to have survived", report.durable_offset);
  out->Print("  offsets {} to {} in {} segments, {} of them recovered; {} scanned in {:.3f} s\n",
             report.log_start_offset, report.log_end_offset, report.segments, report.segments_recovered,
             FormatBytes(report.bytes_scanned), static_cast<double>(report.duration_us) / 1e6);
  if (report.bytes_cut > 0) out->Print("  cut: {}\n", FormatBytes(report.bytes_cut));
  if (report.bytes_saved_aside > 0) {
    out->Print("  saved aside: {}, {} valid batches among them\n", FormatBytes(report.bytes_saved_aside),
               report.batches_saved_aside);
  }
  for (const RecoveryFinding& finding : report.findings) out->Print("  {}\n", finding.ToString());
  for (const DamagedRange& range : report.damage) PrintDamage(range, out);
}

void PrintDamage(const DamagedRange& range, Output* out) {
  out->Print("  damage: segment {}, position {}, {} bytes, ", range.segment, range.position, range.bytes);
  if (range.last_offset < range.first_offset) {
    out->Print("no offset missing: {}\n", range.reason);
  } else {
    out->Print("offsets {} to {}: {}\n", range.first_offset, range.last_offset, range.reason);
  }
}

}  // namespace varve::cli
