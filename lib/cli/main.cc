// varve: looks into, fills, checks and mends partition directories of Apache Kafka's log storage.

#include <exception>
#include <string>

#include "cli/command_line.h"
#include "cli/exit_status.h"
#include "cli/output.h"
#include "cli/terminal.h"

int main(int argc, char** argv) {
  varve::cli::FillClosedStreams();
  varve::cli::IgnoreBrokenPipes();
  try {
    return static_cast<int>(varve::cli::ParseCommandLine(argc, argv)());
  } catch (const std::exception& error) {
    // The library throws nothing; this is memory running out, or a mistake of ours in using CLI11 or nlohmann-json.
    varve::cli::WriteToStandardError(std::string("varve: ") + error.what() + "\n");
    return static_cast<int>(varve::cli::ExitStatus::kSystem);
  }
}
