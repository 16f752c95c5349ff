// varve: looks into, fills, checks and mends partition directories of Apache Kafka's log storage.

#include <cstdio>
#include <exception>

#include "cli/commands.h"
#include "cli/exit_status.h"
#include "cli/option_checks.h"
#include "cli/output.h"

namespace varve::cli {
namespace {

constexpr char kFooter[] =
    "Sizes: 65536, 64KiB, 1GiB. Times: milliseconds since the epoch, or 2026-01-31T12:00:00Z.\n"
    "Exit status: 0 done, 1 the data are not right, 2 wrong use of the command, 3 the system refused.";

int Run(int argc, char** argv) {
  CLI::App app("Log storage of Apache Kafka: append, read, find, check, mend. DIR is a partition directory.", "varve");
  app.require_subcommand(1);
  app.set_version_flag("--version", VARVE_VERSION);
  app.footer(kFooter);
  ExitStatus status = ExitStatus::kDone;
  AddAppendCommand(&app, &status);
  AddReadCommand(&app, &status);
  AddFindCommand(&app, &status);
  AddStatCommand(&app, &status);
  AddDumpCommand(&app, &status);
  AddVerifyCommand(&app, &status);
  AddRepairCommand(&app, &status);
  AddExplainCommand(&app, &status);
  AddTruncateCommand(&app, &status);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 has statuses of its own for each kind of mistake, and prints help and version for 0.
    return static_cast<int>(app.exit(error) == 0 ? ExitStatus::kDone : ExitStatus::kUsage);
  }
  return static_cast<int>(status);
}

}  // namespace
}  // namespace varve::cli

int main(int argc, char** argv) {
  varve::cli::IgnoreBrokenPipes();
  try {
    return varve::cli::Run(argc, argv);
  } catch (const std::exception& error) {
    // The library throws nothing; this is memory running out, or a mistake of ours in using CLI11 or nlohmann-json.
    std::fprintf(stderr, "varve: %s\n", error.what());
    return static_cast<int>(varve::cli::ExitStatus::kSystem);
  }
}
