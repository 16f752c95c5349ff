package varve.kafka;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.CreateTopicsResult;
import org.apache.kafka.clients.admin.NewTopic;

/**
 * "create_topics": has the broker at "broker" create topics of one partition; "topics" maps the name of each to its
 * settings. The answer's "ids" maps each name to the topic id in the form of partition.metadata.
 */
final class CreateTopics implements Request {
    @Override
    public ObjectNode answer(JsonNode request) throws Exception {
        List<NewTopic> topics = new ArrayList<>();
        for (Map.Entry<String, JsonNode> topic : request.get("topics").properties()) {
            Map<String, String> config = new HashMap<>();
            topic.getValue().properties().forEach(setting -> config.put(setting.getKey(), setting.getValue().asText()));
            topics.add(new NewTopic(topic.getKey(), 1, (short) 1).configs(config));
        }
        ObjectNode ids = Json.object();
        try (Admin admin = Admin.create(Map.of("bootstrap.servers", request.get("broker").asText()))) {
            CreateTopicsResult created = admin.createTopics(topics);
            for (NewTopic topic : topics) {
                ids.put(topic.name(), created.topicId(topic.name()).get().toString());
            }
        }
        ObjectNode answer = Json.object();
        answer.set("ids", ids);
        return answer;
    }
}
