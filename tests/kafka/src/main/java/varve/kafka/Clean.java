package varve.kafka;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.nio.file.Path;

/**
 * "clean": opens "dir" by the marks beside it, with "config" and "clock_ms", begins a new segment so that none of the
 * records is out of the cleaner's reach, cleans the log from its start in so many "rounds", and stops cleanly.
 */
final class Clean implements Request {
    @Override
    public ObjectNode answer(JsonNode request) throws Exception {
        BrokerLog broker = new BrokerLog(
                Path.of(request.required("dir").asText()),
                OpenedLog.configOf(request.required("config")),
                new ManualClock(request.required("clock_ms").longValue()));
        broker.open();
        broker.log().roll();
        for (int round = request.required("rounds").intValue(); round > 0; --round) {
            broker.forgetCleaning();
            broker.clean();
        }
        broker.close();
        return Json.object();
    }
}
