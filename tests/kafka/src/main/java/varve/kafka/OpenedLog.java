package varve.kafka;

import com.fasterxml.jackson.databind.JsonNode;
import java.io.File;
import java.io.IOException;
import java.util.HashMap;
import java.util.Map;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.UnifiedLog;

/**
 * A partition directory opened by Kafka's own log, as a broker opens it, with a clock of its own.
 *
 * <p>A request that opens one has "dir" (absolute), "clean" (true by default), "recovery_point" (null is the log end
 * after a clean stop, 0 otherwise), "log_start_offset" (null is 0), "config" (names and values of Kafka's topic
 * settings) and "clock_ms" (null is the present time).
 */
final class OpenedLog implements AutoCloseable {
    private final ManualClock clock;
    private final ManualScheduler scheduler;
    private final UnifiedLog log;

    OpenedLog(JsonNode request) throws IOException {
        File directory = new File(request.required("dir").asText());
        if (!directory.isAbsolute() || !directory.isDirectory()) {
            throw new IllegalArgumentException(directory + " is not the absolute name of a directory");
        }
        boolean clean = request.path("clean").asBoolean(true);
        clock = new ManualClock(numberOr(request, "clock_ms", System.currentTimeMillis()));
        scheduler = new ManualScheduler(clock);
        log = LogOpening.open(
                directory,
                configOf(request.path("config")),
                numberOr(request, "log_start_offset", 0),
                numberOr(request, "recovery_point", clean ? Long.MAX_VALUE : 0),
                clean,
                scheduler,
                clock,
                new LogDirFailureChannel(1));
    }

    UnifiedLog log() {
        return log;
    }

    ManualClock clock() {
        return clock;
    }

    ManualScheduler scheduler() {
        return scheduler;
    }

    /** Closes as a broker does that stops, after it had the time to remove the files that it marked as deleted. */
    @Override
    public void close() {
        clock.sleep(log.config().fileDeleteDelayMs);
        scheduler.runDue();
        log.close();
        log.removeLogMetrics();
    }

    /** Kafka's topic settings of these names and values, all others at their defaults. */
    static LogConfig configOf(JsonNode settings) {
        Map<String, String> config = new HashMap<>();
        settings.properties().forEach(setting -> config.put(setting.getKey(), setting.getValue().asText()));
        return new LogConfig(config);
    }

    private static long numberOr(JsonNode request, String member, long otherwise) {
        return request.hasNonNull(member) ? request.get(member).longValue() : otherwise;
    }
}
