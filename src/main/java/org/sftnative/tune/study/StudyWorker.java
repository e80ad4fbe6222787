package org.sftnative.tune.study;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import org.sftnative.InputException;
import org.sftnative.tune.TimeAttribute;
import org.sftnative.tune.TrialState;

/// Works on a study: takes trials while it has places, starts their processes, brings what they measure to the log, and
/// does what the scheduler says. One thread; a storage that does not answer holds up decisions, not the trials, until
/// their leases are about to end: then they are killed, because others may take them.
public final class StudyWorker {
    private static final long MILLI = 1_000_000L;
    private static final long POLL_MS = 50;
    private static final long LOOK_MS = 1000;
    /// Between two looks of an idle worker for a trial that another has left.
    private static final long IDLE_MS = 300;

    private final StudyStore store;
    private final TrialFiles files;
    private final TrialProcess.Launcher launcher;
    private final Slots slots;
    private final Options options;
    private final Watcher watcher;
    private final String name = Workers.self();
    private final Semaphore wake = new Semaphore(0);
    private final Map<Integer, Running> running = new LinkedHashMap<>();
    private volatile boolean stopAsked;
    private long beatNanos = System.nanoTime();
    private long lookNanos = System.nanoTime() - LOOK_MS * MILLI;
    private long answeredNanos = System.nanoTime();
    private long nextTryNanos = System.nanoTime();
    private long backoffMs;
    private long claimNanos = System.nanoTime();
    private boolean finished;
    private long storageNanos;

    /// @param metric the key in `metrics.jsonl`
    /// @param threads of a trial; 0: as its settings say
    /// @param leaseMs how long a trial is ours without a sign of life
    /// @param storageTimeoutMs how long a storage may not answer before the worker gives up
    /// @param graceSeconds for a trial that is asked to stop
    /// @param keepAll keep every trial's weights, not only the best's
    record Options(
            String metric,
            TimeAttribute attribute,
            int threads,
            long leaseMs,
            long storageTimeoutMs,
            long graceSeconds,
            boolean keepAll) {}

    /// Hears what happens; quick, on the worker's thread.
    public interface Watcher {
        void said(String line);

        /// The study as it stands, about once a second and at the end.
        void changed(StudyStore.Snapshot study);
    }

    private record Running(
            Lease lease,
            TrialProcess process,
            MetricsFollower follower,
            String place,
            List<StudyStore.Found> pending) {}

    StudyWorker(
            StudyStore store,
            TrialFiles files,
            TrialProcess.Launcher launcher,
            Slots slots,
            Options options,
            Watcher watcher) {
        this.store = store;
        this.files = files;
        this.launcher = launcher;
        this.slots = slots;
        this.options = options;
        this.watcher = watcher;
    }

    /// Asks it to stop its trials, give them back, and return. From any thread.
    void stop() {
        stopAsked = true;
        wake.release();
    }

    /// Time spent in storage and decisions, in nanoseconds.
    long storageNanos() {
        return storageNanos;
    }

    /// Works until every trial has ended, or it is asked to stop.
    ///
    /// @return whether the study is finished
    /// @throws InputException if no trial reports the metric
    /// @throws StorageException if the storage has not answered for too long
    boolean run() throws InterruptedException {
        try {
            while (!(finished || stopAsked) || !running.isEmpty()) {
                step();
                wake.tryAcquire(POLL_MS, TimeUnit.MILLISECONDS);
                wake.drainPermits();
            }
            look();
            tidy(); // others' trials that were still stopping when the last one ended
            return finished;
        } finally {
            running.values().forEach(r -> r.process().kill());
        }
    }

    private void step() {
        for (Running r : running.values()) {
            follow(r);
            if (r.process().stopping() || stopAsked) {
                r.process().stop();
            }
        }
        if (System.nanoTime() >= nextTryNanos) {
            try {
                report();
                end();
                beat();
                claim();
                look();
                answeredNanos = System.nanoTime();
                backoffMs = 0;
            } catch (StorageException e) {
                unanswered(e);
            }
        }
        // the clock of the lease began before its last answer came: what is left is less than this says. A process that
        // stood still finds a storage that answers, and hears from it which trials are still its own
        if (backoffMs > 0 && !running.isEmpty() && System.nanoTime() - beatNanos > options.leaseMs() * MILLI * 8 / 10) {
            watcher.said(
                    "the storage does not answer: " + running.size() + " trials are given up, others may take them");
            running.values().forEach(r -> {
                r.process().kill();
                slots.give(r.place());
            });
            running.clear();
        }
    }

    private void unanswered(StorageException e) {
        long now = System.nanoTime();
        long silentMs = (now - answeredNanos) / MILLI;
        if (silentMs > options.storageTimeoutMs()) {
            throw new StorageException(
                    e.getMessage() + "\n  given up after " + silentMs / 1000
                            + " s; go on with --resume when it is reachable again",
                    e);
        }
        if (backoffMs == 0) {
            watcher.said("warning: " + e.getMessage() + "; trying again");
        }
        backoffMs = Math.min(Math.max(100, 2 * backoffMs), 2000);
        nextTryNanos = now + backoffMs * MILLI;
    }

    private void follow(Running r) {
        try {
            for (MetricsFollower.Measurement m : r.follower().poll()) {
                r.pending().add(new StudyStore.Found(r.lease(), m.step(), m.time(), m.metric()));
            }
        } catch (IOException e) {
            throw new UncheckedIOException(files.metrics(r.lease().trial()) + " cannot be read", e);
        }
    }

    /// Everything that was found since the last time, in one transaction.
    private void report() {
        List<StudyStore.Found> found = new ArrayList<>();
        running.values().forEach(r -> found.addAll(r.pending()));
        if (found.isEmpty()) {
            return;
        }
        List<StudyStore.Answer> answers = timed(() -> store.report(found));
        running.values().forEach(r -> r.pending().clear());
        for (int i = 0; i < found.size(); i++) {
            Running r = running.get(found.get(i).lease().trial());
            if (r == null) {
                continue;
            }
            switch (answers.get(i)) {
                case CONTINUE -> {}
                case STOP -> r.process().stop();
                case LOST -> lost(r);
            }
        }
    }

    private void lost(Running r) {
        watcher.said(TrialRow.name(r.lease().trial()) + " is another worker's now");
        r.process().kill();
        running.remove(r.lease().trial());
        slots.give(r.place());
    }

    /// Trials whose process is over.
    private void end() {
        for (Running r : List.copyOf(running.values())) {
            if (!r.process().ended()) {
                continue;
            }
            follow(r); // what it wrote last
            report();
            if (running.get(r.lease().trial()) != r) {
                continue;
            }
            ended(r);
            running.remove(r.lease().trial());
            slots.give(r.place());
            tidy();
        }
    }

    private void ended(Running r) {
        Lease lease = r.lease();
        int status = r.process().status();
        if (status == 0) {
            if (!timed(() -> store.reported(lease.trial()))) {
                timed(() -> store.finish(lease, TrialState.FAILED, "never reported " + options.metric()));
                throw new InputException(TrialRow.name(lease.trial()) + " has ended and never reported '"
                        + options.metric() + "'\n  it reported "
                        + String.join(", ", r.follower().names())
                        + ": choose --metric among them, in another --output-dir"
                        + (options.metric().startsWith("eval_")
                                ? "\n  evaluations need rows: eval_file or eval_fraction"
                                : ""));
            }
            timed(() -> store.finish(lease, TrialState.COMPLETED, ""));
        } else if (r.process().stopping() || stoppedWithUs(status)) {
            timed(() -> {
                store.release(lease); // of a trial that the scheduler stopped nothing is left to give back
                return true;
            });
        } else if (status == 3) {
            // a person touched its stop file
            timed(() -> store.finish(lease, TrialState.STOPPED, "stopped by hand"));
        } else {
            String why = r.process().why();
            boolean again = timed(() -> store.crashed(lease, why));
            watcher.said(
                    TrialRow.name(lease.trial()) + (again ? " crashed and is tried again: " : " has failed: ") + why);
        }
    }

    /// Ctrl-C reaches the processes of a terminal in no order: a trial may have ended by it before we hear of it.
    private boolean stoppedWithUs(int status) {
        for (int i = 0; i < 10 && !stopAsked && (status == 128 + 2 || status == 128 + 15); i++) {
            try {
                Thread.sleep(POLL_MS);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                return true;
            }
        }
        return stopAsked;
    }

    private void beat() {
        long now = System.nanoTime();
        if (running.isEmpty()) {
            beatNanos = now;
            return;
        }
        if (now - beatNanos < options.leaseMs() * MILLI / 4) {
            return;
        }
        Set<Lease> lost = timed(() ->
                store.heartbeat(running.values().stream().map(Running::lease).toList()));
        beatNanos = now;
        List.copyOf(running.values()).stream()
                .filter(r -> lost.contains(r.lease()))
                .forEach(this::lost);
    }

    private void claim() {
        while (!stopAsked && !finished && slots.hasFree() && System.nanoTime() >= claimNanos) {
            long began = System.nanoTime();
            Optional<Lease> lease = timed(() -> store.claim(name));
            if (lease.isEmpty()) {
                claimNanos = System.nanoTime() + IDLE_MS * MILLI;
                return;
            }
            if (running.isEmpty()) {
                beatNanos = began;
            }
            start(lease.get());
        }
    }

    private void start(Lease lease) {
        Path settings = files.prepare(lease, options.threads());
        String place = slots.take().orElseThrow();
        TrialProcess process = TrialProcess.start(
                launcher.command(settings),
                Path.of(files.definition().directory()),
                files.directory(lease.trial()),
                files.log(lease.trial()),
                Slots.environment(place),
                options.graceSeconds(),
                wake::release);
        MetricsFollower follower =
                new MetricsFollower(files.metrics(lease.trial()), options.metric(), options.attribute());
        running.put(lease.trial(), new Running(lease, process, follower, place, new ArrayList<>()));
    }

    private void look() {
        long now = System.nanoTime();
        if (now - lookNanos < LOOK_MS * MILLI && !running.isEmpty()) {
            return;
        }
        lookNanos = now;
        StudyStore.Snapshot study = timed(store::snapshot);
        watcher.changed(study);
        finished = study.finished();
    }

    /// Writes `best.yaml`, and removes the weights of trials that are over and not the best.
    private void tidy() {
        StudyStore.Snapshot study = timed(store::snapshot);
        Optional<TrialRow> best = new StudyResults(files.definition(), study.trials(), study.rows()).best();
        best.ifPresent(files::writeBest);
        if (!options.keepAll()) {
            study.rows().stream()
                    .filter(row -> row.state().ended() && !running.containsKey(row.number()))
                    .filter(row -> best.filter(b -> b.number() == row.number()).isEmpty())
                    .forEach(row -> files.removeWeights(row.number()));
        }
    }

    private interface Asked<T> {
        T get();
    }

    private <T> T timed(Asked<T> asked) {
        long began = System.nanoTime();
        try {
            return asked.get();
        } finally {
            storageNanos += System.nanoTime() - began;
        }
    }
}
