package org.sftnative.cli;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Consumer;
import java.util.function.Predicate;
import org.sftnative.InputException;
import org.sftnative.cli.Evaluation.Numbers;
import org.sftnative.cli.Evaluation.Row;
import org.sftnative.config.EvalSettings;
import org.sftnative.generate.AnswerScore;
import org.sftnative.io.AtomicFiles;
import org.sftnative.metrics.Units;
import tools.jackson.databind.SerializationFeature;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// What `eval` prints, and the JSON beside it.
final class EvalText {
    private static final JsonMapper JSON =
            JsonMapper.builder().enable(SerializationFeature.INDENT_OUTPUT).build();
    private static final int EXAMPLES = 5;
    private static final int SHOWN = 200;

    private EvalText() {}

    /// One model.
    static void of(Evaluation evaluation, EvalSettings settings, Consumer<String> text) {
        text.accept(headline(evaluation));
        table(evaluation, text);
        write(settings, report(evaluation, true));
    }

    private static String headline(Evaluation evaluation) {
        Numbers all = Numbers.of(evaluation.rows());
        return format(
                "loss %.6f  perplexity %.4f  %d label tokens  %d rows  %s%n",
                all.loss(), all.perplexity(), all.labelTokens(), all.rows(), Units.duration(evaluation.seconds()));
    }

    private static void table(Evaluation evaluation, Consumer<String> text) {
        text.accept(format(
                "%n%10s %11s %9s %12s %7s  %s%n", "loss", "perplexity", "accuracy", "label tokens", "rows", "of"));
        for (Evaluation.Set set : evaluation.sets()) {
            line(Numbers.of(set.rows()), Visible.of(set.name()), text);
        }
        Evaluation.byLength(evaluation.rows())
                .forEach((most, rows) -> line(Numbers.of(rows), lengths(most) + " tokens", text));
        if (evaluation.sets().stream().anyMatch(set -> set.answers().isPresent())) {
            text.accept(format(
                    "%n%7s %7s %8s %8s %8s %14s %7s  %s%n",
                    "exact", "BLEU", "ROUGE-1", "ROUGE-2", "ROUGE-L", "result", "rows", "answers to"));
            for (Evaluation.Set set : evaluation.sets()) {
                AnswerScore.Total t = set.answers().orElseThrow();
                String result = t.withResult() == 0 ? "-" : format("%.2f of %d", t.answerMatch(), t.withResult());
                text.accept(format(
                        "%7.2f %7.2f %8.2f %8.2f %8.2f %14s %7d  %s%n",
                        t.exactMatch(),
                        t.bleu(),
                        t.rouge1(),
                        t.rouge2(),
                        t.rougeL(),
                        result,
                        t.rows(),
                        Visible.of(set.name())));
            }
        }
    }

    private static String lengths(int most) {
        return (most <= 64 ? "1" : Integer.toString(most / 2 + 1)) + " to " + most;
    }

    private static void line(Numbers n, String what, Consumer<String> text) {
        text.accept(format(
                "%10.6f %11.4f %8.2f%% %12d %7d  %s%n",
                n.loss(), n.perplexity(), 100 * n.accuracy(), n.labelTokens(), n.rows(), what));
    }

    /// Two models on the same rows: first what changed in each data set, then the rows that changed most.
    static void compared(Evaluation base, Evaluation tuned, EvalSettings settings, Consumer<String> text) {
        text.accept("base   " + base.model() + ": " + headline(base));
        text.accept("tuned  " + tuned.model() + ": " + headline(tuned));
        text.accept(format("%n%10s %10s %10s %9s %9s  %s%n", "base", "tuned", "change", "better", "worse", "of"));
        ObjectNode json = JSON.createObjectNode();
        json.set("base", report(base, false));
        json.set("tuned", report(tuned, false));
        ArrayNode sets = json.putArray("compared");
        for (int i = 0; i < base.sets().size(); i++) {
            Evaluation.Set before = base.sets().get(i);
            List<Change> changes = changes(before, tuned.sets().get(i));
            double was = Numbers.of(before.rows()).loss();
            double is = Numbers.of(tuned.sets().get(i).rows()).loss();
            long better = changes.stream().filter(c -> c.change() < 0).count();
            long worse = changes.stream().filter(c -> c.change() > 0).count();
            text.accept(format(
                    "%10.6f %10.6f %+10.6f %9d %9d  %s%n",
                    was, is, is - was, better, worse, Visible.of(before.name())));
            ObjectNode set = sets.addObject()
                    .put("name", before.name())
                    .put("base_loss", was)
                    .put("tuned_loss", is)
                    .put("change", is - was)
                    .put("better", better)
                    .put("worse", worse);
            ArrayNode rows = set.putArray("rows");
            changes.forEach(change -> rows.add(change.json()));
            examples("learnt most", changes, c -> c.change() < 0, text);
            examples("forgot most", changes.reversed(), c -> c.change() > 0, text);
        }
        if (settings.generate()) {
            text.accept("\nbase\n");
            table(base, text);
            text.accept("\ntuned\n");
            table(tuned, text);
        }
        write(settings, json);
    }

    private static void examples(String what, List<Change> changes, Predicate<Change> which, Consumer<String> text) {
        List<Change> shown = changes.stream().filter(which).limit(EXAMPLES).toList();
        if (shown.isEmpty()) {
            return;
        }
        text.accept("  " + what + ":\n");
        for (Change c : shown) {
            text.accept(format(
                    "    %+.4f  %.4f -> %.4f  %s%n",
                    c.change(), c.base.meanLoss(), c.tuned.meanLoss(), Visible.of(c.base.where())));
            if (c.base.answer().isPresent()) {
                said("expected", c.base.expected().orElse(""), text);
                said("base", c.base.answer().orElse(""), text);
                said("tuned", c.tuned.answer().orElse(""), text);
            }
        }
    }

    private static void said(String who, String what, Consumer<String> text) {
        int end = what.offsetByCodePoints(0, Math.min(SHOWN, what.codePointCount(0, what.length())));
        String shown = what.length() > end ? what.substring(0, end) + "..." : what;
        text.accept(format("      %-9s %s%n", who, Visible.of(shown)));
    }

    /// One row under both models.
    private record Change(Row base, Row tuned) {
        double change() {
            return tuned.meanLoss() - base.meanLoss();
        }

        ObjectNode json() {
            ObjectNode json = JSON.createObjectNode()
                    .put("row", base.where())
                    .put("base_loss", base.meanLoss())
                    .put("tuned_loss", tuned.meanLoss())
                    .put("change", change());
            base.expected().ifPresent(e -> json.put("expected", e));
            base.answer().ifPresent(a -> json.put("base_answer", a));
            tuned.answer().ifPresent(a -> json.put("tuned_answer", a));
            return json;
        }
    }

    /// Rows of both, those first that became better by most. A row that one of the two left out is in none.
    private static List<Change> changes(Evaluation.Set base, Evaluation.Set tuned) {
        Map<String, Row> there = new HashMap<>();
        tuned.rows().forEach(row -> there.putIfAbsent(row.where(), row));
        List<Change> changes = new ArrayList<>();
        for (Row row : base.rows()) {
            Row other = there.remove(row.where());
            if (other != null) {
                changes.add(new Change(row, other));
            }
        }
        changes.sort(Comparator.comparingDouble(Change::change));
        return changes;
    }

    private static ObjectNode report(Evaluation evaluation, boolean withRows) {
        ObjectNode json =
                JSON.createObjectNode().put("model", evaluation.model().toString());
        put(json, Numbers.of(evaluation.rows()));
        ArrayNode sets = json.putArray("datasets");
        for (Evaluation.Set set : evaluation.sets()) {
            ObjectNode one = put(sets.addObject().put("name", set.name()), Numbers.of(set.rows()));
            lengths(one, set.rows());
            set.answers()
                    .ifPresent(t -> one.putObject("generated")
                            .put("rows", t.rows())
                            .put("exact_match", t.exactMatch())
                            .put("bleu", t.bleu())
                            .put("rouge1", t.rouge1())
                            .put("rouge2", t.rouge2())
                            .put("rougeL", t.rougeL())
                            .put("answer_match", t.answerMatch())
                            .put("answer_match_rows", t.withResult()));
            if (withRows && set.answers().isPresent()) {
                ArrayNode rows = one.putArray("answers");
                set.rows().stream()
                        .filter(r -> r.answer().isPresent())
                        .forEach(r -> rows.addObject()
                                .put("row", r.where())
                                .put("loss", r.meanLoss())
                                .put("answer", r.answer().orElseThrow())
                                .put("expected", r.expected().orElseThrow()));
            }
        }
        lengths(json, evaluation.rows());
        return json;
    }

    private static void lengths(ObjectNode json, List<Row> rows) {
        ArrayNode buckets = json.putArray("lengths");
        Evaluation.byLength(rows)
                .forEach((most, those) -> put(
                        buckets.addObject()
                                .put("from", most <= 64 ? 1 : most / 2 + 1)
                                .put("to", most),
                        Numbers.of(those)));
    }

    private static ObjectNode put(ObjectNode json, Numbers n) {
        return json.put("loss", n.loss())
                .put("perplexity", n.perplexity())
                .put("token_accuracy", n.accuracy())
                .put("label_tokens", n.labelTokens())
                .put("rows", n.rows());
    }

    private static void write(EvalSettings settings, ObjectNode json) {
        settings.outputFile().ifPresent(file -> {
            Path directory = file.toAbsolutePath().getParent();
            if (!directory.toFile().isDirectory() || file.toFile().isDirectory()) {
                throw new InputException(
                        "cannot write " + file + "\n  --output-file names a file in a directory that is" + " there");
            }
            AtomicFiles.writeText(file, JSON.writeValueAsString(json) + "\n");
        });
    }

    private static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
