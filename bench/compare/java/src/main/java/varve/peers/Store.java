package varve.peers;

import java.io.IOException;

/** A log to be measured. Records come in the order of their numbers; each failure is an exception. */
interface Store extends AutoCloseable {
    void append(long first, int count) throws Exception;

    /** Appends a batch that was made before, over and over; only where a peer takes ready-made batches. */
    default void appendReady(int count) throws Exception {
        throw new UnsupportedOperationException();
    }

    /** Finds a record by its number. */
    void read(long number) throws Exception;

    /** Finds the first record that is not older than this one, by time; only where a peer knows times. */
    default void readByTime(long number) throws Exception {
        throw new UnsupportedOperationException();
    }

    /** Reads the next record, if it is there, always on one and the same thread, which is not the one that appends. */
    boolean poll(long number) throws Exception;

    /** Reads all in order; answers how many there are. */
    long scan() throws Exception;

    @Override
    void close() throws IOException;
}
