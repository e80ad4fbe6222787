package org.sftnative.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.sftnative.config.CombineChoice;
import org.sftnative.config.DataSettings;

/// Which rows each optimizer step trains, and in which micro-batches: a pure function of the step's
/// number, so that a resumed run needs nothing but that number. Safe for use by several threads.
///
/// By rows, all epochs have as many steps. By tokens, or with packing, their number depends on the
/// epoch's order: then the steps of all epochs before are counted once, which takes far less time
/// than training them took.
public final class StepPlan {
    private final List<Document> documents;
    private final StepShape shape;
    private final int microBatchTokens;
    private final Blend blend;
    private final long seed;
    private final boolean shuffle;
    private final Share share;
    private final List<Long> firstSteps = new ArrayList<>(List.of(0L)); // of the epochs counted so far
    private volatile Epoch current = new Epoch(-1, new int[0], new int[1], 0); // only saves ordering anew each step

    /// One epoch, laid out.
    ///
    /// @param order (documents) their indices, in order of training
    /// @param starts (steps + 1) where in `order` each step begins, then the number of documents
    /// @param packs packed sequences; documents where rows are not packed
    private record Epoch(long number, int[] order, int[] starts, int packs) {
        int steps() {
            return starts.length - 1;
        }
    }

    /// @param dataset at least one document
    /// @param blend the order of its documents
    /// @param microBatchTokens most tokens of a micro-batch; a longer document is a micro-batch by
    ///     itself
    /// @param seed of the order of packed sequences
    /// @param shuffle whether packed sequences have an order of their own, else that of their first
    ///     documents
    public StepPlan(Dataset dataset, StepShape shape, Blend blend, int microBatchTokens, long seed, boolean shuffle) {
        this(dataset.documents(), shape, blend, microBatchTokens, seed, shuffle, Share.ALL);
    }

    private StepPlan(
            List<Document> documents,
            StepShape shape,
            Blend blend,
            int microBatchTokens,
            long seed,
            boolean shuffle,
            Share share) {
        if (microBatchTokens < 1) {
            throw new IllegalArgumentException(microBatchTokens + " tokens a micro-batch, must be at least 1");
        }
        this.documents = documents;
        this.shape = shape;
        this.blend = blend;
        this.microBatchTokens = microBatchTokens;
        this.seed = seed;
        this.shuffle = shuffle;
        this.share = share;
    }

    /// Steps of whole rows, files one after another.
    ///
    /// @param rowsPerStep rows of an optimizer step; the last step of an epoch has what is left
    /// @param shuffle a new order each epoch, else that of the files
    public StepPlan(Dataset dataset, int rowsPerStep, int microBatchTokens, long seed, boolean shuffle) {
        this(
                dataset,
                StepShape.ofRows(rowsPerStep),
                new Blend(dataset, CombineChoice.CONCATENATE, seed, shuffle),
                microBatchTokens,
                seed,
                shuffle);
    }

    /// The plan that the settings describe.
    public static StepPlan of(
            Dataset dataset, DataSettings settings, StepShape shape, int microBatchTokens, long seed) {
        Blend blend = new Blend(dataset, settings.combine(), seed, settings.shuffle());
        return new StepPlan(dataset, shape, blend, microBatchTokens, seed, settings.shuffle());
    }

    /// The same steps, of each of which this process trains one part: the other ranks of the run train
    /// the others.
    public StepPlan of(Share part) {
        return new StepPlan(documents, shape, blend, microBatchTokens, seed, shuffle, part);
    }

    /// Steps of an epoch.
    ///
    /// @param epoch from 0
    public long stepsIn(long epoch) {
        return shape.isUniform()
                ? Math.ceilDiv(blend.size(), shape.rows())
                : epoch(epoch).steps();
    }

    /// Steps of some epochs: those of the whole ones, and the part of the last one's, rounded up.
    public long steps(double epochs) {
        if (shape.isUniform()) {
            return (long) Math.ceil(epochs * stepsIn(0)); // as transformers rounds
        }
        long whole = (long) Math.floor(epochs);
        long before = firstStep(whole);
        return epochs == whole ? before : before + (long) Math.ceil((epochs - whole) * stepsIn(whole));
    }

    /// Passes over the rows after some steps: rows seen / rows.
    public double epochAt(long stepsDone) {
        long number = epochOf(stepsDone);
        Epoch epoch = epoch(number);
        int rows = epoch.starts()[(int) (stepsDone - firstStep(number))];
        return number + (double) rows / epoch.order().length;
    }

    /// Whether some steps end with an epoch.
    public boolean endsEpoch(long stepsDone) {
        return stepsDone > 0 && firstStep(epochOf(stepsDone)) == stepsDone;
    }

    /// Packed sequences of an epoch; its documents where rows are not packed.
    public int packsIn(long epoch) {
        return epoch(epoch).packs();
    }

    /// Tokens of an epoch.
    public long tokensIn(long epoch) {
        return Arrays.stream(epoch(epoch).order())
                .mapToLong(document -> documents.get(document).length())
                .sum();
    }

    /// Documents that an epoch takes of each mixed set.
    public List<Integer> taken() {
        return blend.taken();
    }

    /// Most tokens of a micro-batch.
    public int microBatchTokens() {
        return microBatchTokens;
    }

    /// What a step is made of.
    public StepShape shape() {
        return shape;
    }

    /// The documents of an epoch in order of training, by their place in the data set.
    public int[] documentsIn(long epoch) {
        return epoch(epoch).order().clone();
    }

    /// One step.
    ///
    /// @param index from 0, over all epochs
    public Step step(long index) {
        return step(index, microBatchTokens);
    }

    /// One step in micro-batches of another size: the same rows.
    ///
    /// @param index from 0, over all epochs
    /// @param tokens most of a micro-batch; a longer document is a micro-batch by itself
    public Step step(long index, int tokens) {
        long number = epochOf(index);
        Epoch epoch = epoch(number);
        int inEpoch = (int) (index - firstStep(number));
        List<Document> rows = IntStream.range(epoch.starts()[inEpoch], epoch.starts()[inEpoch + 1])
                .mapToObj(i -> documents.get(epoch.order()[i]))
                .toList();
        List<MicroBatch> microBatches =
                cut(share.of(rows), tokens).stream().map(MicroBatch::of).toList();
        return new Step(
                microBatches,
                rows.size(),
                rows.stream().mapToInt(Document::length).sum(),
                rows.stream().mapToInt(Document::labelTokens).sum());
    }

    /// A data set in its own order, cut for evaluation.
    public static List<MicroBatch> evaluation(Dataset dataset, int microBatchTokens) {
        List<MicroBatch> microBatches = new ArrayList<>();
        List<Document> open = new ArrayList<>();
        int tokens = 0;
        for (Document document : dataset.documents()) {
            if (!open.isEmpty() && tokens + document.length() > microBatchTokens) {
                microBatches.add(MicroBatch.of(open));
                open.clear();
                tokens = 0;
            }
            open.add(document);
            tokens += document.length();
        }
        if (!open.isEmpty()) {
            microBatches.add(MicroBatch.of(open));
        }
        return microBatches;
    }

    /// The epoch that a step belongs to.
    private long epochOf(long step) {
        if (shape.isUniform()) {
            return step / stepsIn(0);
        }
        synchronized (firstSteps) {
            while (firstSteps.getLast() <= step) {
                countOneMore();
            }
            int found = Collections.binarySearch(firstSteps, step);
            return found >= 0 ? found : -found - 2;
        }
    }

    private long firstStep(long epoch) {
        if (shape.isUniform()) {
            return epoch * stepsIn(0);
        }
        synchronized (firstSteps) {
            while (firstSteps.size() <= epoch) {
                countOneMore();
            }
            return firstSteps.get(Math.toIntExact(epoch));
        }
    }

    private void countOneMore() {
        firstSteps.add(firstSteps.getLast() + epoch(firstSteps.size() - 1).steps());
    }

    private Epoch epoch(long number) {
        Epoch known = current;
        if (known.number() != number) {
            known = layOut(number);
            current = known;
        }
        return known;
    }

    private Epoch layOut(long number) {
        int[] order = blend.order(number);
        if (shape.packLength() == 0) {
            return new Epoch(number, order, starts(order, EpochOrder.identity(order.length + 1)), order.length);
        }
        Packing.Packs packs = Packing.bestFit(
                order,
                i -> documents.get(i).length(),
                shape.packLength(),
                Packing.WINDOW,
                (window, count) -> shuffle
                        ? EpochOrder.shuffled(count, EpochOrder.seedOf(seed, -1 - window), number)
                        : EpochOrder.identity(count));
        return new Epoch(number, packs.order(), starts(packs.order(), packs.starts()), packs.count());
    }

    /// Where each step begins.
    ///
    /// @param units (n + 1) where each row or packed sequence begins, which a step never splits
    private int[] starts(int[] order, int[] units) {
        int[] starts = new int[units.length];
        int steps = 0;
        long tokens = 0;
        for (int unit = 0; unit + 1 < units.length; unit++) {
            long more = 0;
            for (int i = units[unit]; shape.tokens() > 0 && i < units[unit + 1]; i++) {
                more += documents.get(order[i]).length();
            }
            boolean begins = shape.tokens() > 0 ? tokens + more > shape.tokens() : unit % shape.rows() == 0;
            if (begins || unit == 0) {
                starts[steps++] = units[unit];
                tokens = 0;
            }
            tokens += more;
        }
        starts[steps] = order.length;
        return Arrays.copyOf(starts, steps + 1);
    }

    /// Cuts rows into micro-batches by first-fit decreasing, which needs at most 11/9 of the fewest
    /// and a little (Dósa 2007), and on rows that are short beside a micro-batch nearly always the
    /// fewest. Documents keep their order within a micro-batch, and micro-batches are ordered by
    /// their first document.
    static List<List<Document>> cut(List<Document> rows, int microBatchTokens) {
        List<Integer> longestFirst =
                new ArrayList<>(IntStream.range(0, rows.size()).boxed().toList());
        longestFirst.sort(Comparator.comparingInt((Integer i) -> rows.get(i).length())
                .reversed()
                .thenComparing(Comparator.naturalOrder()));
        List<List<Integer>> bins = new ArrayList<>();
        List<Integer> room = new ArrayList<>();
        for (int row : longestFirst) {
            int length = rows.get(row).length();
            int bin = 0;
            while (bin < bins.size() && room.get(bin) < length) {
                bin++;
            }
            if (bin == bins.size()) {
                bins.add(new ArrayList<>());
                room.add(microBatchTokens);
            }
            bins.get(bin).add(row);
            room.set(bin, room.get(bin) - length);
        }
        bins.forEach(bin -> bin.sort(Comparator.naturalOrder()));
        bins.sort(Comparator.comparing(List::getFirst));
        return bins.stream().map(bin -> bin.stream().map(rows::get).toList()).toList();
    }
}
