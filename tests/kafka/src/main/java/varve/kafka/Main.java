package varve.kafka;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** Answers requests, a line of JSON each, until standard input ends. Nothing but answers goes to standard output. */
public final class Main {
    private static final Map<String, Request> REQUESTS = Map.of(
            "create_topics", new CreateTopics(),
            "inspect", new Inspect(),
            "produce", new Produce(),
            "live", new Live(),
            "continue", new Continue(),
            "clean", new Clean());

    private Main() {}

    public static void main(String[] arguments) throws IOException {
        PrintStream answers = new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
        // Whatever else is printed, by whichever class, must not get among the answers.
        System.setOut(System.err);
        BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = requests.readLine(); line != null; line = requests.readLine()) {
            answers.println(Json.text(answer(line)));
            answers.flush();
        }
    }

    private static ObjectNode answer(String line) {
        ObjectNode answer = Json.object();
        try {
            JsonNode request = Json.parse(line);
            String name = request.path("do").asText();
            Request chosen = REQUESTS.get(name);
            if (chosen == null) {
                throw new IllegalArgumentException("no request \"" + name + "\"; there are " + REQUESTS.keySet());
            }
            ObjectNode members = chosen.answer(request);
            answer.put("ok", true);
            answer.setAll(members);
        } catch (Exception | LinkageError | AssertionError | StackOverflowError e) {
            e.printStackTrace();
            answer.put("ok", false);
            answer.put("error", e.toString());
        }
        return answer;
    }
}
