package org.sftnative.metrics;

import java.io.PrintStream;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A run for machines: one JSON object a line. `event` says what it is: `started`, `step` (logged ones), `eval`,
/// `sample`, `alert`, `warning`, `saved`, `stopped`, `finished`; numbers have the keys of `metrics.jsonl`, all else
/// those of `events.jsonl`. Strict JSON: a number that is not finite is null.
public final class JsonLines implements RunListener {
    private static final JsonMapper JSON = new JsonMapper();

    private final PrintStream out;
    private long step;

    public JsonLines(PrintStream out) {
        this.out = out;
    }

    @Override
    public void on(RunEvent event) {
        switch (event) {
            case RunEvent.StepDone done -> {
                step = done.step();
                if (done.logged()) {
                    print(line("step"), event);
                }
            }
            case RunEvent.Evaluated _ -> print(line("eval"), event);
            case RunEvent.Started started -> {
                step = started.firstStep();
                print(EventsFile.described(event).put("step", step), event);
            }
            default -> print(EventsFile.described(event).put("step", step), event);
        }
    }

    private static ObjectNode line(String event) {
        return JSON.createObjectNode().put("event", event);
    }

    private void print(ObjectNode line, RunEvent event) {
        MetricsFile.values(event).forEach((key, value) -> {
            if (value instanceof Double d) {
                line.put(key, Double.isFinite(d) ? d : null);
            } else {
                line.put(key, value.longValue());
            }
        });
        out.println(line);
        out.flush();
    }
}
