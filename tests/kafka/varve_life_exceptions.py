"""The named exceptions of lives that varve carried out, beside those of other lives."""

from agreement import KNOWN, LARGEST, NamedException
from life_exceptions import (FORGOTTEN_EPOCHS, LARGEST_BELOW_THE_LOG_START, SEGMENT_BELOW_THE_LOG_START,
                             STABLE_OFFSET_OF_A_BATCH, is_answer_of, readable_largest)


def _largest_claim_is_empty(found):
    """Whether the first batch that claims the largest timestamp of all has no record of that time."""
    largest = max(segment["max_timestamp"] for segment in found["segments"])
    claiming = next((batch for batch in found["batches"] if batch["max_timestamp"] == largest), None)
    return claiming is not None and not any(
        claiming["base_offset"] <= offset <= claiming["last_offset"] and timestamp == largest
        for offset, timestamp, *_ in found["records"])


def _largest_was_compacted_away(difference, judged):
    if difference.what != "time" or difference.place != LARGEST or difference.kafka["result"] != "none":
        return False
    largest = readable_largest(judged.found)
    return (largest is not None and is_answer_of(judged.found, difference.varve, largest)
            and _largest_claim_is_empty(judged.found))


def _none_is_the_largest(difference, judged):
    return (difference.what == "time" and difference.place == LARGEST and difference.varve["result"] == "none"
            and difference.kafka.get("timestamp") == -1 and readable_largest(judged.found) is None)


def _index_is_too_small(difference, _):
    if difference.what == "time index entries":  # Kafka fails before it asks whether there is one to add
        return difference.kafka == difference.place <= difference.varve
    return difference.what == "index entries" and difference.kafka == difference.place < difference.varve


def _one_more_is_recovered(difference, judged):
    later = [segment["base"] for segment in judged.found["segments"]][1:]
    return (difference.what == "segments recovered" and difference.place in later
            and difference.varve == difference.kafka + 1)


LARGEST_COMPACTED_AWAY = NamedException(
    "largest-compacted-away",
    "asked for the largest timestamp, Kafka answers nothing where the batch that claims it was emptied by compaction; "
    "varve answers the largest of the records that are left",
    _largest_was_compacted_away)
NONE_IS_THE_LARGEST = NamedException(
    "none-is-the-largest",
    "asked for the largest timestamp of a log without timestamps, Kafka answers a record without one, varve none",
    _none_is_the_largest)
INDEX_TOO_SMALL = NamedException(
    "index-too-small",
    "a log that was opened again and again, or was given many batches at once as a follower, has fewer index entries "
    "than recovery makes, which may be more than segment.index.bytes has room for: Kafka's recovery then fails, of its "
    "own logs as well, and does where a time index is just full; varve's goes on. With more room Kafka's does, too, which "
    "is compared",
    _index_is_too_small)
ONE_MORE_IS_RECOVERED = NamedException(
    "one-more-is-recovered",
    "where the recovery point is the end of a segment varve recovers that segment, too, as the repair of a header in it "
    "may have been interrupted; Kafka begins behind it. Begun there, it recovers the same, which is compared",
    _one_more_is_recovered)

IN_LIVES_OF_VARVE = [*KNOWN, STABLE_OFFSET_OF_A_BATCH, LARGEST_BELOW_THE_LOG_START, SEGMENT_BELOW_THE_LOG_START,
                     FORGOTTEN_EPOCHS, LARGEST_COMPACTED_AWAY, NONE_IS_THE_LARGEST, INDEX_TOO_SMALL, ONE_MORE_IS_RECOVERED]
