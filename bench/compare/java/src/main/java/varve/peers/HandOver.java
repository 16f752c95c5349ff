package varve.peers;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicLong;

/**
 * From append to a reader in another thread, who asks over and over. The two take turns: the next record is appended
 * once the one before has arrived, and a moment later.
 */
final class HandOver {
    private static final long PAUSE_NS = 2_000;

    private final Store store;
    private final double[] tookNs;
    private final AtomicLong arrived = new AtomicLong();
    private volatile long begunNs;

    HandOver(Store store, int count) {
        this.store = store;
        this.tookNs = new double[count];
    }

    /** How long each took, the shortest first. */
    double[] run() throws Exception {
        Thread reader = new Thread(this::read);
        reader.start();
        for (int number = 0; number < tookNs.length; number++) {
            long begin = System.nanoTime() + PAUSE_NS;
            while (System.nanoTime() < begin) {
                Thread.onSpinWait();
            }
            begunNs = System.nanoTime();
            store.append(number, 1);
            while (arrived.get() <= number) {
                Thread.onSpinWait();
            }
        }
        reader.join();
        Arrays.sort(tookNs);
        return tookNs;
    }

    private void read() {
        try {
            for (int number = 0; number < tookNs.length; number++) {
                while (!store.poll(number)) {
                    Thread.onSpinWait();
                }
                tookNs[number] = System.nanoTime() - begunNs;
                arrived.set(number + 1);
            }
        } catch (Exception failure) {
            failure.printStackTrace();
            Runtime.getRuntime().halt(3);
        }
    }
}
