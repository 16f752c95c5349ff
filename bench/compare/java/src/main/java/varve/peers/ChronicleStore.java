package varve.peers;

import java.nio.ByteBuffer;
import net.openhft.chronicle.bytes.Bytes;
import net.openhft.chronicle.bytes.SyncMode;
import net.openhft.chronicle.queue.ChronicleQueue;
import net.openhft.chronicle.queue.ExcerptAppender;
import net.openhft.chronicle.queue.ExcerptTailer;

/** Chronicle Queue: an excerpt for each append. Nothing has a checksum. */
final class ChronicleStore implements Store {
    private final ChronicleQueue queue;
    private final ExcerptAppender appender;
    private final ExcerptTailer tailer;
    private final boolean durable;
    private final Bytes<ByteBuffer> buffer = Bytes.elasticByteBuffer();
    private final byte[] bytes = new byte[Records.BYTES];
    private final Bytes<ByteBuffer> polled = Bytes.elasticByteBuffer();
    private ExcerptTailer poller; // of the thread that polls, which closes nothing
    private long firstIndex = -1;

    ChronicleStore(String directory, boolean durable) {
        this.durable = durable;
        queue = ChronicleQueue.singleBuilder(directory).syncMode(durable ? SyncMode.SYNC : SyncMode.NONE).build();
        appender = queue.createAppender();
        tailer = queue.createTailer();
    }

    @Override
    public void append(long first, int count) {
        buffer.clear();
        for (long number = first; number < first + count; number++) {
            buffer.write(Records.key(number)).write(Records.value(number));
        }
        appender.writeBytes(buffer);
        if (durable) {
            appender.sync();
        }
    }

    /** Where records were appended one by one, their indexes follow one another. */
    @Override
    public void read(long number) {
        if (firstIndex < 0) {
            firstIndex = queue.firstIndex();
        }
        if (!tailer.moveToIndex(firstIndex + number)) {
            throw new IllegalStateException("no record " + number);
        }
        buffer.clear();
        if (!tailer.readBytes(buffer)) {
            throw new IllegalStateException("no record " + number);
        }
        check(number, buffer);
    }

    @Override
    public boolean poll(long number) {
        if (poller == null) {
            poller = queue.createTailer();
        }
        polled.clear();
        if (!poller.readBytes(polled)) {
            return false;
        }
        check(number, polled);
        return true;
    }

    private void check(long number, Bytes<ByteBuffer> buffer) {
        buffer.read(bytes);
        Records.check(number, ByteBuffer.wrap(bytes, 0, Records.KEY_BYTES),
                ByteBuffer.wrap(bytes, Records.KEY_BYTES, Records.VALUE_BYTES));
    }

    @Override
    public long scan() {
        tailer.toStart();
        long next = 0;
        buffer.clear();
        for (; tailer.readBytes(buffer); buffer.clear()) {
            while (buffer.readRemaining() > 0) {
                check(next++, buffer);
            }
        }
        return next;
    }

    @Override
    public void close() {
        tailer.close();
        appender.close();
        queue.close();
        buffer.releaseLast();
        polled.releaseLast();
    }
}
