package varve.peers;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/** The bytes of numbered records. */
final class Records {
    static final int KEY_BYTES = 8;
    static final int VALUE_BYTES = 100;
    static final int BYTES = KEY_BYTES + VALUE_BYTES;
    static final long FIRST_TIMESTAMP_MS = 1_700_000_000_000L;

    private Records() {}

    static byte[] key(long number) {
        return ByteBuffer.allocate(KEY_BYTES).putLong(number).array();
    }

    static byte[] value(long number) {
        byte[] value = new byte[VALUE_BYTES];
        Arrays.fill(value, (byte) 'v');
        ByteBuffer.wrap(value).order(ByteOrder.LITTLE_ENDIAN).putLong(number);
        return value;
    }

    static void check(long number, ByteBuffer key, ByteBuffer value) {
        if (!ByteBuffer.wrap(key(number)).equals(key) || !ByteBuffer.wrap(value(number)).equals(value)) {
            throw new IllegalStateException("another record than " + number);
        }
    }
}
