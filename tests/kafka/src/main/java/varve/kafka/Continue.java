package varve.kafka;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.kafka.common.record.MemoryRecords;
import org.apache.kafka.storage.internals.log.LogAppendInfo;
import org.apache.kafka.storage.internals.log.ProducerStateEntry;
import org.apache.kafka.storage.internals.log.UnifiedLog;

/**
 * "continue": opens "dir" by the marks beside it, with "config" and "clock_ms", appends the next batch of each producer
 * that the log knows, by "seed", and stops cleanly.
 *
 * <p>The answer's "appended" has a list of "producer_id", "epoch", "base_sequence", "base_offset" and "last_offset".
 */
final class Continue implements Request {
    @Override
    public ObjectNode answer(JsonNode request) throws Exception {
        ManualClock clock = new ManualClock(request.required("clock_ms").longValue());
        BrokerLog broker = new BrokerLog(
                Path.of(request.required("dir").asText()), OpenedLog.configOf(request.required("config")), clock);
        broker.open();
        UnifiedLog log = broker.log();
        Dice dice = new Dice(request.required("seed").longValue());
        RandomBatches batches = new RandomBatches(
                dice, clock, log.config().compact, log.config().messageTimestampType);
        int epoch = log.latestEpoch().orElse(0);
        ArrayNode appended = Json.array();
        for (RandomBatches.Sender sender : senders(log)) {
            MemoryRecords batch = batches.toLeader(sender, dice.between(1, 3));
            LogAppendInfo info = log.appendAsLeader(batch, epoch);
            appended.addObject()
                    .put("producer_id", sender.producerId())
                    .put("epoch", sender.producerEpoch())
                    .put("base_sequence", sender.baseSequence())
                    .put("base_offset", info.firstOffset())
                    .put("last_offset", info.lastOffset());
        }
        broker.close();
        ObjectNode answer = Json.object();
        answer.set("appended", appended);
        return answer;
    }

    private static List<RandomBatches.Sender> senders(UnifiedLog log) {
        return log.producerStateManager().activeProducers().entrySet().stream()
                .sorted(Map.Entry.comparingByKey())
                .map(producer -> next(producer.getKey(), producer.getValue()))
                .toList();
    }

    /** A marker that raised the epoch makes the producer begin at 0 again. */
    private static RandomBatches.Sender next(long producerId, ProducerStateEntry known) {
        return new RandomBatches.Sender(producerId, known.producerEpoch(), LiveProducers.nextSequence(known),
                known.currentTxnFirstOffset().isPresent());
    }
}
