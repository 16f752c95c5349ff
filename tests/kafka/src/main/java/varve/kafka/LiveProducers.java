package varve.kafka;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.record.ControlRecordType;
import org.apache.kafka.common.record.EndTransactionMarker;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.storage.internals.log.BatchMetadata;
import org.apache.kafka.storage.internals.log.ProducerStateEntry;
import org.apache.kafka.storage.internals.log.UnifiedLog;

/**
 * The idempotent and the transactional producers of a generated life. What they send next follows from what the log
 * knows of them, as truncations and crashes take back what they sent.
 */
final class LiveProducers {
    /** A batch's sender and how many records it has; a repeated batch must have as many as before. */
    record Turn(RandomBatches.Sender sender, int records, String what) {}

    private static final long FIRST_IDEMPOTENT = 1001;
    private static final long FIRST_TRANSACTIONAL = 7001;
    private static final int PRODUCERS_OF_A_KIND = 4;

    private final Dice dice;
    private final RandomBatches batches;

    LiveProducers(Dice dice, RandomBatches batches) {
        this.dice = dice;
        this.batches = batches;
    }

    /** The sequence after a producer's last one. */
    static int nextSequence(ProducerStateEntry known) {
        return known.lastSeq() == Integer.MAX_VALUE ? 0 : known.lastSeq() + 1;
    }

    /** Whose turn it is and with what: mostly the next sequence, else a repeated, a wrong or a new epoch's batch. */
    Turn next(UnifiedLog log, boolean transactional) {
        long id = (transactional ? FIRST_TRANSACTIONAL : FIRST_IDEMPOTENT) + dice.between(0, PRODUCERS_OF_A_KIND - 1);
        ProducerStateEntry known = log.producerStateManager().activeProducers().get(id);
        if (known == null) {
            return first(id, transactional);
        }
        int kind = dice.between(0, 99);
        short epoch = known.producerEpoch();
        int records = batches.recordCount();
        if (kind < 8 && !known.isEmpty()) {
            BatchMetadata last = new ArrayList<>(known.batchMetadata()).get(known.batchMetadata().size() - 1);
            return new Turn(new RandomBatches.Sender(id, epoch, last.firstSeq(), transactional), last.offsetDelta + 1,
                    "again");
        }
        if (kind < 12) {
            return new Turn(new RandomBatches.Sender(id, epoch, nextSequence(known) / 2 + 77, transactional), records,
                    "with a wrong sequence");
        }
        if (kind < 15 && epoch > 0) {
            return new Turn(new RandomBatches.Sender(id, (short) (epoch - 1), 0, transactional), records,
                    "of an old epoch");
        }
        if (kind < 25 || known.isEmpty()) {
            short next = (short) (epoch + dice.between(0, 2));
            return new Turn(new RandomBatches.Sender(id, next, 0, transactional), records, "of a new epoch");
        }
        return new Turn(new RandomBatches.Sender(id, epoch, nextSequence(known), transactional), records, "next");
    }

    private Turn first(long id, boolean transactional) {
        int records = batches.recordCount();
        // Close to the end of the sequences now and then, so that they begin again.
        int sequence = dice.percent(60) ? 0 : Integer.MAX_VALUE - dice.between(0, 40);
        short epoch = (short) dice.between(0, 3);
        return new Turn(new RandomBatches.Sender(id, epoch, sequence, transactional), records, "first");
    }

    /** The marker that ends a transaction, now and then of a producer that has none; null where nobody is known. */
    MemoryRecords marker(UnifiedLog log, long offset, int leaderEpoch, long nowMs) {
        List<Map.Entry<Long, ProducerStateEntry>> candidates = transactional(log);
        if (candidates.isEmpty()) {
            return null;
        }
        Map.Entry<Long, ProducerStateEntry> chosen = dice.oneOf(candidates);
        ProducerStateEntry known = chosen.getValue();
        ControlRecordType type = dice.percent(50) ? ControlRecordType.COMMIT : ControlRecordType.ABORT;
        int coordinatorEpoch = Math.max(known.coordinatorEpoch(), 0) + (dice.percent(10) ? 1 : 0);
        // Since transactions of the second version the marker raises the producer's epoch.
        short epoch = (short) (known.producerEpoch() + (dice.percent(30) ? 1 : 0));
        return MemoryRecords.withEndTransactionMarker(offset, nowMs, leaderEpoch, chosen.getKey(), epoch,
                new EndTransactionMarker(type, coordinatorEpoch));
    }

    private List<Map.Entry<Long, ProducerStateEntry>> transactional(UnifiedLog log) {
        Map<Long, ProducerStateEntry> active = log.producerStateManager().activeProducers();
        List<Map.Entry<Long, ProducerStateEntry>> known = active.entrySet().stream()
                .filter(producer -> producer.getKey() >= FIRST_TRANSACTIONAL)
                .sorted(Map.Entry.comparingByKey())
                .toList();
        List<Map.Entry<Long, ProducerStateEntry>> open =
                known.stream().filter(producer -> producer.getValue().currentTxnFirstOffset().isPresent()).toList();
        return open.isEmpty() || dice.percent(10) ? known : open;
    }
}
