package varve.kafka;

import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;
import org.apache.kafka.common.utils.Time;

/** A clock that stands still until it is moved, so that what Kafka does depends on the request alone. */
final class ManualClock implements Time {
    private long nowMs;

    ManualClock(long nowMs) {
        this.nowMs = nowMs;
    }

    /** Sets the time, in milliseconds since the epoch; it may go backwards. */
    void set(long nowMs) {
        this.nowMs = nowMs;
    }

    @Override
    public long milliseconds() {
        return nowMs;
    }

    @Override
    public long nanoseconds() {
        return TimeUnit.MILLISECONDS.toNanos(nowMs);
    }

    @Override
    public void sleep(long durationMs) {
        nowMs += durationMs;
    }

    @Override
    public void waitObject(Object object, Supplier<Boolean> condition, long deadlineMs) {
        throw new UnsupportedOperationException("nobody else runs who could make the condition true");
    }
}
