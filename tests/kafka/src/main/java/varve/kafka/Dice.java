package varve.kafka;

import java.util.List;
import java.util.Random;

/** The choices of a generated life: the same seed makes the same ones. */
final class Dice {
    private final Random random;

    Dice(long seed) {
        // Neighbouring seeds give neighbouring first numbers; multiplied by a large odd number they do not.
        random = new Random(seed * 0x9e3779b97f4a7c15L);
    }

    /** True in so many of a hundred cases. */
    boolean percent(int chances) {
        return random.nextInt(100) < chances;
    }

    /** From least to most, both included. */
    int between(int least, int most) {
        return least + random.nextInt(most - least + 1);
    }

    /** From least to most, both included. */
    long between(long least, long most) {
        return least + Math.floorMod(random.nextLong(), most - least + 1);
    }

    @SafeVarargs
    final <T> T oneOf(T... choices) {
        return choices[random.nextInt(choices.length)];
    }

    <T> T oneOf(List<T> choices) {
        return choices.get(random.nextInt(choices.size()));
    }

    byte[] bytes(int count) {
        byte[] bytes = new byte[count];
        random.nextBytes(bytes);
        return bytes;
    }
}
