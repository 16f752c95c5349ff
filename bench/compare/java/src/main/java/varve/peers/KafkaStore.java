package varve.peers;

import java.io.File;
import java.io.IOException;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.record.FileRecords.TimestampAndOffset;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MutableRecordBatch;
import org.apache.kafka.common.record.Record;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.SimpleRecord;
import org.apache.kafka.common.utils.Time;
import org.apache.kafka.server.storage.log.FetchIsolation;
import org.apache.kafka.server.util.KafkaScheduler;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

/** Apache Kafka's own storage classes, as a broker drives them: a partition's log, with a scheduler behind it. */
final class KafkaStore implements Store {
    private static final int MAX_TRANSACTION_TIMEOUT_MS = 15 * 60 * 1000;
    private static final int PRODUCER_EXPIRATION_MS = 24 * 60 * 60 * 1000;
    private static final int PRODUCER_EXPIRATION_CHECK_INTERVAL_MS = 10 * 60 * 1000;
    private static final int MAX_MESSAGE_BYTES = 2 << 20;
    private static final int FETCH_BYTES = 1 << 20;
    private static final BrokerTopicStats STATS = new BrokerTopicStats();

    private final KafkaScheduler scheduler = new KafkaScheduler(1);
    private final UnifiedLog log;
    private final boolean durable;
    private MemoryRecords ready;

    /** A directory with a log in it counts as stopped uncleanly, and nothing of it as flushed. */
    KafkaStore(String directory, boolean durable) throws Exception {
        this.durable = durable;
        scheduler.startup();
        log = UnifiedLog.create(new File(directory, "log-0"),
                new LogConfig(Map.of("max.message.bytes", Integer.toString(MAX_MESSAGE_BYTES))), 0, 0, scheduler, STATS,
                Time.SYSTEM, MAX_TRANSACTION_TIMEOUT_MS, new ProducerStateManagerConfig(PRODUCER_EXPIRATION_MS, false),
                PRODUCER_EXPIRATION_CHECK_INTERVAL_MS, new LogDirFailureChannel(1), false, Optional.empty());
        log.updateHighWatermark(log.logEndOffset());
    }

    private static MemoryRecords batch(long first, int count) {
        SimpleRecord[] records = new SimpleRecord[count];
        for (int index = 0; index < count; index++) {
            long number = first + index;
            records[index] = new SimpleRecord(
                    Records.FIRST_TIMESTAMP_MS + number, Records.key(number), Records.value(number));
        }
        return MemoryRecords.withRecords(Compression.NONE, records);
    }

    private void append(MemoryRecords records) throws Exception {
        log.appendAsLeader(records, 0);
        if (durable) {
            log.flush(false);
        }
    }

    @Override
    public void append(long first, int count) throws Exception {
        append(batch(first, count));
    }

    @Override
    public void appendReady(int count) throws Exception {
        if (ready == null) {
            ready = batch(0, count);
        }
        for (MutableRecordBatch batch : ready.batches()) {
            batch.setLastOffset(count - 1); // the append has given it others, as a producer's batch has none
        }
        append(ready);
    }

    private org.apache.kafka.common.record.Records fetch(long offset, int bytes) throws Exception {
        return log.read(offset, bytes, FetchIsolation.LOG_END, true).records;
    }

    @Override
    public void read(long number) throws Exception {
        for (RecordBatch batch : fetch(number, 1).batches()) {
            for (Record record : batch) {
                if (record.offset() == number) {
                    Records.check(number, record.key(), record.value());
                    return;
                }
            }
        }
        throw new IllegalStateException("no record " + number);
    }

    @Override
    public void readByTime(long number) throws Exception {
        Optional<TimestampAndOffset> found = log.fetchOffsetByTimestamp(Records.FIRST_TIMESTAMP_MS + number,
                Optional.empty()).timestampAndOffsetOpt();
        if (found.isEmpty() || found.get().offset != number) {
            throw new IllegalStateException("another record than " + number);
        }
    }

    @Override
    public boolean poll(long number) throws Exception {
        if (log.logEndOffset() <= number) {
            return false;
        }
        read(number);
        return true;
    }

    @Override
    public long scan() throws Exception {
        long next = 0;
        while (next < log.logEndOffset()) {
            for (RecordBatch batch : fetch(next, FETCH_BYTES).batches()) {
                batch.ensureValid();
                for (Record record : batch) {
                    Records.check(next++, record.key(), record.value());
                }
            }
        }
        return next;
    }

    @Override
    public void close() throws IOException {
        log.close();
        log.removeLogMetrics();
        try {
            scheduler.shutdown();
        } catch (InterruptedException interrupted) {
            throw new IOException(interrupted);
        }
    }
}
