package varve.peers;

/** A kind of log, and what it can do. */
record Peer(String name, String version, String processDurability, String powerDurability, boolean takesReadyBatches,
        boolean knowsTimes, boolean manyWriters, Opening opening) {
    /** Opens the log of a directory, which exists. */
    interface Opening {
        Store open(String directory, boolean durable) throws Exception;
    }

    static Peer of(String name) {
        return switch (name) {
            case "kafka" -> new Peer("Apache Kafka", versionOf(org.apache.kafka.common.record.MemoryRecords.class),
                    "UnifiedLog.appendAsLeader", "and UnifiedLog.flush", true, true, true, KafkaStore::new);
            case "chronicle" -> new Peer("Chronicle Queue", versionOf(net.openhft.chronicle.queue.ChronicleQueue.class),
                    "ExcerptAppender", "and its sync, SyncMode.SYNC", false, false, false, ChronicleStore::new);
            default -> throw new IllegalArgumentException("kafka or chronicle expected, found " + name);
        };
    }

    /** As the jar's name has it: NAME-VERSION.jar. */
    private static String versionOf(Class<?> type) {
        String jar = type.getProtectionDomain().getCodeSource().getLocation().getPath();
        String name = jar.substring(jar.lastIndexOf('/') + 1).replace(".jar", "");
        return name.substring(name.lastIndexOf('-') + 1);
    }
}
