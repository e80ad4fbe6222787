package org.sftnative.web;

import java.util.Collection;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.LongAdder;

/// What a server has done since it started, and does now, in the text form that Prometheus reads.
final class Traffic {
    /// Why an answer was given up.
    enum Drop {
        CLIENT_GONE,
        SLOW_READER,
        SHUTDOWN,
        FAILED
    }

    private final Map<String, LongAdder> requests = new ConcurrentHashMap<>();
    private final Map<Drop, LongAdder> drops = new ConcurrentHashMap<>();
    private final LongAdder promptTokens = new LongAdder();
    private final LongAdder answerTokens = new LongAdder();
    private final AtomicInteger active = new AtomicInteger();

    void begun() {
        active.incrementAndGet();
    }

    /// @param path one that is served, or `other`
    void done(String path, int status) {
        active.decrementAndGet();
        requests.computeIfAbsent("path=\"" + path + "\",status=\"" + status + "\"", _ -> new LongAdder())
                .increment();
    }

    /// Exchanges that go on.
    int active() {
        return active.get();
    }

    void read(long tokens) {
        promptTokens.add(tokens);
    }

    void written(long tokens) {
        answerTokens.add(tokens);
    }

    void dropped(Drop why) {
        drops.computeIfAbsent(why, _ -> new LongAdder()).increment();
    }

    long drops(Drop why) {
        LongAdder count = drops.get(why);
        return count == null ? 0 : count.sum();
    }

    /// The page.
    String text(Collection<ServedModel> models) {
        StringBuilder out = new StringBuilder();
        head(out, "requests_total", "counter", "requests answered, by path and status");
        new TreeMap<>(requests).forEach((labels, count) -> line(out, "requests_total", labels, count.sum()));
        head(out, "requests_active", "gauge", "requests that are being answered");
        line(out, "requests_active", "", active.get());
        head(out, "dropped_total", "counter", "answers given up, by reason");
        for (Drop why : Drop.values()) {
            line(out, "dropped_total", "reason=\"" + why.name().toLowerCase() + "\"", drops(why));
        }
        head(out, "prompt_tokens_total", "counter", "tokens of prompts taken on");
        line(out, "prompt_tokens_total", "", promptTokens.sum());
        head(out, "answer_tokens_total", "counter", "tokens of answers that ended");
        line(out, "answer_tokens_total", "", answerTokens.sum());
        head(out, "queue_waiting", "gauge", "texts that wait for room");
        models.forEach(m -> line(out, "queue_waiting", label(m), m.engine().waiting()));
        head(out, "texts_running", "gauge", "texts that are being written");
        models.forEach(m -> line(out, "texts_running", label(m), m.engine().running()));
        head(out, "kv_tokens", "gauge", "tokens that the cache of keys and values has room for");
        models.forEach(m -> line(out, "kv_tokens", label(m), m.engine().tokens()));
        head(out, "kv_tokens_used", "gauge", "tokens of the cache that texts have reserved");
        models.forEach(m -> line(out, "kv_tokens_used", label(m), m.engine().reservedTokens()));
        return out.toString();
    }

    private static String label(ServedModel model) {
        return "model=\""
                + model.name().replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", "\\n") + "\"";
    }

    private static void head(StringBuilder out, String name, String type, String help) {
        out.append("# HELP sft_").append(name).append(' ').append(help).append('\n');
        out.append("# TYPE sft_").append(name).append(' ').append(type).append('\n');
    }

    private static void line(StringBuilder out, String name, String labels, long value) {
        out.append("sft_").append(name);
        if (!labels.isEmpty()) {
            out.append('{').append(labels).append('}');
        }
        out.append(' ').append(value).append('\n');
    }
}
