package varve.kafka;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.OptionalLong;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.record.DefaultRecordBatch;
import org.apache.kafka.common.record.FileLogInputStream.FileChannelRecordBatch;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.CloseableIterator;
import org.apache.kafka.storage.internals.checkpoint.LeaderEpochCheckpointFile;
import org.apache.kafka.storage.internals.log.AbortedTxn;
import org.apache.kafka.storage.internals.log.EpochEntry;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogSegment;
import org.apache.kafka.storage.internals.log.OffsetIndex;
import org.apache.kafka.storage.internals.log.OffsetPosition;
import org.apache.kafka.storage.internals.log.ProducerStateEntry;
import org.apache.kafka.storage.internals.log.ProducerStateManager;
import org.apache.kafka.storage.internals.log.SnapshotFile;
import org.apache.kafka.storage.internals.log.TimeIndex;
import org.apache.kafka.storage.internals.log.TimestampOffset;
import org.apache.kafka.storage.internals.log.UnifiedLog;

/**
 * All that Kafka finds in an opened log, member by member as the manifests of tests/golden have it.
 *
 * <p>On the way every batch's checksum is verified, every record is decompressed and decoded, and every index entry is
 * held against the batch that it names; whatever is wrong is thrown.
 */
final class LogContents {
    /** The place of the attributes in a batch, in bytes; Kafka has no public name for it, nor an accessor. */
    private static final int ATTRIBUTES_POSITION = 21;

    private final UnifiedLog log;
    private final boolean entriesOfManyBatches;
    private final ArrayNode segments = Json.array();
    private final ArrayNode batches = Json.array();
    private final ArrayNode records = Json.array();
    private final ArrayNode index = Json.array();
    private final ArrayNode timeIndex = Json.array();
    private final ArrayNode abortedTxns = Json.array();

    /**
     * Kafka up to 3.9.0 makes one entry for all batches that it appends at once: where they begin, and an offset near
     * their end.
     */
    LogContents(UnifiedLog log, boolean entriesOfManyBatches) {
        this.log = log;
        this.entriesOfManyBatches = entriesOfManyBatches;
    }

    ObjectNode found() throws IOException {
        for (LogSegment segment : log.logSegments()) {
            addSegment(segment);
        }
        ObjectNode found = Json.object();
        found.set("log", offsets());
        found.set("segments", segments);
        found.set("batches", batches);
        found.set("records", records);
        found.set("index", index);
        found.set("time_index", timeIndex);
        found.set("aborted_txns", abortedTxns);
        found.set("producers", producers(log.producerStateManager().activeProducers().values()));
        found.set("leader_epochs", leaderEpochs());
        found.set("snapshots", snapshots());
        return found;
    }

    private ObjectNode offsets() {
        return Json.object()
                .put("log_start_offset", log.logStartOffset())
                .put("log_end_offset", log.logEndOffset())
                .put("last_stable_offset", log.lastStableOffset())
                .put("recovery_point", log.recoveryPoint())
                .put("segments", segments.size())
                .put("batches", batches.size())
                .put("records", records.size());
    }

    private void addSegment(LogSegment segment) throws IOException {
        long base = segment.baseOffset();
        int batchesBefore = batches.size();
        int recordsBefore = records.size();
        Map<Integer, Long> lastOffsets = new HashMap<>();
        Map<Long, Long> maxTimestamps = new HashMap<>();
        for (FileChannelRecordBatch batch : segment.log().batches()) {
            addBatch(base, batch);
            lastOffsets.put(batch.position(), batch.lastOffset());
            maxTimestamps.put(batch.lastOffset(), batch.maxTimestamp());
        }
        int offsetEntries = addOffsetIndex(base, segment.offsetIndex(), lastOffsets);
        int timeEntries = addTimeIndex(base, segment.timeIndex(), maxTimestamps);
        List<AbortedTxn> aborted = segment.txnIndex().allAbortedTxns();
        for (AbortedTxn txn : aborted) {
            abortedTxns.add(Json.object()
                    .put("segment", base)
                    .put("producer_id", txn.producerId())
                    .put("first_offset", txn.firstOffset())
                    .put("last_offset", txn.lastOffset())
                    .put("last_stable_offset", txn.lastStableOffset()));
        }
        segments.add(Json.object()
                .put("base", base)
                .put("log_bytes", segment.size())
                .put("batches", batches.size() - batchesBefore)
                .put("records", records.size() - recordsBefore)
                .put("next_offset", segment.readNextOffset())
                .put("max_timestamp", segment.largestRecordTimestamp().orElse(RecordBatch.NO_TIMESTAMP))
                .put("index_entries", offsetEntries)
                .put("time_index_entries", timeEntries)
                .put("aborted_txns", aborted.size()));
    }

    private static boolean leadsPastNothing(OffsetPosition entry, Map<Integer, Long> lastOffsetsByPosition) {
        return lastOffsetsByPosition.entrySet().stream()
                .allMatch(batch -> batch.getKey() >= entry.position || batch.getValue() < entry.offset);
    }

    /** Each entry must name a batch's position and last offset; one of many batches, a position that is not too late. */
    private int addOffsetIndex(long base, OffsetIndex entries, Map<Integer, Long> lastOffsetsByPosition) {
        for (int i = 0; i < entries.entries(); i++) {
            OffsetPosition entry = entries.entry(i);
            Long lastOffset = lastOffsetsByPosition.get(entry.position);
            check(Objects.equals(lastOffset, entry.offset)
                    || entriesOfManyBatches && lastOffset != null && leadsPastNothing(entry, lastOffsetsByPosition),
                    base, entry);
            index.add(Json.numbers(base, entry.offset, entry.position));
        }
        return entries.entries();
    }

    /** Each entry must name the last offset and the largest timestamp of a batch. */
    private int addTimeIndex(long base, TimeIndex entries, Map<Long, Long> maxTimestampsByLastOffset) {
        for (int i = 0; i < entries.entries(); i++) {
            TimestampOffset entry = entries.entry(i);
            check(Objects.equals(maxTimestampsByLastOffset.get(entry.offset), entry.timestamp), base, entry);
            timeIndex.add(Json.numbers(base, entry.timestamp, entry.offset));
        }
        return entries.entries();
    }

    private static void check(boolean namesBatch, long base, Object entry) {
        if (!namesBatch) {
            throw new IllegalStateException("index entry " + entry + " of segment " + base + " names no batch");
        }
    }

    private void addBatch(long base, FileChannelRecordBatch inFile) {
        ByteBuffer content = ByteBuffer.allocate(inFile.sizeInBytes());
        inFile.writeTo(content);
        content.flip();
        short attributes = content.getShort(ATTRIBUTES_POSITION);
        RecordBatch any = MemoryRecords.readableRecords(content).batches().iterator().next();
        any.ensureValid();
        if (!(any instanceof DefaultRecordBatch batch)) {
            throw new IllegalStateException(
                    "batch of magic " + any.magic() + " at " + inFile.position() + " of segment " + base);
        }
        OptionalLong deleteHorizon = batch.deleteHorizonMs();
        batches.add(Json.object()
                .put("segment", base)
                .put("position", inFile.position())
                .put("bytes", batch.sizeInBytes())
                .put("base_offset", batch.baseOffset())
                .put("last_offset", batch.lastOffset())
                .put("count", batch.countOrNull())
                .put("leader_epoch", batch.partitionLeaderEpoch())
                .put("magic", batch.magic())
                .put("crc", batch.checksum())
                .put("attributes", attributes)
                .put("codec", batch.compressionType().name)
                .put("timestamp_type", batch.timestampType().name)
                .put("transactional", batch.isTransactional())
                .put("control", batch.isControlBatch())
                .put("delete_horizon", deleteHorizon.isPresent() ? deleteHorizon.getAsLong() : null)
                .put("base_timestamp", batch.baseTimestamp())
                .put("max_timestamp", batch.maxTimestamp())
                .put("producer_id", batch.producerId())
                .put("producer_epoch", batch.producerEpoch())
                .put("base_sequence", batch.baseSequence())
                .put("last_sequence", batch.lastSequence()));
        addRecords(batch);
    }

    private void addRecords(DefaultRecordBatch batch) {
        int count = 0;
        try (CloseableIterator<Record> iterator = batch.streamingIterator(BufferSupplier.NO_CACHING)) {
            while (iterator.hasNext()) {
                Record record = iterator.next();
                record.ensureValid();
                ArrayNode headers = Json.array();
                for (Header header : record.headers()) {
                    ByteBuffer value = header.value() == null ? null : ByteBuffer.wrap(header.value());
                    headers.add(Json.array().add(header.key()).add(Json.bytes(value)));
                }
                records.add(Json.numbers(record.offset(), record.timestamp())
                        .add(Json.bytes(record.key()))
                        .add(Json.bytes(record.value()))
                        .add(headers));
                count++;
            }
        }
        if (count != batch.countOrNull()) {
            throw new IllegalStateException("batch at offset " + batch.baseOffset() + " has " + count
                    + " records, and says it has " + batch.countOrNull());
        }
    }

    /** The epochs of the running log, which must be those of its file. */
    private ArrayNode leaderEpochs() throws IOException {
        List<EpochEntry> held = log.leaderEpochCache().epochEntries();
        File file = LeaderEpochCheckpointFile.newFile(log.dir());
        List<EpochEntry> written = new LeaderEpochCheckpointFile(file, new LogDirFailureChannel(1)).read();
        if (!held.equals(written)) {
            throw new IllegalStateException("leader epochs in memory " + held + ", in the file " + written);
        }
        ArrayNode epochs = Json.array();
        for (EpochEntry entry : held) {
            epochs.add(Json.numbers(entry.epoch, entry.startOffset));
        }
        return epochs;
    }

    private ArrayNode snapshots() throws IOException {
        List<SnapshotFile> files = new ArrayList<>(ProducerStateManager.listSnapshotFiles(log.dir()));
        files.sort((left, right) -> Long.compare(left.offset, right.offset));
        ArrayNode snapshots = Json.array();
        for (SnapshotFile file : files) {
            ObjectNode snapshot = Json.object().put("offset", file.offset);
            snapshot.set("entries", producers(ProducerStateManager.readSnapshot(file.file())));
            snapshots.add(snapshot);
        }
        return snapshots;
    }

    private static ArrayNode producers(Collection<ProducerStateEntry> entries) {
        ArrayNode producers = Json.array();
        for (ProducerStateEntry entry : entries) {
            producers.add(Json.object()
                    .put("producer_id", entry.producerId())
                    .put("epoch", entry.producerEpoch())
                    .put("last_sequence", entry.lastSeq())
                    .put("last_offset", entry.lastDataOffset())
                    .put("offset_delta", entry.lastOffsetDelta())
                    .put("timestamp", entry.lastTimestamp())
                    .put("coordinator_epoch", entry.coordinatorEpoch())
                    .put("current_txn_first_offset", entry.currentTxnFirstOffset().orElse(-1)));
        }
        return producers;
    }
}
