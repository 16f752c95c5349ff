package varve.kafka;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.util.Iterator;
import java.util.Optional;
import java.util.OptionalLong;
import org.apache.kafka.common.errors.OffsetOutOfRangeException;
import org.apache.kafka.common.record.FileRecords.TimestampAndOffset;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.server.common.OffsetAndEpoch;
import org.apache.kafka.server.storage.log.FetchIsolation;
import org.apache.kafka.storage.internals.log.FetchDataInfo;
import org.apache.kafka.storage.internals.log.LogSegment;
import org.apache.kafka.storage.internals.log.OffsetPosition;
import org.apache.kafka.storage.internals.log.UnifiedLog;

/** Kafka's answers about an opened log: where an offset, a time or a leader epoch lies. */
final class LogAnswers {
    /** An answer to one question. */
    interface Answerer {
        JsonNode answer(long asked) throws IOException;
    }

    private final UnifiedLog log;

    LogAnswers(UnifiedLog log) {
        this.log = log;
    }

    ArrayNode toEach(JsonNode questions, Answerer answerer) throws IOException {
        ArrayNode answers = Json.array();
        for (JsonNode question : questions) {
            answers.add(answerer.answer(question.longValue()));
        }
        return answers;
    }

    /** Where a read of one batch starts, the first record from the offset on, and what the segment's index says. */
    ObjectNode toOffset(long offset) throws IOException {
        ObjectNode answer = Json.object().put("offset", offset);
        FetchDataInfo read;
        try {
            read = readOneBatch(offset);
        } catch (OffsetOutOfRangeException e) {
            return answer.put("result", "out_of_range");
        }
        Iterator<? extends RecordBatch> batches = read.records.batches().iterator();
        if (!batches.hasNext()) {
            return answer.put("result", "empty");
        }
        RecordBatch batch = batches.next();
        long base = read.fetchOffsetMetadata.segmentBaseOffset;
        answer.put("result", "batch")
                .put("segment", base)
                .put("position", read.fetchOffsetMetadata.relativePositionInSegment)
                .put("base_offset", batch.baseOffset())
                .put("last_offset", batch.lastOffset())
                .put("bytes", batch.sizeInBytes());
        OptionalLong record = firstRecordFrom(offset);
        answer.set("first_record", record.isPresent() ? Json.numbers(record.getAsLong()).get(0) : null);
        OffsetPosition entry = segmentAt(base).offsetIndex().lookup(offset);
        answer.set("index", Json.numbers(entry.offset, entry.position));
        return answer;
    }

    /** [asked, timestamp, offset, leader epoch]: -2 is the earliest, -1 the latest, -3 the largest timestamp. */
    ArrayNode toTime(long timeMs) {
        Optional<TimestampAndOffset> found =
                log.fetchOffsetByTimestamp(timeMs, Optional.empty()).timestampAndOffsetOpt();
        ArrayNode answer = Json.numbers(timeMs);
        if (found.isEmpty()) {
            return answer.addNull().addNull().addNull();
        }
        return answer.add(found.get().timestamp).add(found.get().offset).add(found.get().leaderEpoch.orElse(null));
    }

    /** [asked, the epoch that answers for it, its end offset]. */
    ArrayNode toEpoch(long epoch) {
        Optional<OffsetAndEpoch> end = log.endOffsetForEpoch(Math.toIntExact(epoch));
        ArrayNode answer = Json.numbers(epoch);
        return end.isEmpty() ? answer.addNull().addNull() : answer.add(end.get().epoch()).add(end.get().offset());
    }

    private FetchDataInfo readOneBatch(long offset) throws IOException {
        return log.read(offset, 1, FetchIsolation.LOG_END, true);
    }

    /** A batch that compaction left without records, or without late ones, is passed over. */
    private OptionalLong firstRecordFrom(long offset) throws IOException {
        for (long next = offset; ; ) {
            Iterator<? extends RecordBatch> batches = readOneBatch(next).records.batches().iterator();
            if (!batches.hasNext()) {
                return OptionalLong.empty();
            }
            RecordBatch batch = batches.next();
            for (Record record : batch) {
                if (record.offset() >= offset) {
                    return OptionalLong.of(record.offset());
                }
            }
            next = batch.nextOffset();
        }
    }

    private LogSegment segmentAt(long base) {
        return log.logSegments().stream()
                .filter(segment -> segment.baseOffset() == base)
                .findFirst()
                .orElseThrow(() -> new IllegalStateException("a read names segment " + base + ", which is not there"));
    }
}
