package varve.peers;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.Stream;

/** The works that a peer is measured by, each one round at a time; an answer has values by subject. */
final class Works {
    private static final int THREADS = 16;
    /** Of a one-record batch of Kafka's format: how many records a log of so many bytes has. */
    private static final long BATCH_OF_ONE_BYTES = 179;

    private final Peer peer;
    private final String directory;
    private final Map<String, Long> sizes;
    private final SplittableRandom random = new SplittableRandom(1);
    private Store prepared;
    private String preparedFor = "";

    Works(Peer peer, String directory, Map<String, Long> sizes) {
        this.peer = peer;
        this.directory = directory;
        this.sizes = sizes;
    }

    List<String> names() {
        List<String> names = new ArrayList<>(List.of("append.one_by_one", "append.tail", "append.batches_of_100",
                "append.batches_of_1_MiB", "durable.one_thread", "lookup.offset.equal_records",
                "scan.one_record_batches", "scan.batches_of_100", "open.one_record_batches", "hand_over.thread",
                "space.one_record_batches"));
        if (peer.manyWriters()) {
            names.add("durable.16_threads");
        }
        if (peer.knowsTimes()) {
            names.add("lookup.time.equal_records");
        }
        return names;
    }

    Map<String, double[]> run(String work) throws Exception {
        if (!work.equals(preparedFor)) {
            forget();
        }
        return switch (work) {
            case "append.one_by_one" -> appendAll((int) size("append_records"), 1, false);
            case "append.tail" -> alone(appendTail());
            case "append.batches_of_100" -> appendBatches(100);
            case "append.batches_of_1_MiB" -> appendBatches((1 << 20) / Records.BYTES);
            case "durable.one_thread" -> alone(durableOneThread());
            case "durable.16_threads" -> alone(durableThreads());
            case "lookup.offset.equal_records" -> alone(lookup(work, Store::read));
            case "lookup.time.equal_records" -> alone(lookup(work, Store::readByTime));
            case "scan.one_record_batches" -> alone(scan(work, 1));
            case "scan.batches_of_100" -> alone(scan(work, 100));
            case "open.one_record_batches" -> alone(openUnclean(work));
            case "hand_over.thread" -> alone(handOver());
            case "space.one_record_batches" -> alone(space());
            default -> throw new IllegalArgumentException("no work " + work);
        };
    }

    void forget() throws Exception {
        if (prepared != null) {
            prepared.close();
        }
        prepared = null;
        preparedFor = "";
        remove(directory + "/prepared");
        remove(directory + "/round");
    }

    private Map<String, double[]> alone(double... values) {
        return Map.of(peer.name(), values);
    }

    private long size(String name) {
        return sizes.get(name);
    }

    private long logRecords() {
        return Math.max(size("log_bytes") / BATCH_OF_ONE_BYTES, 1);
    }

    private static void remove(String path) throws IOException {
        if (!Files.exists(Path.of(path))) {
            return;
        }
        try (Stream<Path> all = Files.walk(Path.of(path))) {
            all.sorted(Comparator.reverseOrder()).map(Path::toFile).forEach(File::delete);
        }
    }

    private static void call(String... command) throws Exception {
        if (new ProcessBuilder(command).inheritIO().start().waitFor() != 0) {
            throw new IOException(String.join(" ", command));
        }
    }

    private Store openFresh(boolean durable) throws Exception {
        String fresh = directory + "/round";
        remove(fresh);
        Files.createDirectories(Path.of(fresh));
        call("sync");
        return peer.opening().open(fresh, durable);
    }

    private static double at(double[] sorted, double share) {
        return sorted[Math.max((int) Math.ceil(share * sorted.length), 1) - 1];
    }

    /** Nanoseconds a record, or, of batches, GB/s of keys and values. */
    private Map<String, double[]> appendAll(int batches, int batchRecords, boolean rate) throws Exception {
        Map<String, double[]> results = new LinkedHashMap<>();
        for (boolean ready : peer.takesReadyBatches() ? new boolean[] {false, true} : new boolean[] {false}) {
            try (Store store = openFresh(false)) {
                long begin = System.nanoTime();
                for (int batch = 0; batch < batches; batch++) {
                    if (ready) {
                        store.appendReady(batchRecords);
                    } else {
                        store.append((long) batch * batchRecords, batchRecords);
                    }
                }
                double ns = System.nanoTime() - begin;
                double records = (double) batches * batchRecords;
                results.put(ready ? peer.name() + ", ready batches" : peer.name(),
                        new double[] {rate ? records * Records.BYTES / ns : ns / records});
            }
        }
        return results;
    }

    private Map<String, double[]> appendBatches(int batchRecords) throws Exception {
        long batches = Math.max(size("append_bytes") / ((long) batchRecords * Records.BYTES), 1);
        return appendAll((int) batches, batchRecords, true);
    }

    private double[] appendTail() throws Exception {
        double[] took = new double[(int) size("append_records")];
        try (Store store = openFresh(false)) {
            long before = System.nanoTime();
            for (int number = 0; number < took.length; number++) {
                store.append(number, 1);
                long now = System.nanoTime();
                took[number] = now - before;
                before = now;
            }
        }
        Arrays.sort(took);
        return new double[] {at(took, 0.5), at(took, 0.99), at(took, 0.999), at(took, 1)};
    }

    private double[] durableOneThread() throws Exception {
        double[] took = new double[(int) size("durable_appends")];
        try (Store store = openFresh(true)) {
            for (int number = 0; number < took.length; number++) {
                long begin = System.nanoTime();
                store.append(number, 1);
                took[number] = (System.nanoTime() - begin) / 1e3;
            }
        }
        Arrays.sort(took);
        return new double[] {at(took, 0.5), at(took, 0.99)};
    }

    private double durableThreads() throws Exception {
        int each = (int) Math.max(size("shared_appends") / THREADS / 8, 1); // an eighth, as nobody shares a sync
        try (Store store = openFresh(true)) {
            List<Thread> threads = new ArrayList<>();
            long begin = System.nanoTime();
            for (int index = 0; index < THREADS; index++) {
                long first = (long) index * each;
                Thread thread = new Thread(() -> appendEach(store, first, each));
                thread.start();
                threads.add(thread);
            }
            for (Thread thread : threads) {
                thread.join();
            }
            return (double) each * THREADS * 1e9 / (System.nanoTime() - begin);
        }
    }

    private static void appendEach(Store store, long first, int count) {
        try {
            for (long number = first; number < first + count; number++) {
                store.append(number, 1);
            }
        } catch (Exception failure) {
            failure.printStackTrace();
            Runtime.getRuntime().halt(3);
        }
    }

    private Store prepare(String work, int batchRecords) throws Exception {
        if (prepared == null) {
            Files.createDirectories(Path.of(directory, "prepared"));
            prepared = peer.opening().open(directory + "/prepared", false);
            preparedFor = work;
            for (long number = 0; number < logRecords(); number += batchRecords) {
                prepared.append(number, (int) Math.min(batchRecords, logRecords() - number));
            }
        }
        return prepared;
    }

    private interface Find {
        void find(Store store, long number) throws Exception;
    }

    private double lookup(String work, Find find) throws Exception {
        Store store = prepare(work, 1);
        long lookups = size("lookups");
        long begin = System.nanoTime();
        for (long lookup = 0; lookup < lookups; lookup++) {
            find.find(store, random.nextLong(logRecords()));
        }
        return (double) (System.nanoTime() - begin) / lookups;
    }

    private double scan(String work, int batchRecords) throws Exception {
        Store store = prepare(work, batchRecords);
        long begin = System.nanoTime();
        if (store.scan() != logRecords()) {
            throw new IllegalStateException("records are missing");
        }
        return (double) logRecords() * Records.BYTES / (System.nanoTime() - begin);
    }

    /** A copy of the files while they are open is what an unclean stop leaves. */
    private double[] openUnclean(String work) throws Exception {
        prepare(work, 1);
        remove(directory + "/round");
        call("cp", "--recursive", "--sparse=always", "--", directory + "/prepared", directory + "/round");
        call("sync");
        long begin = System.nanoTime();
        try (Store store = peer.opening().open(directory + "/round", false)) {
            double ms = (System.nanoTime() - begin) / 1e6;
            store.read(logRecords() - 1);
            return new double[] {ms, Double.NaN, Double.NaN};
        }
    }

    private double[] handOver() throws Exception {
        try (Store store = openFresh(false)) {
            double[] took = new HandOver(store, (int) size("hand_overs")).run();
            return new double[] {at(took, 0.5), at(took, 0.99), at(took, 0.999), at(took, 1)};
        }
    }

    private double[] space() throws Exception {
        long records = size("codec_bytes") / Records.BYTES;
        try (Store store = openFresh(false)) {
            for (long number = 0; number < records; number++) {
                store.append(number, 1);
            }
        }
        Process du = new ProcessBuilder("du", "--summarize", "--block-size=1", directory + "/round").start();
        long bytes = Long.parseLong(new String(du.getInputStream().readAllBytes()).split("\\s")[0]);
        return new double[] {(double) bytes / records - Records.BYTES, Double.NaN};
    }
}
