package varve.kafka;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;

/**
 * "live": carries out a random life in "dir", a partition directory that does not exist yet and has its parent for
 * itself, by "seed" and in so many "steps". It ends as after a clean stop or as after a crash, with a broker's marks
 * beside the directory.
 *
 * <p>The answer has the "config", whether the log was closed "clean", "first_ms" and "clock_ms", the clock's time
 * before the first step and after the last, and "operations", what happened, in words.
 */
final class Live implements Request {
    @Override
    public ObjectNode answer(JsonNode request) throws Exception {
        Path directory = Path.of(request.required("dir").asText());
        if (Files.exists(directory)) {
            throw new IllegalArgumentException(directory + " exists");
        }
        Dice dice = new Dice(request.required("seed").longValue());
        Map<String, String> settings = LifeConfig.random(dice);
        Life life = new Life(directory, settings, dice);
        life.live(request.required("steps").intValue());
        boolean clean = dice.percent(50);
        BrokerLog broker = life.broker();
        if (clean) {
            broker.close();
        } else {
            broker.crash();
        }
        ObjectNode answer = Json.object();
        ObjectNode config = answer.putObject("config");
        settings.forEach(config::put);
        answer.put("clean", clean);
        answer.put("first_ms", life.firstMs());
        answer.put("clock_ms", life.nowMs());
        answer.set("operations", life.happened());
        return answer;
    }
}
