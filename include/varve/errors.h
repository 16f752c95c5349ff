// What an absl::Status of varve means, and the error number that Apache Kafka would answer in its place.
//
// Every code has one meaning here, and every message names the file, the position, what was expected and what was
// found:
//
//   kInvalidArgument     the caller's input is wrong (a record, a batch, an option, a name); nothing was changed
//   kOutOfRange          an offset below the log start or beyond the log end
//   kNotFound            no such file, directory, segment or epoch
//   kAlreadyExists       a name that must be new is taken
//   kPermissionDenied    the system refuses access to a file
//   kFailedPrecondition  the log is closed, read-only, inherited by a forked child, or poisoned by a failed write
//                        or sync; reopen it. Handing a partition over: something is to be done first, the message
//                        says what
//   kUnavailable         somebody else holds the partition's lock; the message says who. Or a compaction is running
//   kAborted             a reader of another process: the directory has changed under it, or its writer is at work on the
//                        files; call Log::Refresh, which waits for such a writer for a moment, and go on.
//                        LogReader::IsAborted: segments were truncated or replaced since; read the batch again.
//                        A wait for records to be durable: a truncation took them meanwhile
//   kDeadlineExceeded    a wait reached its deadline, or a full disk keeps what it is for; nothing is wrong, wait again.
//                        Of a durable append: its records are appended, wait for them and do not append them again
//   kDataLoss            damaged bytes; the message names the file, the position and the offsets that cannot be served
//   kResourceExhausted   disk full, quota, too many open files, or a batch that decodes to more than its reader
//                        allows; the log goes on once there is room
//   kUnimplemented       magic 0 or 1, a codec left out of this build, or an operation the file system does not offer
//   kInternal            the system reported an I/O error
//
// Thread rules: free functions, callable from any thread.
#ifndef VARVE_ERRORS_H_
#define VARVE_ERRORS_H_

#include <cstdint>
#include <optional>

#include "absl/status/status.h"

namespace varve {

// Kafka's protocol error numbers, as far as a log can answer them (org.apache.kafka.common.protocol.Errors).
enum class KafkaError : int16_t {
  kOffsetOutOfRange = 1,
  kCorruptMessage = 2,
  kMessageTooLarge = 10,
  kRecordListTooLarge = 18,
  kInvalidTimestamp = 32,
  kUnsupportedForMessageFormat = 43,
  kPolicyViolation = 44,
  kOutOfOrderSequenceNumber = 45,
  kDuplicateSequenceNumber = 46,
  kInvalidProducerEpoch = 47,
  kInvalidTxnState = 48,
  kTransactionCoordinatorFenced = 52,
  kKafkaStorageError = 56,
  kUnsupportedCompressionType = 76,
  kInvalidRecord = 87,
};

// The same status with Kafka's error number attached. An OK status stays OK.
[[nodiscard]] absl::Status WithKafkaError(absl::Status status, KafkaError error);

// The number attached by WithKafkaError, if any.
[[nodiscard]] std::optional<KafkaError> KafkaErrorOf(const absl::Status& status);

// True where a status says that the log must be reopened before it takes appends again.
[[nodiscard]] bool IsPoisoned(const absl::Status& status);

}  // namespace varve

#endif  // VARVE_ERRORS_H_
