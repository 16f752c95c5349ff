package varve.kafka;

import java.util.Map;
import java.util.TreeMap;

/** Topic settings for a generated life: small segments and indexes, so that a short life meets every edge. */
final class LifeConfig {
    private LifeConfig() {}

    static Map<String, String> random(Dice dice) {
        Map<String, String> settings = new TreeMap<>();
        settings.put("cleanup.policy", dice.oneOf("delete", "delete", "compact", "compact", "compact,delete"));
        sizes(dice, settings);
        times(dice, settings);
        if (dice.percent(15)) {
            settings.put("message.timestamp.type", "LogAppendTime");
        }
        if (dice.percent(20)) {
            settings.put("compression.type", dice.oneOf("gzip", "snappy", "lz4", "zstd", "uncompressed"));
        }
        if (dice.percent(6) && settings.containsKey("internal.segment.bytes")) {
            settings.put("preallocate", "true");
        }
        if (dice.percent(15)) {
            settings.put("flush.messages", String.valueOf(dice.between(1, 60)));
        }
        return settings;
    }

    private static void sizes(Dice dice, Map<String, String> settings) {
        int interval = dice.oneOf(0, 64, 256, 512, 512, 1024, 4096);
        settings.put("index.interval.bytes", String.valueOf(interval));
        if (dice.percent(95)) {
            settings.put("internal.segment.bytes", String.valueOf(dice.oneOf(3000, 4096, 8192, 8192, 16384, 50000)));
        }
        // A file of this size stands behind each index of the active segment, so the default is seldom taken.
        if (dice.percent(95)) {
            settings.put("segment.index.bytes", String.valueOf(dice.oneOf(4096, 8192, 10_000)));
        }
    }

    private static void times(Dice dice, Map<String, String> settings) {
        if (dice.percent(30)) {
            settings.put("segment.ms", String.valueOf(dice.between(5_000, 120_000)));
        }
        if (dice.percent(30)) {
            settings.put("retention.ms", String.valueOf(dice.between(20_000, 600_000)));
        }
        if (dice.percent(30)) {
            settings.put("retention.bytes", String.valueOf(dice.between(5_000, 60_000)));
        }
        settings.put("delete.retention.ms", String.valueOf(dice.oneOf(0, 1000, 60_000, 86_400_000)));
        if (dice.percent(20)) {
            settings.put("min.compaction.lag.ms", String.valueOf(dice.between(1, 60_000)));
        }
        if (dice.percent(30)) {
            settings.put("message.timestamp.after.max.ms", String.valueOf(Long.MAX_VALUE));
        }
    }
}
