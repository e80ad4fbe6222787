package org.sftnative.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import org.sftnative.config.CombineChoice;

/// Which documents an epoch trains and in which order: a pure function of the epoch's number.
///
/// Every document of the training files comes once an epoch. A mixed set gives so many documents
/// that they are its share of all that the epoch trains, counted in documents: with n documents of
/// training files and shares that sum up to s, an epoch has n / (1 - s). It gives them from an
/// order of its own, and goes on in the next epoch where it stopped, so that none comes again
/// before all have come; then it begins a new order.
///
/// Shuffled and concatenated, all are shuffled together. Interleaved, files are shuffled one by one
/// and come in turns, in proportion to their documents. Without shuffling files keep their order,
/// and mixed sets are spread evenly.
public final class Blend {
    private final int trained;
    private final List<Part> files = new ArrayList<>();
    private final List<Part> mixed = new ArrayList<>();
    private final CombineChoice combine;
    private final long seed;
    private final boolean shuffle;

    /// Documents of one file or mixed set.
    ///
    /// @param number its place among all, from 1: each has random numbers of its own
    /// @param first index of its first document
    /// @param size how many it has
    /// @param take how many an epoch takes
    private record Part(int number, int first, int size, int take) {}

    /// @param dataset at least one document that is not mixed in
    public Blend(Dataset dataset, CombineChoice combine, long seed, boolean shuffle) {
        this.combine = combine;
        this.seed = seed;
        this.shuffle = shuffle;
        int all = dataset.documents().size();
        List<Dataset.Mix> mixes = dataset.mixes();
        trained = mixes.isEmpty() ? all : mixes.getFirst().first();
        if (trained < 1) {
            throw new IllegalArgumentException("no documents");
        }
        int number = 1;
        List<Dataset.Source> sources = dataset.sources().stream()
                .filter(source -> source.first() < trained)
                .toList();
        for (int i = 0; i < sources.size(); i++) {
            int first = sources.get(i).first();
            int end = i + 1 < sources.size() ? sources.get(i + 1).first() : trained;
            if (end > first) {
                files.add(new Part(number++, first, end - first, end - first));
            }
        }
        double total =
                trained / (1 - mixes.stream().mapToDouble(Dataset.Mix::share).sum());
        for (int i = 0; i < mixes.size(); i++) {
            int first = mixes.get(i).first();
            int end = i + 1 < mixes.size() ? mixes.get(i + 1).first() : all;
            long take = Math.round(mixes.get(i).share() * total);
            mixed.add(new Part(number++, first, end - first, Math.toIntExact(take)));
        }
    }

    /// Documents of an epoch; every epoch has as many.
    public int size() {
        return Math.toIntExact(trained + mixed.stream().mapToLong(Part::take).sum());
    }

    /// Documents that an epoch takes of each mixed set.
    public List<Integer> taken() {
        return mixed.stream().map(Part::take).toList();
    }

    /// Indices of an epoch's documents.
    ///
    /// @param epoch from 0
    public int[] order(long epoch) {
        List<int[]> streams = new ArrayList<>();
        if (combine == CombineChoice.INTERLEAVE) {
            files.forEach(file -> streams.add(cycled(file, epoch)));
        } else {
            streams.add(EpochOrder.identity(trained));
        }
        mixed.forEach(set -> streams.add(cycled(set, epoch)));
        if (combine == CombineChoice.CONCATENATE && shuffle) {
            int[] all = streams.stream().flatMapToInt(Arrays::stream).toArray();
            return Arrays.stream(EpochOrder.shuffled(all.length, seed, epoch))
                    .map(i -> all[i])
                    .toArray();
        }
        return interleaved(streams);
    }

    /// The next documents of a set that is gone through again and again.
    private int[] cycled(Part part, long epoch) {
        int[] taken = new int[part.take()];
        long position = epoch * part.take();
        long pass = -1;
        int[] order = {};
        for (int i = 0; i < taken.length; i++, position++) {
            if (position / part.size() != pass) {
                pass = position / part.size();
                order = shuffle
                        ? EpochOrder.shuffled(part.size(), EpochOrder.seedOf(seed, part.number()), pass)
                        : EpochOrder.identity(part.size());
            }
            taken[i] = part.first() + order[(int) (position % part.size())];
        }
        return taken;
    }

    /// All streams in turns, each giving its proportion all the way.
    private static int[] interleaved(List<int[]> streams) {
        record Turn(int stream, int next, int length) {
            double place() {
                return (next + 0.5) / length;
            }
        }
        PriorityQueue<Turn> turns =
                new PriorityQueue<>(Comparator.comparingDouble(Turn::place).thenComparingInt(Turn::stream));
        int total = 0;
        for (int s = 0; s < streams.size(); s++) {
            int length = streams.get(s).length;
            total = Math.addExact(total, length);
            if (length > 0) {
                turns.add(new Turn(s, 0, length));
            }
        }
        int[] merged = new int[total];
        for (int i = 0; i < total; i++) {
            Turn turn = turns.remove();
            merged[i] = streams.get(turn.stream())[turn.next()];
            if (turn.next() + 1 < turn.length()) {
                turns.add(new Turn(turn.stream(), turn.next() + 1, turn.length()));
            }
        }
        return merged;
    }
}
