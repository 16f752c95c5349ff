package varve.peers;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.StringJoiner;

/**
 * Measures logs written in Java, as bench/support/served_program.py tells: kafka|chronicle DIRECTORY [SIZE=NUMBER...].
 *
 * <p>Answers a line of JSON for each line that names a work. Records are numbered from 0: a key of 8 bytes, the number,
 * and a value of 100 bytes that begins with it. Every failure, and every wrong answer, ends it with a stack trace.
 */
public final class Main {
    private Main() {}

    public static void main(String[] arguments) throws Exception {
        Peer peer = Peer.of(arguments[0]);
        PrintStream answers = System.out;
        System.setOut(System.err); // what libraries print is no answer
        Map<String, Long> sizes = new HashMap<>();
        for (int index = 2; index < arguments.length; index++) {
            String[] parts = arguments[index].split("=", 2);
            sizes.put(parts[0], Long.parseLong(parts[1]));
        }
        Works works = new Works(peer, arguments[1], sizes);
        answers.printf("{\"subject\":\"%s\",\"version\":\"%s\",\"works\":[%s],\"process_durability\":\"%s\","
                        + "\"power_durability\":\"%s\"}%n",
                peer.name(), peer.version(), quoted(works.names()), peer.processDurability(), peer.powerDurability());
        serve(works, answers);
        works.forget();
        System.exit(0); // whatever threads of a peer still run
    }

    private static void serve(Works works, PrintStream answers) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        for (String work = lines.readLine(); work != null; work = lines.readLine()) {
            StringJoiner round = new StringJoiner(",");
            for (Map.Entry<String, double[]> one : works.run(work).entrySet()) {
                round.add("{\"subject\":\"" + one.getKey() + "\",\"values\":" + numbers(one.getValue()) + "}");
            }
            answers.printf("{\"work\":\"%s\",\"round\":[%s]}%n", work, round);
        }
    }

    private static String quoted(List<String> names) {
        return "\"" + String.join("\",\"", names) + "\"";
    }

    private static String numbers(double[] values) throws IOException {
        StringJoiner joined = new StringJoiner(",", "[", "]");
        for (double value : values) {
            joined.add(Double.isNaN(value) ? "null" : Double.toString(value));
        }
        return joined.toString();
    }
}
