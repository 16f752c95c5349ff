package varve.kafka;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Future;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/**
 * "produce": Kafka's own producers write to partition 0 of "topic" at "broker", several of them in turn.
 *
 * <p>"producers" maps names to settings. Each of "steps" is [producer, "begin" | "commit" | "abort"], or
 * [producer, "send", records], which makes one batch of them, where settings do not forbid that, and waits until it is
 * written. A record is [timestamp, key, value, [[header key, header value]...]], in base64, or null. A transaction
 * that no step ends stays open.
 */
final class Produce implements Request {
    private static final Map<String, Object> SETTINGS = Map.of(
            "acks", "all",
            // A batch is sent by flush() alone, which the steps decide.
            "linger.ms", 3_600_000,
            "delivery.timeout.ms", 7_200_000,
            // The longest that a broker allows: on a slow machine it aborts nothing that is to stay open.
            "transaction.timeout.ms", 900_000,
            "batch.size", 1 << 20);

    @Override
    public ObjectNode answer(JsonNode request) throws Exception {
        Map<String, KafkaProducer<byte[], byte[]>> producers = new HashMap<>();
        try {
            for (Map.Entry<String, JsonNode> producer : request.get("producers").properties()) {
                producers.put(producer.getKey(), start(request.get("broker").asText(), producer.getValue()));
            }
            for (JsonNode step : request.get("steps")) {
                take(step, producers.get(step.get(0).asText()), request.get("topic").asText());
            }
        } finally {
            // Without a time to close in, a producer leaves its transaction as it is; with one it would abort it.
            producers.values().forEach(producer -> producer.close(Duration.ZERO));
        }
        return Json.object();
    }

    private static KafkaProducer<byte[], byte[]> start(String broker, JsonNode settings) {
        Map<String, Object> config = new HashMap<>(SETTINGS);
        config.put("bootstrap.servers", broker);
        settings.properties().forEach(setting -> config.put(setting.getKey(), setting.getValue().asText()));
        KafkaProducer<byte[], byte[]> producer =
                new KafkaProducer<>(config, new ByteArraySerializer(), new ByteArraySerializer());
        if (config.containsKey("transactional.id")) {
            producer.initTransactions();
        }
        return producer;
    }

    private static void take(JsonNode step, KafkaProducer<byte[], byte[]> producer, String topic) throws Exception {
        switch (step.get(1).asText()) {
            case "begin" -> producer.beginTransaction();
            case "commit" -> producer.commitTransaction();
            case "abort" -> producer.abortTransaction();
            case "send" -> send(step.get(2), producer, topic);
            default -> throw new IllegalArgumentException("no step " + step);
        }
    }

    private static void send(JsonNode records, KafkaProducer<byte[], byte[]> producer, String topic) throws Exception {
        List<Future<RecordMetadata>> sent = new ArrayList<>();
        for (JsonNode record : records) {
            sent.add(producer.send(toRecord(record, topic)));
        }
        producer.flush();
        for (Future<RecordMetadata> one : sent) {
            one.get();
        }
    }

    private static ProducerRecord<byte[], byte[]> toRecord(JsonNode record, String topic) throws IOException {
        ProducerRecord<byte[], byte[]> made = new ProducerRecord<>(
                topic, 0, record.get(0).asLong(), content(record.get(1)), content(record.get(2)));
        for (JsonNode header : record.get(3)) {
            made.headers().add(header.get(0).asText(), content(header.get(1)));
        }
        return made;
    }

    private static byte[] content(JsonNode base64) throws IOException {
        return base64.isNull() ? null : base64.binaryValue();
    }
}
