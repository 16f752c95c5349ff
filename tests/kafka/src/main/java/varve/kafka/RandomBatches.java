package varve.kafka;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.CompressionType;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.common.record.MemoryRecordsBuilder;
import org.apache.kafka.common.record.RecordBatch;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.utils.ByteBufferOutputStream;

/** Batches of every shape: codecs, times in and out of order, null and empty keys, values and headers. */
final class RandomBatches {
    /** Whose batch it is; {@link #NOBODY}'s has no sequence. */
    record Sender(long producerId, short producerEpoch, int baseSequence, boolean transactional) {
        static final Sender NOBODY = new Sender(
                RecordBatch.NO_PRODUCER_ID, RecordBatch.NO_PRODUCER_EPOCH, RecordBatch.NO_SEQUENCE, false);

        boolean isKnown() {
            return producerId != RecordBatch.NO_PRODUCER_ID;
        }
    }

    private static final Header[] NO_HEADERS = {};
    private static final int KEYS = 24;

    private final Dice dice;
    private final ManualClock clock;
    private final boolean keyed;
    private final TimestampType timestampType;

    /** Makes batches for a log that compacts, whose records need keys, or for one that does not. */
    RandomBatches(Dice dice, ManualClock clock, boolean keyed, TimestampType timestampType) {
        this.dice = dice;
        this.clock = clock;
        this.keyed = keyed;
        this.timestampType = timestampType;
    }

    /** A producer's batch: offsets from 0 on, which the leader replaces. */
    MemoryRecords toLeader(Sender sender, int records) {
        MemoryRecordsBuilder builder =
                builder(TimestampType.CREATE_TIME, 0, sender, RecordBatch.NO_PARTITION_LEADER_EPOCH);
        TimeLine times = new TimeLine(sender);
        for (int i = 0; i < records; ++i) {
            builder.append(times.next(), key(), value(), headers());
        }
        return builder.build();
    }

    /**
     * Batches as a leader has them from an offset on: holes between and inside them where it compacted. `epoch` is the
     * leader's that took them.
     */
    MemoryRecords fromLeader(long offset, int batches, int epoch, boolean compacted) {
        ByteBufferOutputStream buffer = new ByteBufferOutputStream(1024);
        long next = offset;
        for (int i = 0; i < batches; ++i) {
            MemoryRecords batch = oneFromLeader(next, Sender.NOBODY, dice.between(1, 8), epoch, compacted);
            next = batch.batches().iterator().next().nextOffset() + (compacted ? dice.between(0, 5) : 0);
            buffer.write(batch.buffer());
        }
        return readable(buffer);
    }

    MemoryRecords oneFromLeader(long offset, Sender sender, int records, int epoch, boolean compacted) {
        MemoryRecordsBuilder builder = builder(timestampType, offset, sender, epoch);
        TimeLine times = new TimeLine(sender);
        long next = offset;
        for (int i = 0; i < records; ++i) {
            builder.appendWithOffset(next, times.next(), key(), value(), headers());
            next += compacted && !sender.isKnown() && dice.percent(40) ? dice.between(2, 4) : 1;
        }
        if (compacted && !sender.isKnown() && dice.percent(30)) {
            builder.overrideLastOffset(next + dice.between(0, 3));
        }
        return builder.build();
    }

    private MemoryRecordsBuilder builder(TimestampType type, long offset, Sender sender, int epoch) {
        CompressionType codec = dice.percent(50) ? CompressionType.NONE : dice.oneOf(CompressionType.values());
        return MemoryRecords.builder(ByteBuffer.allocate(512), RecordBatch.CURRENT_MAGIC_VALUE,
                Compression.of(codec).build(), type, offset,
                type == TimestampType.LOG_APPEND_TIME ? clock.milliseconds() : RecordBatch.NO_TIMESTAMP,
                sender.producerId(), sender.producerEpoch(), sender.baseSequence(), sender.transactional(), epoch);
    }

    /** How many records the next batch has: mostly few. */
    int recordCount() {
        return dice.percent(70) ? dice.between(1, 6) : dice.percent(90) ? dice.between(7, 30) : dice.between(31, 120);
    }

    private byte[] key() {
        if (!keyed && dice.percent(25)) {
            return null;
        }
        return dice.percent(3) ? new byte[0] : ("key-" + dice.between(1, KEYS)).getBytes(StandardCharsets.UTF_8);
    }

    private byte[] value() {
        int kind = dice.between(0, 99);
        if (kind < 15) {
            return null;
        }
        if (kind < 20) {
            return new byte[0];
        }
        if (kind < 60) {
            return ("value " + "abc".repeat(dice.between(1, 20))).getBytes(StandardCharsets.UTF_8);
        }
        return dice.bytes(kind < 98 ? dice.between(1, 90) : dice.between(91, 1500));
    }

    private Header[] headers() {
        if (dice.percent(85)) {
            return NO_HEADERS;
        }
        Header[] headers = new Header[dice.between(1, 3)];
        for (int i = 0; i < headers.length; ++i) {
            byte[] value = dice.percent(25) ? null : dice.bytes(dice.between(0, 60));
            headers[i] = new RecordHeader(dice.oneOf("", "trace", "trace", "größe", "鍵"), value);
        }
        return headers;
    }

    private static MemoryRecords readable(ByteBufferOutputStream buffer) {
        ByteBuffer bytes = buffer.buffer();
        bytes.flip();
        return MemoryRecords.readableRecords(bytes);
    }

    /** The times of a batch's records. */
    private final class TimeLine {
        private final int kind;
        private long last;

        TimeLine(Sender sender) {
            // A producer's last time tells when it is forgotten, which is tried with the clock, not with odd times.
            kind = dice.between(0, sender.isKnown() ? 90 : 99);
            last = clock.milliseconds() - (kind < 60 ? 0 : dice.between(0, 30_000));
        }

        long next() {
            if (kind > 91) {
                return kind > 95 || dice.percent(50) ? RecordBatch.NO_TIMESTAMP : last;
            }
            if (kind == 91) {
                return last + dice.between(0, 7_200_000);
            }
            last += kind < 60 ? dice.between(0, 20) : dice.between(-5_000, 5_000);
            return last;
        }
    }
}
