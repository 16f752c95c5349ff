package varve.kafka;

import java.io.File;
import java.io.IOException;
import java.util.Optional;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.ProducerStateManagerConfig;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.log.metrics.BrokerTopicStats;

/** How a broker opens the log of a partition directory: with a broker's defaults, and by the marks it is given. */
final class LogOpening {
    private static final int MAX_TRANSACTION_TIMEOUT_MS = 15 * 60 * 1000;
    private static final int PRODUCER_EXPIRATION_MS = 24 * 60 * 60 * 1000;
    private static final int PRODUCER_EXPIRATION_CHECK_INTERVAL_MS = 10 * 60 * 1000;

    // Its metrics are the process's, so all logs share it.
    private static final BrokerTopicStats STATS = new BrokerTopicStats();

    private LogOpening() {}

    /** The log, of a leader without followers, which is what a partition alone is: what is written is committed. */
    static UnifiedLog open(File directory, LogConfig config, long logStartOffset, long recoveryPoint, boolean clean,
            ManualScheduler scheduler, ManualClock clock, LogDirFailureChannel failures) throws IOException {
        UnifiedLog log = UnifiedLog.create(
                directory,
                config,
                logStartOffset,
                recoveryPoint,
                scheduler,
                STATS,
                clock,
                MAX_TRANSACTION_TIMEOUT_MS,
                new ProducerStateManagerConfig(PRODUCER_EXPIRATION_MS, false),
                PRODUCER_EXPIRATION_CHECK_INTERVAL_MS,
                failures,
                clean,
                Optional.empty());
        log.updateHighWatermark(log.logEndOffset());
        return log;
    }
}
