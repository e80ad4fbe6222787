package org.sftnative.data;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;

/// Which rows each optimizer step trains, and in which micro-batches: a pure function of the step's number, so that a
/// resumed run needs nothing but that number. Safe for use by several threads.
public final class StepPlan {
    private final List<Document> documents;
    private final int rowsPerStep;
    private final int microBatchTokens;
    private final long seed;
    private final boolean shuffle;
    private volatile Epoch current = new Epoch(-1, new int[0]); // only saves shuffling anew for each step

    private record Epoch(long number, int[] order) {}

    /// @param dataset at least one document
    /// @param rowsPerStep rows of an optimizer step; the last step of an epoch has what is left
    /// @param microBatchTokens most tokens of a micro-batch; a longer document is a micro-batch by itself
    /// @param shuffle a new order each epoch, else that of the files
    public StepPlan(Dataset dataset, int rowsPerStep, int microBatchTokens, long seed, boolean shuffle) {
        if (dataset.documents().isEmpty() || rowsPerStep < 1 || microBatchTokens < 1) {
            throw new IllegalArgumentException(dataset.documents().size() + " documents, " + rowsPerStep
                    + " rows a step, " + microBatchTokens + " tokens a micro-batch: each must be at least 1");
        }
        this.documents = dataset.documents();
        this.rowsPerStep = rowsPerStep;
        this.microBatchTokens = microBatchTokens;
        this.seed = seed;
        this.shuffle = shuffle;
    }

    /// Steps of one pass over the rows: rows / rows per step, rounded up.
    public long stepsPerEpoch() {
        return Math.ceilDiv(documents.size(), rowsPerStep);
    }

    /// Passes over the rows after some steps: rows seen / rows.
    public double epochAt(long stepsDone) {
        long whole = stepsDone / stepsPerEpoch();
        long rows = Math.min(stepsDone % stepsPerEpoch() * rowsPerStep, documents.size());
        return whole + (double) rows / documents.size();
    }

    /// One step.
    ///
    /// @param index from 0, over all epochs
    public Step step(long index) {
        int[] order = order(index / stepsPerEpoch());
        int from = (int) (index % stepsPerEpoch() * rowsPerStep);
        int to = (int) Math.min((long) from + rowsPerStep, order.length);
        List<Document> rows =
                IntStream.range(from, to).mapToObj(i -> documents.get(order[i])).toList();
        List<MicroBatch> microBatches =
                cut(rows, microBatchTokens).stream().map(MicroBatch::of).toList();
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

    private int[] order(long epoch) {
        Epoch known = current;
        if (known.number() != epoch) {
            int rows = documents.size();
            known = new Epoch(epoch, shuffle ? EpochOrder.shuffled(rows, seed, epoch) : EpochOrder.identity(rows));
            current = known;
        }
        return known.order();
    }

    /// Cuts rows into micro-batches by first-fit decreasing, which needs at most 11/9 of the fewest and a little (Dósa
    /// 2007), and on rows that are short beside a micro-batch nearly always the fewest.
    /// Documents keep their order within a micro-batch, and micro-batches are ordered by their first document.
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
