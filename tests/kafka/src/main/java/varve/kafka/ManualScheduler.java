package varve.kafka;

import java.util.Comparator;
import java.util.PriorityQueue;
import java.util.concurrent.Delayed;
import java.util.concurrent.FutureTask;
import java.util.concurrent.ScheduledFuture;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.server.util.Scheduler;

/** Runs Kafka's background tasks in the calling thread: those without delay at once, the others when asked to. */
final class ManualScheduler implements Scheduler {
    private final ManualClock clock;
    private final PriorityQueue<Task> waiting = new PriorityQueue<>(
            Comparator.<Task>comparingLong(task -> task.dueMs).thenComparingLong(task -> task.number));
    private long scheduled;

    ManualScheduler(ManualClock clock) {
        this.clock = clock;
    }

    /** Runs what is due at the present time of the clock, oldest first. */
    void runDue() {
        while (!waiting.isEmpty() && waiting.peek().dueMs <= clock.milliseconds()) {
            waiting.poll().runOnceOrAgain();
        }
    }

    @Override
    public ScheduledFuture<?> schedule(String name, Runnable runnable, long delayMs, long periodMs) {
        Task task = new Task(runnable, clock.milliseconds() + delayMs, periodMs);
        waiting.add(task);
        runDue();
        return task;
    }

    @Override
    public void startup() {}

    @Override
    public void shutdown() {
        waiting.clear();
    }

    @Override
    public void resizeThreadPool(int newSize) {
        throw new UnsupportedOperationException("there is no pool of threads");
    }

    private final class Task extends FutureTask<Void> implements ScheduledFuture<Void> {
        private final long number = scheduled++;
        private final long periodMs;
        private long dueMs;

        Task(Runnable runnable, long dueMs, long periodMs) {
            super(runnable, null);
            this.dueMs = dueMs;
            this.periodMs = periodMs;
        }

        void runOnceOrAgain() {
            if (periodMs <= 0) {
                run();
            } else if (runAndReset()) {
                dueMs += periodMs;
                waiting.add(this);
            }
        }

        @Override
        public boolean cancel(boolean mayInterruptIfRunning) {
            waiting.remove(this);
            return super.cancel(mayInterruptIfRunning);
        }

        @Override
        public long getDelay(TimeUnit unit) {
            return unit.convert(dueMs - clock.milliseconds(), TimeUnit.MILLISECONDS);
        }

        @Override
        public int compareTo(Delayed other) {
            return Long.compare(getDelay(TimeUnit.MILLISECONDS), other.getDelay(TimeUnit.MILLISECONDS));
        }
    }
}
