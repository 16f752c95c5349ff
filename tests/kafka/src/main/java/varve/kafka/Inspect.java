package varve.kafka;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;

/**
 * "inspect": opens a directory, reports all that Kafka finds in it and answers questions, then closes it cleanly.
 *
 * <p>Besides what {@link OpenedLog} takes, the request may have lists of "offsets", "times" and "epochs" to ask for,
 * and "entries_of_many_batches" where an older Kafka wrote. The answer has "found", and "offset_queries",
 * "time_queries" and "epoch_queries", in the form of the manifests of tests/golden. Opening and closing change the
 * directory as a broker would change it, so give it a copy.
 */
final class Inspect implements Request {
    @Override
    public ObjectNode answer(JsonNode request) throws Exception {
        ObjectNode answer = Json.object();
        try (OpenedLog opened = new OpenedLog(request)) {
            // Kafka recovers without a sync, for which it makes up when it stops; varve's recovery point is synced.
            opened.log().flush(true);
            boolean entriesOfManyBatches = request.path("entries_of_many_batches").asBoolean();
            answer.set("found", new LogContents(opened.log(), entriesOfManyBatches).found());
            LogAnswers answers = new LogAnswers(opened.log());
            answer.set("offset_queries", answers.toEach(request.path("offsets"), answers::toOffset));
            answer.set("time_queries", answers.toEach(request.path("times"), answers::toTime));
            answer.set("epoch_queries", answers.toEach(request.path("epochs"), answers::toEpoch));
        }
        return answer;
    }
}
