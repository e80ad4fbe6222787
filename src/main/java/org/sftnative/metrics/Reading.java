package org.sftnative.metrics;

import java.util.ArrayList;
import java.util.List;
import tools.jackson.databind.JsonNode;

/// A run's curves in plain words, with the tutorial's advice: what they show of learning and over-fitting, and what to
/// try. Rules over the numbers, nothing else.
final class Reading {
    /// A change of a loss below this share is called none.
    private static final double FLAT = 0.01;

    private Reading() {}

    static List<String> of(RunHistory run) {
        List<String> text = new ArrayList<>();
        training(run, text);
        evaluation(run, text);
        long skipped = count(run, "the update was skipped");
        if (skipped > 0) {
            text.add(skipped + (skipped == 1 ? " update was" : " updates were")
                    + " skipped because loss or gradient were not finite or jumped. If there are more than a few, lower"
                    + " the learning rate, or look at the rows of those steps with sft-native data.");
        }
        return text;
    }

    private static long count(RunHistory run, String word) {
        return run.events().stream()
                .filter(e -> e.path("event").asString("").equals("warning")
                        && e.path("message").asString("").contains(word))
                .count();
    }

    private static void training(RunHistory run, List<String> text) {
        List<Double> losses = finite(run.steps(), "loss");
        if (losses.size() < 4) {
            text.add("Too few logged steps to say how training goes.");
            return;
        }
        int quarter = Math.max(1, losses.size() / 4);
        double first = mean(losses.subList(0, quarter));
        double last = mean(losses.subList(losses.size() - quarter, losses.size()));
        double before = mean(losses.subList(losses.size() - 2 * quarter, losses.size() - quarter));
        String change = Units.format("from %.3f to %.3f (means of the first and the last quarter)", first, last);
        if (last > first * (1 + FLAT)) {
            text.add("Training loss rose " + change + ": the learning rate is too high, or the rows changed in kind."
                    + " Try a third of the learning rate, and more warm-up.");
        } else if (last > first * (1 - FLAT)) {
            text.add("Training loss did not change " + change + ": the learning rate is too low, or the rows teach"
                    + " nothing that the model does not know. Try three times the learning rate.");
        } else if (last > before * (1 - FLAT)) {
            text.add("Training loss fell " + change + " and is level now: more of the same steps will change little.");
        } else {
            text.add("Training loss fell " + change + " and still falls.");
        }
    }

    private static void evaluation(RunHistory run, List<String> text) {
        List<JsonNode> evals = run.evals();
        if (evals.isEmpty()) {
            text.add("No rows were kept for evaluation, so over-fitting cannot be seen:"
                    + " --eval-fraction 0.1 --eval-strategy epoch keeps a tenth apart.");
            return;
        }
        if (evals.size() < 2) {
            text.add("One evaluation says nothing of a direction: --eval-strategy steps --eval-steps N gives more.");
            return;
        }
        int best = 0;
        for (int i = 1; i < evals.size(); i++) {
            if (loss(evals.get(i)) < loss(evals.get(best))) {
                best = i;
            }
        }
        long step = evals.get(best).path("step").asLong(0);
        double lowest = loss(evals.get(best));
        double last = loss(evals.getLast());
        int since = evals.size() - 1 - best;
        if (since == 0) {
            text.add(Units.format(
                    "Evaluation loss is at its lowest, %.3f: the model still learns what carries over to"
                            + " rows that it has not seen. Another epoch may help.",
                    lowest));
        } else if (last > lowest * (1 + FLAT)) {
            text.add(Units.format(
                    "Evaluation loss was lowest at step %d (%.3f) and has risen to %.3f over %d %s since: the model"
                            + " learns its rows by heart. Use the checkpoint of step %d (--load-best-model-at-end"
                            + " keeps it), and next time stop there (--early-stopping-patience 2), train fewer epochs,"
                            + " lower the learning rate, use LoRA, or add rows.",
                    step, lowest, last, since, since == 1 ? "evaluation" : "evaluations", step));
        } else {
            text.add(Units.format(
                    "Evaluation loss has been level since step %d (%.3f): more epochs will not make the"
                            + " model better on new rows.",
                    step, lowest));
        }
    }

    private static double loss(JsonNode eval) {
        return eval.path("eval_loss").asDouble(Double.NaN);
    }

    private static List<Double> finite(List<JsonNode> lines, String key) {
        return lines.stream()
                .map(line -> line.path(key).asDouble(Double.NaN))
                .filter(Double::isFinite)
                .toList();
    }

    private static double mean(List<Double> values) {
        return values.stream().mapToDouble(d -> d).average().orElse(Double.NaN);
    }
}
