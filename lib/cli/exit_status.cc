#include "cli/exit_status.h"

#include <cstdio>

namespace varve::cli {
namespace {

// What a user can do about it; empty where the message says all there is to say.
std::string_view WhatToDo(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
      return "stop the process that holds the lock, or use read, find, stat, dump or verify: they take none";
    case absl::StatusCode::kDataLoss:
      return "`varve verify DIR` lists all damage, `varve repair DIR --dry-run` says what can be done about it";
    case absl::StatusCode::kResourceExhausted:
      return "make room (disk, quota, open files) and run the command again";
    case absl::StatusCode::kPermissionDenied:
      return "run the command as a user who may use the file";
    case absl::StatusCode::kFailedPrecondition:
      return "run the command again: the partition recovers when it is opened";
    case absl::StatusCode::kAborted:
      return "the directory changed meanwhile: run the command again";
    default:
      return {};
  }
}

}  // namespace

ExitStatus ExitStatusOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return ExitStatus::kDone;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kAlreadyExists:
      return ExitStatus::kUsage;
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kDataLoss:
    case absl::StatusCode::kUnimplemented:  // batches in a form that this build does not read
      return ExitStatus::kDataWrong;
    default:
      return ExitStatus::kSystem;
  }
}

ExitStatus Complain(std::string_view command, const absl::Status& status) {
  const ExitStatus exit_status = Complain(command, ExitStatusOf(status), MessageOf(status));
  if (const std::string_view what_to_do = WhatToDo(status.code()); !what_to_do.empty()) {
    WriteToStandardError(fmt::format("  what to do: {}\n", what_to_do));
  }
  return exit_status;
}

ExitStatus Complain(std::string_view command, ExitStatus status, std::string_view message) {
  Note(command, message);
  return status;
}

void WriteToStandardError(std::string_view text) {
  // fmt::print would throw where this can only go on.
  (void)std::fwrite(text.data(), 1, text.size(), stderr);
  (void)std::fflush(stderr);
}

void Note(std::string_view command, std::string_view message) {
  WriteToStandardError(fmt::format("varve {}: {}\n", command, message));
}

}  // namespace varve::cli
