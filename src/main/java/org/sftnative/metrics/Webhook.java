package org.sftnative.metrics;

import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// Posts alerts, and the end of a run, to an address, as JSON: `run`, `step`, `event` (`alert`, `stopped`, `failed`,
/// `finished`),
/// `kind`, `message`. On a thread of its own: training never waits for it. Each is tried three times; what the
/// address does not take, or what comes while 64 wait, is dropped and said at the end.
public final class Webhook implements RunListener {
    private static final int WAITING = 64;
    private static final int TRIES = 3;
    private static final Duration PATIENCE = Duration.ofSeconds(5);
    private static final Duration AT_THE_END = Duration.ofSeconds(5);
    private static final JsonMapper JSON = new JsonMapper();
    private static final ObjectNode END = JSON.createObjectNode();

    private final URI address;
    private final String run;
    private final Consumer<String> complain;
    private final BlockingQueue<ObjectNode> queue = new ArrayBlockingQueue<>(WAITING);
    private final Thread sender;
    private volatile int dropped;
    private long lastStep;

    /// @param run its name, for whoever reads the message
    /// @param complain told at the end how many were dropped
    public Webhook(URI address, String run, Consumer<String> complain) {
        this.address = address;
        this.run = run;
        this.complain = complain;
        sender = Thread.ofVirtual().name("webhook").start(this::send);
    }

    @Override
    public void on(RunEvent event) {
        switch (event) {
            case RunEvent.Alerted a -> post(a.step(), "alert", a.kind(), a.message());
            case RunEvent.Stopped s ->
                post(s.step(), "stopped", "stopped", "stopped after step " + s.step() + " of " + s.totalSteps());
            case RunEvent.Failed f -> post(lastStep, "failed", "failed", f.message());
            case RunEvent.StepDone s -> lastStep = s.step();
            case RunEvent.Finished f ->
                post(f.step(), "finished", "finished", Units.format("train loss %.4f", f.trainLoss()));
            default -> {}
        }
    }

    private void post(long step, String event, String kind, String message) {
        ObjectNode body = JSON.createObjectNode()
                .put("run", run)
                .put("step", step)
                .put("event", event)
                .put("kind", kind)
                .put("message", message);
        if (!queue.offer(body)) {
            dropped++;
        }
    }

    private void send() {
        try (HttpClient client =
                HttpClient.newBuilder().connectTimeout(PATIENCE).build()) {
            for (ObjectNode body = queue.take(); body != END; body = queue.take()) {
                if (!sent(client, body)) {
                    dropped++;
                }
            }
        } catch (InterruptedException end) {
            dropped += queue.size();
        }
    }

    private boolean sent(HttpClient client, ObjectNode body) throws InterruptedException {
        HttpRequest request = HttpRequest.newBuilder(address)
                .timeout(PATIENCE)
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(body.toString()))
                .build();
        for (int i = 0; i < TRIES; i++) {
            try {
                if (client.send(request, HttpResponse.BodyHandlers.discarding()).statusCode() / 100 == 2) {
                    return true;
                }
            } catch (IOException notNow) {
                // the next try may do
            }
            TimeUnit.MILLISECONDS.sleep(200L << i);
        }
        return false;
    }

    /// Waits some seconds for what was not sent yet.
    @Override
    public void close() {
        try {
            if (!queue.offer(END, AT_THE_END.toSeconds(), TimeUnit.SECONDS) || !sender.join(AT_THE_END)) {
                sender.interrupt();
                sender.join(Duration.ofSeconds(1));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
        if (dropped > 0) {
            complain.accept(dropped + " messages were not taken by " + address.getHost());
        }
    }
}
