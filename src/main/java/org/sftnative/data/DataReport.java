package org.sftnative.data;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/// What there is to know of rows before a run trains them.
///
/// @param files every file, and what became of its rows; a file that is split for evaluation is here twice
/// @param train counts of the rows that train
/// @param eval counts of the rows that evaluate
/// @param broken what is wrong with each row that could not be read
/// @param withoutEos rows whose last trained token is no special token, so that a model does not learn to stop
/// @param lengths tokens of the training documents
/// @param maxLength most tokens of a document, and of a packed sequence
/// @param epoch the first epoch, as the settings have it
/// @param packing the same rows packed
/// @param samples the first documents of the first epoch
public record DataReport(
        List<SourceLine> files,
        Dataset.Report train,
        Optional<Dataset.Report> eval,
        List<String> broken,
        int withoutEos,
        Lengths lengths,
        int maxLength,
        Epoch epoch,
        Packed packing,
        List<Sample> samples) {
    private static final int SAMPLES = 3;
    private static final int BINS = 16;

    /// One file.
    ///
    /// @param role `train`, `eval` or `mix 0.15`
    /// @param documents of its rows, those that are trained or evaluated
    public record SourceLine(Path file, String role, String format, int rows, int documents, int cut, int duplicates) {}

    /// The distribution of lengths.
    ///
    /// @param percentiles nearest-rank: of `PERCENTS` each the least length that so many documents do not exceed
    /// @param binWidth tokens of a bin; bin b has the lengths from b x width + 1 to (b + 1) x width
    /// @param bins documents of each bin
    public record Lengths(List<Integer> percentiles, double mean, int binWidth, List<Integer> bins) {
        /// Percents of the percentiles, the least and the greatest length at both ends.
        public static final List<Integer> PERCENTS = List.of(0, 5, 25, 50, 75, 95, 99, 100);

        static Lengths of(int[] lengths) {
            int[] sorted = lengths.clone();
            Arrays.sort(sorted);
            List<Integer> percentiles = PERCENTS.stream()
                    .map(p -> sorted[Math.max(0, Math.ceilDiv(p * sorted.length, 100) - 1)])
                    .toList();
            int width = round(Math.ceilDiv(percentiles.getLast(), BINS));
            int[] bins = new int[Math.ceilDiv(percentiles.getLast(), width)];
            for (int length : sorted) {
                bins[(length - 1) / width]++;
            }
            double mean = Arrays.stream(sorted).average().orElseThrow();
            return new Lengths(
                    percentiles, mean, width, Arrays.stream(bins).boxed().toList());
        }

        /// The next of 1, 2, 4, 5, 8, 10, 20, 32, 40, 50, ...: bins end where a reader expects it.
        private static int round(int width) {
            for (int ten = 1; ; ten *= 10) {
                for (double step : new double[] {1, 2, 3.2, 4, 5, 8}) {
                    if (step * ten >= width && step * ten == (int) (step * ten)) {
                        return (int) (step * ten);
                    }
                }
            }
        }
    }

    /// One epoch.
    ///
    /// @param documents trained, mixed ones too
    /// @param stepOf what a step is made of
    public record Epoch(int documents, long tokens, long labelTokens, long steps, String stepOf) {}

    /// The first epoch, packed into sequences of `maxLength`.
    ///
    /// @param full tokens / (sequences x maxLength)
    public record Packed(int sequences, double full) {}

    /// A document as it is trained.
    public record Sample(String where, List<Piece> pieces) {}

    /// Text of as few tokens as make whole characters: mostly one.
    public record Piece(List<Integer> ids, String text, boolean trained) {}

    /// @param maxLength most tokens of a document, and of a packed sequence
    /// @param plan the run's; of its micro-batches nothing is asked
    public static DataReport of(TrainingData data, Tokenizer tokenizer, int maxLength, StepPlan plan) {
        Dataset train = data.train();
        List<Document> documents = train.documents();
        int[] order = plan.documentsIn(0);
        long labelTokens = Arrays.stream(order)
                .mapToLong(d -> documents.get(d).labelTokens())
                .sum();
        Packing.Packs packs = Packing.bestFit(
                order,
                d -> documents.get(d).length(),
                maxLength,
                Packing.WINDOW,
                (_, count) -> EpochOrder.identity(count));
        double full = (double) plan.tokensIn(0) / packs.count() / maxLength;
        List<SourceLine> files = new ArrayList<>(lines(train, "train"));
        data.eval().ifPresent(eval -> files.addAll(lines(eval, "eval")));
        return new DataReport(
                List.copyOf(files),
                train.report(),
                data.eval().map(Dataset::report),
                data.bad(),
                withoutEnd(train, tokenizer),
                Lengths.of(documents.stream().mapToInt(Document::length).toArray()),
                maxLength,
                new Epoch(
                        order.length,
                        plan.tokensIn(0),
                        labelTokens,
                        plan.stepsIn(0),
                        plan.shape().toString()),
                new Packed(packs.count(), full),
                Arrays.stream(order)
                        .distinct()
                        .limit(SAMPLES)
                        .mapToObj(d -> new Sample(train.where(d), pieces(documents.get(d), tokenizer)))
                        .toList());
    }

    private static List<SourceLine> lines(Dataset dataset, String role) {
        List<Dataset.Source> sources = dataset.sources();
        return IntStream.range(0, sources.size())
                .mapToObj(i -> {
                    Dataset.Source source = sources.get(i);
                    int end = i + 1 < sources.size()
                            ? sources.get(i + 1).first()
                            : dataset.documents().size();
                    String mixed = dataset.mixes().stream()
                            .filter(mix -> mix.first() <= source.first())
                            .reduce((_, later) -> later)
                            .map(mix -> "mix " + mix.share())
                            .orElse(role);
                    return new SourceLine(
                            source.file(),
                            mixed,
                            source.format(),
                            source.rows(),
                            end - source.first(),
                            source.truncated(),
                            source.duplicates());
                })
                .toList();
    }

    /// Rows whose last trained token is neither EOS nor another special token, such as one that ends a turn.
    private static int withoutEnd(Dataset rows, Tokenizer tokenizer) {
        List<Document> documents = rows.documents();
        Set<Integer> firsts = rows.sources().stream().map(Dataset.Source::first).collect(Collectors.toSet());
        return (int) IntStream.range(0, documents.size())
                .filter(d -> d + 1 == documents.size()
                        || firsts.contains(d + 1)
                        || documents.get(d + 1).row() != documents.get(d).row()) // else a piece of a row
                .filter(d -> !tokenizer.isSpecial(lastTrained(documents.get(d))))
                .count();
    }

    private static int lastTrained(Document document) {
        return Arrays.stream(document.labels())
                .filter(id -> id != Document.IGNORED)
                .reduce((_, later) -> later)
                .orElseThrow();
    }

    /// The text of each token, as the text around it makes it: a decoder may drop a blank at a beginning, and one
    /// character may be spread over several tokens.
    static List<Piece> pieces(Document document, Tokenizer tokenizer) {
        int[] ids = document.inputIds();
        int[] labels = document.labels();
        List<Piece> pieces = new ArrayList<>();
        List<Integer> starts = new ArrayList<>();
        int start = 0;
        int anchor = 0; // decoding from here on gives the text before `start`, too
        String before = "";
        for (int end = 1; end <= ids.length; end++) {
            boolean trained = labels[start] != Document.IGNORED;
            String text = tokenizer.decode(Arrays.copyOfRange(ids, anchor, end), false);
            boolean last = end == ids.length || (labels[end] != Document.IGNORED) != trained;
            if (text.endsWith("\uFFFD") && !last && end - start < 32) {
                continue;
            }
            String own = text.startsWith(before)
                    ? text.substring(before.length())
                    : tokenizer.decode(Arrays.copyOfRange(ids, start, end), false);
            List<Integer> tokens = Arrays.stream(ids, start, end).boxed().toList();
            pieces.add(new Piece(tokens, own, trained));
            starts.add(start);
            start = end;
            before = text;
            if (starts.size() > 16 && start - anchor > 32) { // else the work grows with the square of the length
                anchor = starts.get(starts.size() - 4);
                before = tokenizer.decode(Arrays.copyOfRange(ids, anchor, start), false);
            }
        }
        return pieces;
    }
}
