package org.sftnative.dist;

import java.util.Map;
import java.util.Optional;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;

/// All ranks of a run, as one of them sees them. Every method but the first few is a meeting: all ranks
/// call it, in the same order, and wait for one another. In a run of one process, [#ALONE], each of
/// them is nothing.
public interface World extends AutoCloseable {
    /// A run of one process.
    World ALONE = new Alone();

    /// This process's number, from 0.
    int rank();

    /// Processes of the run.
    int size();

    /// This process's number among those of its machine.
    int localRank();

    /// Processes of the run on this machine.
    int localSize();

    /// Whether this rank speaks and writes for all.
    default boolean leads() {
        return rank() == 0;
    }

    /// What carries the run's tensors, in words; empty for a run of one process.
    String describe();

    /// Says where the run's tensors live, once, before any of them is sent.
    void on(Device device);

    /// Adds up a tensor over all ranks, in place: the same bits on every rank. Sums of bf16 are taken
    /// in fp32.
    ///
    /// @param tensor contiguous; any views of one buffer, of the same shape on every rank
    void sum(Tensor tensor);

    /// Adds up a flat buffer over all ranks; each gets the sum of its own [Part], and the rest is of no
    /// meaning.
    void reduceScatter(Tensor flat);

    /// Begins to add up a tensor over all ranks, in place, for one of them, and returns; with the others it
    /// is of no meaning then. Nobody touches it until the end is awaited.
    ///
    /// @param tensor fp32, contiguous
    Sending sumFor(int rank, Tensor tensor);

    /// Begins to give every rank a tensor that one of them has, and returns. Nobody touches it until the end
    /// is awaited.
    ///
    /// @param tensor contiguous, of the same type and shape on every rank
    Sending copyFrom(int rank, Tensor tensor);

    /// What was begun, and goes on while something else is computed.
    interface Sending {
        /// Waits for its end, once.
        void await();
    }

    /// Gives every rank every other's [Part] of a flat buffer.
    void allGather(Tensor flat);

    /// Gives every rank the tensor that rank 0 has.
    void broadcast(Tensor tensor);

    /// Numbers of every rank for every rank.
    ///
    /// @param mine as many on each rank
    /// @return by rank, then as given
    double[][] exchange(double... mine);

    /// Waits until every rank is here.
    default void barrier() {
        exchange(0);
    }

    /// What rank 0 says, for every rank.
    String first(String mine);

    /// Refuses what ranks must have in common and have not.
    ///
    /// @param what of which this is, in words: `settings`
    /// @param values by name
    /// @throws org.sftnative.InputException on a rank that differs from rank 0, naming both values
    void agree(String what, Map<String, String> values);

    /// What this rank has spent with the others so far.
    Spent spent();

    /// Time of one rank.
    ///
    /// @param waitingNanos of the host, for the slowest rank, at meetings where next to nothing is sent: a GPU
    ///     may have work meanwhile
    /// @param sendingNanos in sums and copies of tensors; of a GPU, what it waited for them with nothing else to do
    record Spent(long waitingNanos, long sendingNanos) {}

    /// Leaves word under a name that was never used before; no meeting, and from any thread.
    void leave(String name, String word);

    /// The word left under a name, if there is one by now; no meeting, and from any thread.
    Optional<String> left(String name);

    /// Tells the others why this rank ends before its time.
    ///
    /// @return whether this rank must tell the user, which rank 0 does as long as it can
    boolean failed(String why);

    /// Leaves, all being well.
    @Override
    void close();

    /// The sum over ranks of one of the numbers of an [#exchange].
    static double sum(double[][] exchanged, int column) {
        double sum = 0;
        for (double[] rank : exchanged) {
            sum += rank[column];
        }
        return sum;
    }

    /// The largest of one of the numbers.
    static double max(double[][] exchanged, int column) {
        double max = exchanged[0][column];
        for (double[] rank : exchanged) {
            max = Math.max(max, rank[column]);
        }
        return max;
    }
}
