package varve.kafka;

import com.fasterxml.jackson.databind.node.ArrayNode;
import java.nio.file.Path;
import java.util.Map;
import org.apache.kafka.common.errors.ApiException;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.storage.internals.log.AppendOrigin;
import org.apache.kafka.storage.internals.log.LogConfig;
import org.apache.kafka.storage.internals.log.LogStartOffsetIncrementReason;
import org.apache.kafka.storage.internals.log.RecordValidationException;
import org.apache.kafka.storage.internals.log.UnifiedLog;

/** A random life of one partition, carried out by Kafka: what a leader, a follower and a broker do to a log. */
final class Life {
    private static final long FIRST_MS = 1_700_000_000_000L;
    private static final long A_DAY_MS = 24L * 60 * 60 * 1000;

    /** Something that may happen; it returns what it did. */
    private interface Event {
        String happen() throws Exception;
    }

    private final Dice dice;
    private final ManualClock clock = new ManualClock(FIRST_MS);
    private final BrokerLog broker;
    private final RandomBatches batches;
    private final LiveProducers producers;
    private final LogConfig config;
    private final boolean compactedLeader;
    private final ArrayNode happened = Json.array();
    private int epoch;

    /** A life in a partition directory that does not exist yet. */
    Life(Path directory, Map<String, String> settings, Dice dice) throws Exception {
        this.dice = dice;
        config = new LogConfig(settings);
        broker = new BrokerLog(directory, config, clock);
        batches = new RandomBatches(dice, clock, config.compact, config.messageTimestampType);
        producers = new LiveProducers(dice, batches);
        compactedLeader = config.compact || dice.percent(20);
        epoch = dice.oneOf(0, 0, 3);
        broker.open();
        if (dice.percent(15)) {
            broker.truncateFullyAndStartAt(dice.oneOf(1L, 1000L, 3_000_000_000L, (1L << 53) - 20));
        }
    }

    /** So many steps; the log is open before and after. */
    void live(int steps) throws Exception {
        for (int i = 0; i < steps; ++i) {
            Event event = choose();
            String done;
            try {
                done = event.happen();
            } catch (ApiException | RecordValidationException refused) {
                done = "refused: " + refused.getClass().getSimpleName();
            }
            happened.add(done);
            broker.replicate();
            clock.sleep(dice.percent(90) ? dice.between(0, 3_000) : dice.between(3_000, 60_000));
        }
    }

    ArrayNode happened() {
        return happened;
    }

    long firstMs() {
        return FIRST_MS;
    }

    long nowMs() {
        return clock.milliseconds();
    }

    BrokerLog broker() {
        return broker;
    }

    private UnifiedLog log() {
        return broker.log();
    }

    private Event choose() {
        int kind = dice.between(0, 99);
        if (kind < 30) {
            return this::appendAsLeader;
        }
        if (kind < 42) {
            return this::appendAsFollower;
        }
        if (kind < 56) {
            return () -> send(false);
        }
        if (kind < 66) {
            return () -> send(true);
        }
        if (kind < 73) {
            return this::endTransaction;
        }
        if (kind < 77) {
            return this::electLeader;
        }
        if (kind < 85) {
            return dice.percent(config.compact ? 80 : 10) ? this::compact : this::retain;
        }
        return chooseOfBroker(kind);
    }

    private Event chooseOfBroker(int kind) {
        if (kind < 88) {
            return this::truncate;
        }
        if (kind < 90) {
            return this::raiseLogStart;
        }
        if (kind < 92) {
            return this::flush;
        }
        if (kind < 94) {
            return this::reopenAfterCrash;
        }
        if (kind < 96) {
            return this::reopen;
        }
        if (kind < 97) {
            return this::roll;
        }
        return kind < 99 ? this::waitForTasks : this::checkpoint;
    }

    private String appendAsLeader() throws Exception {
        MemoryRecords batch = batches.toLeader(RandomBatches.Sender.NOBODY, batches.recordCount());
        log().appendAsLeader(batch, epoch);
        return "leader appended up to " + log().logEndOffset();
    }

    private String appendAsFollower() {
        long offset = log().logEndOffset() + (dice.percent(15) ? dice.between(1, 50) : 0);
        if (dice.percent(1)) {
            offset += Integer.MAX_VALUE;  // more than a segment's relative offsets can tell
        }
        epoch += dice.percent(10) ? dice.between(1, 2) : 0;
        MemoryRecords copied = batches.fromLeader(offset, dice.between(1, 4), epoch, compactedLeader);
        log().appendAsFollower(copied, epoch);
        return "follower copied up to " + log().logEndOffset();
    }

    private String send(boolean transactional) throws Exception {
        LiveProducers.Turn turn = producers.next(log(), transactional);
        if (dice.percent(80)) {
            log().appendAsLeader(batches.toLeader(turn.sender(), turn.records()), epoch);
        } else {
            log().appendAsFollower(batches.oneFromLeader(
                    log().logEndOffset(), turn.sender(), turn.records(), epoch, compactedLeader), epoch);
        }
        return "producer " + turn.sender().producerId() + " sent " + turn.what() + ", up to " + log().logEndOffset();
    }

    private String endTransaction() throws Exception {
        boolean leads = dice.percent(80);
        MemoryRecords marker = producers.marker(log(), leads ? 0 : log().logEndOffset(), epoch, clock.milliseconds());
        if (marker == null) {
            return "no transaction";
        }
        if (leads) {
            log().appendAsLeader(marker, epoch, AppendOrigin.COORDINATOR);
        } else {
            log().appendAsFollower(marker, epoch);
        }
        return "transaction ended before " + log().logEndOffset();
    }

    private String electLeader() {
        epoch += dice.between(1, 3);
        log().assignEpochStartOffset(epoch, log().logEndOffset());
        return "epoch " + epoch + " from " + log().logEndOffset();
    }

    private String compact() throws Exception {
        boolean cleaned = broker.clean();
        log().deleteOldSegments();
        return cleaned ? "cleaned" : "nothing to clean";
    }

    private String retain() throws Exception {
        int deleted = log().deleteOldSegments();
        return "retention deleted " + deleted + " segments";
    }

    private String truncate() throws Exception {
        if (dice.percent(8)) {
            long start = Math.max(0, log().logEndOffset() + dice.between(-30, 30));
            broker.truncateFullyAndStartAt(start);
            return "begun anew at " + start;
        }
        long end = log().logEndOffset();
        long start = log().logStartOffset();
        long lowest = dice.percent(10) ? Math.max(0, start - 5) : Math.max(start, end - 40);
        long target = dice.percent(25)
                ? dice.oneOf(broker.segmentBases())
                : dice.between(lowest, Math.max(lowest, end));
        broker.truncateTo(target);
        return "truncated to " + target;
    }

    private String raiseLogStart() {
        long start = dice.between(log().logStartOffset(), log().highWatermark());
        log().maybeIncrementLogStartOffset(start, LogStartOffsetIncrementReason.ClientRecordDeletion);
        return "log start " + start;
    }

    private String flush() throws Exception {
        log().flush(dice.percent(30));
        broker.checkpoint(log().recoveryPoint());
        return "flushed";
    }

    private String checkpoint() throws Exception {
        long start = log().logStartOffset();
        broker.checkpoint(dice.between(start, Math.max(start, log().recoveryPoint())));
        return "checkpoint";
    }

    private String roll() throws Exception {
        log().roll();
        return "rolled at " + log().activeSegment().baseOffset();
    }

    private String waitForTasks() {
        clock.sleep(dice.percent(5) ? A_DAY_MS : 60_000);
        broker.runDue();
        log().removeExpiredProducers(clock.milliseconds());
        return "waited";
    }

    private String reopen() throws Exception {
        broker.close();
        broker.open();
        return "reopened";
    }

    private String reopenAfterCrash() throws Exception {
        broker.crash();
        broker.open();
        return "reopened after a crash";
    }
}
