package varve.kafka;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.DigestException;
import java.security.NoSuchAlgorithmException;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.storage.internals.checkpoint.CleanShutdownFileHandler;
import org.apache.kafka.storage.internals.checkpoint.OffsetCheckpointFile;
import org.apache.kafka.storage.internals.log.Cleaner;
import org.apache.kafka.storage.internals.log.LogCleanerManager;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogDirFailureChannel;
import org.apache.kafka.storage.internals.log.LogToClean;
import org.apache.kafka.storage.internals.log.SkimpyOffsetMap;
import org.apache.kafka.storage.internals.log.UnifiedLog;
import org.apache.kafka.storage.internals.utils.Throttler;

/**
 * A partition in a data directory of its own, kept by Kafka's classes as a broker keeps it: opened by the marks that
 * lie beside it, which are written again when it closes, and cleaned as the broker's cleaner does it.
 */
final class BrokerLog {
    private static final String RECOVERY_POINTS = "recovery-point-offset-checkpoint";
    private static final String LOG_STARTS = "log-start-offset-checkpoint";
    private static final String HIGH_WATERMARKS = "replication-offset-checkpoint";

    // Enough for the small logs of tests.
    private static final int CLEANER_BUFFER_BYTES = 64 * 1024;
    private static final int DEDUPE_BUFFER_BYTES = 512 * 1024;
    // A broker's default.
    private static final double DEDUPE_LOAD_FACTOR = 0.9;

    private final Path directory;
    private final TopicPartition partition;
    private final LogConfig config;
    private final ManualClock clock;
    private final LogDirFailureChannel failures = new LogDirFailureChannel(1);
    private ManualScheduler scheduler;
    private UnifiedLog log;

    /** The log of a partition directory, which need not exist; it is not opened yet. */
    BrokerLog(Path directory, LogConfig config, ManualClock clock) throws IOException {
        this.directory = directory;
        this.partition = UnifiedLog.parseTopicPartitionName(directory.toFile());
        this.config = config;
        this.clock = clock;
    }

    UnifiedLog log() {
        return log;
    }

    /** Opens the log by the marks; the clean marker is taken away first, as it holds for one opening. */
    void open() throws Exception {
        Files.createDirectories(directory.getParent());
        boolean isNew = !Files.isDirectory(directory);
        CleanShutdownFileHandler marker = cleanMarker();
        boolean clean = marker.exists();
        marker.delete();
        scheduler = new ManualScheduler(clock);
        log = LogOpening.open(
                directory.toFile(),
                config,
                logStartMark(),
                recoveryPointMark(),
                clean || isNew,
                scheduler,
                clock,
                failures);
        if (isNew) {
            checkpoint(0);
        }
    }

    /** The single replica has everything, so all is committed. */
    void replicate() throws IOException {
        log.updateHighWatermark(log.logEndOffset());
    }

    /** Runs what waited for the present time, such as the removal of deleted files. */
    void runDue() {
        scheduler.runDue();
    }

    /**
     * Writes the marks of a broker that goes on. What is known to be on disk may be written as less, as the mark of a
     * broker that writes it once a minute.
     */
    void checkpoint(long recoveryPoint) throws IOException {
        write(RECOVERY_POINTS, Map.of(partition, Math.min(recoveryPoint, log.recoveryPoint())));
        write(HIGH_WATERMARKS, Map.of(partition, log.highWatermark()));
        boolean startsInside = log.logStartOffset() > log.logSegments().get(0).baseOffset();
        write(LOG_STARTS, startsInside ? Map.of(partition, log.logStartOffset()) : Map.of());
    }

    /** Stops as a broker does that is told to. What was to be deleted later stays. */
    void close() throws Exception {
        log.flush(true);
        log.close();
        checkpoint(log.recoveryPoint());
        cleanMarker().write(0);
        letGo();
    }

    /** Leaves the files as they are. */
    void crash() {
        log.closeHandlers();
        letGo();
    }

    private void letGo() {
        scheduler.shutdown();
        log.removeLogMetrics();
        log = null;
    }

    /** What the mark beside the partition says was synced; 0 without one. */
    private long recoveryPointMark() throws IOException {
        return read(RECOVERY_POINTS).getOrDefault(partition, 0L);
    }

    private long logStartMark() throws IOException {
        return read(LOG_STARTS).getOrDefault(partition, 0L);
    }

    /** Truncates as a follower does; the marks follow at once. */
    void truncateTo(long offset) throws IOException {
        log.truncateTo(offset);
        afterTruncation();
    }

    void truncateFullyAndStartAt(long offset) throws IOException {
        log.truncateFullyAndStartAt(offset, Optional.empty());
        afterTruncation();
    }

    private void afterTruncation() throws IOException {
        replicate();
        Map<TopicPartition, Long> cleaned = read(LogCleanerManager.OFFSET_CHECKPOINT_FILE);
        long highest = log.activeSegment().baseOffset();
        if (cleaned.getOrDefault(partition, 0L) > highest) {
            write(LogCleanerManager.OFFSET_CHECKPOINT_FILE, Map.of(partition, highest));
        }
        checkpoint(log.recoveryPoint());
    }

    /** One round of Kafka's cleaner, if anything can be cleaned; says whether. */
    boolean clean() throws IOException, DigestException, NoSuchAlgorithmException {
        Optional<Long> cleaned = Optional.ofNullable(read(LogCleanerManager.OFFSET_CHECKPOINT_FILE).get(partition));
        LogCleanerManager.OffsetsToClean range =
                LogCleanerManager.cleanableOffsets(log, cleaned, clock.milliseconds());
        LogToClean dirty = new LogToClean(log, range.firstDirtyOffset(), range.firstUncleanableDirtyOffset(), false);
        if (dirty.cleanableBytes() == 0) {
            return false;
        }
        long firstDirty = newCleaner().doClean(dirty, clock.milliseconds()).getKey();
        write(LogCleanerManager.OFFSET_CHECKPOINT_FILE, Map.of(partition, firstDirty));
        return true;
    }

    /** Everything that was cleaned counts as dirty again. */
    void forgetCleaning() throws IOException {
        write(LogCleanerManager.OFFSET_CHECKPOINT_FILE, Map.of());
    }

    private Cleaner newCleaner() throws NoSuchAlgorithmException {
        Throttler unlimited = new Throttler(Double.MAX_VALUE, Long.MAX_VALUE, "cleaner", "bytes", clock);
        return new Cleaner(0, new SkimpyOffsetMap(DEDUPE_BUFFER_BYTES), CLEANER_BUFFER_BYTES, config.maxMessageSize(),
                DEDUPE_LOAD_FACTOR, unlimited, clock, nobodyAborts -> {});
    }

    private CleanShutdownFileHandler cleanMarker() {
        return new CleanShutdownFileHandler(directory.getParent().toString());
    }

    private Map<TopicPartition, Long> read(String name) throws IOException {
        return new HashMap<>(checkpointFile(name).read());
    }

    private void write(String name, Map<TopicPartition, Long> offsets) throws IOException {
        checkpointFile(name).write(offsets);
    }

    private OffsetCheckpointFile checkpointFile(String name) throws IOException {
        return new OffsetCheckpointFile(directory.getParent().resolve(name).toFile(), failures);
    }

    /** Base offsets of the segments, for whoever looks for edges. */
    List<Long> segmentBases() {
        return log.logSegments().stream().map(segment -> segment.baseOffset()).toList();
    }
}
