package org.sftnative.tune.study;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.UnaryOperator;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.InputException;
import org.sftnative.support.InMemory;
import org.sftnative.support.Postgres;
import org.sftnative.tune.Asha;
import org.sftnative.tune.Mode;
import org.sftnative.tune.Scheduler;
import org.sftnative.tune.Searcher;
import org.sftnative.tune.Trial;
import org.sftnative.tune.TrialState;
import org.sftnative.tune.study.StudyStore.Answer;
import org.sftnative.tune.study.StudyStore.Found;

/// What the storage promises, on both databases.
class StudyStoreTest {
    private static final AtomicInteger STUDIES = new AtomicInteger();
    private static Postgres server;

    @TempDir(factory = InMemory.class)
    Path dir;

    @BeforeAll
    static void start() throws Exception {
        server = Postgres.start();
    }

    @AfterAll
    static void stop() throws Exception {
        server.close();
    }

    private static final Searcher SEARCHER = new Searcher() {
        @Override
        public int trials(int numSamples) {
            return numSamples;
        }

        @Override
        public Map<String, Object> suggest(int trial, List<Trial> history) {
            return Map.of("learning_rate", 1e-5 * (trial + 1), "seed", (long) trial);
        }
    };

    private static Scheduler asha() {
        return new Asha(new Asha.Settings(Mode.MIN, 100, 1, 2, 1, true), 1);
    }

    private String url(String kind) {
        return kind.equals("sqlite") ? "jdbc:sqlite:" + dir.resolve("study.db") : server.url();
    }

    private String create(String kind, int trials) {
        String name = "study-" + STUDIES.incrementAndGet();
        StudyDefinition definition = new StudyDefinition(
                new TreeMap<>(), new TreeMap<>(), "", "", new TreeMap<>(Map.of("metric", "loss")), ".", "out");
        try (Database db = new Database(url(kind), 5)) {
            assertEquals(Optional.empty(), new Studies(db).definition(name));
            new Studies(db).create(name, definition, trials);
            assertEquals(Optional.of(definition), new Studies(db).definition(name));
        }
        return name;
    }

    private StudyStore open(String kind, String study, long leaseMs) {
        return new StudyStore(
                new Database(url(kind), 5), study, SEARCHER, StudyStoreTest::asha, leaseMs, UnaryOperator.identity());
    }

    @ParameterizedTest
    @ValueSource(strings = {"sqlite", "postgresql"})
    void everyTrialIsTakenOnceInTheirOrder(String kind) {
        String study = create(kind, 3);
        try (StudyStore a = open(kind, study, 60_000);
                StudyStore b = open(kind, study, 60_000)) {
            List<Integer> taken = new ArrayList<>();
            for (StudyStore store : List.of(a, b, a)) {
                Lease lease = store.claim("w").orElseThrow();
                taken.add(lease.trial());
                assertEquals(
                        Map.of("learning_rate", 1e-5 * (lease.trial() + 1), "seed", (long) lease.trial()),
                        lease.values());
            }
            assertEquals(List.of(0, 1, 2), taken);
            assertEquals(Optional.empty(), b.claim("w"));
            assertFalse(b.snapshot().finished());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"sqlite", "postgresql"})
    void aTrialWhoseLeaseEndedIsTakenOverAndItsOldWorkerIsRefused(String kind) throws Exception {
        String study = create(kind, 1);
        try (StudyStore slow = open(kind, study, 300);
                StudyStore other = open(kind, study, 60_000)) {
            Lease old = slow.claim("slow").orElseThrow();
            assertEquals(Optional.empty(), other.claim("other"));
            for (int i = 0; i < 5; i++) {
                Thread.sleep(150);
                assertEquals(0, slow.heartbeat(List.of(old)).size());
                assertEquals(Optional.empty(), other.claim("other"), "a lease that is kept alive ended");
            }
            Thread.sleep(400);
            Lease taken = other.claim("other").orElseThrow();
            assertEquals(old.trial(), taken.trial());
            assertNotEquals(old.token(), taken.token());
            // every write of the old lease is refused, and changes nothing
            assertEquals(java.util.Set.of(old), slow.heartbeat(List.of(old)));
            assertEquals(List.of(Answer.LOST), slow.report(List.of(new Found(old, 1, 1, 0.5))));
            assertFalse(slow.finish(old, TrialState.COMPLETED, ""));
            assertFalse(slow.crashed(old, "why"));
            slow.release(old);
            TrialRow row = other.snapshot().rows().getFirst();
            assertEquals(TrialState.RUNNING, row.state());
            assertEquals(List.of(), row.reports());
            assertEquals(0, row.crashes());
            assertEquals(List.of(Answer.CONTINUE), other.report(List.of(new Found(taken, 1, 1, 0.5))));
            assertTrue(other.finish(taken, TrialState.COMPLETED, ""));
            assertTrue(other.snapshot().finished());
        }
    }

    /// The server commits, but so late that the worker has given up on the answer.
    @Test
    void whatWasWrittenUnheardIsNotDoneTwice() throws Exception {
        String study = create("postgresql", 2);
        String slow = "slow_" + STUDIES.incrementAndGet();
        try (Database admin = new Database(server.url(), 5);
                StudyStore store = new StudyStore(
                        new Database(server.url(), 1), study, SEARCHER, StudyStoreTest::asha, 60_000, v -> v)) {
            admin.transaction(db -> db.update("CREATE FUNCTION " + slow + "() RETURNS trigger LANGUAGE plpgsql AS"
                    + " 'BEGIN PERFORM pg_sleep(1.5); RETURN NULL; END'"));
            Lease first = store.claim("w").orElseThrow();
            Runnable late = () -> admin.transaction(db -> db.update("CREATE CONSTRAINT TRIGGER " + slow
                    + " AFTER UPDATE ON trial DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.study = '" + study
                    + "') EXECUTE FUNCTION " + slow + "()"));
            Runnable prompt = () -> admin.transaction(db -> db.update("DROP TRIGGER " + slow + " ON trial"));

            late.run();
            assertThrows(StorageException.class, () -> store.claim("w"));
            prompt.run(); // waits for the transaction of the claim
            Lease second = store.claim("w").orElseThrow();
            assertEquals(List.of(0, 1), List.of(first.trial(), second.trial()));
            assertEquals(Optional.empty(), store.claim("w"));
            assertEquals(java.util.Set.of(), store.heartbeat(List.of(first, second)));

            late.run();
            assertThrows(StorageException.class, () -> store.crashed(second, "killed"));
            prompt.run();
            assertTrue(store.crashed(second, "killed"));
            assertEquals(1, store.snapshot().rows().get(1).crashes());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"sqlite", "postgresql"})
    void workersDecideAsOneSchedulerWould(String kind) {
        String study = create(kind, 8);
        List<Lease> leases = new ArrayList<>();
        try (StudyStore a = open(kind, study, 60_000);
                StudyStore b = open(kind, study, 60_000)) {
            for (int i = 0; i < 8; i++) {
                leases.add((i % 2 == 0 ? a : b).claim("w").orElseThrow());
            }
            Scheduler alone = asha();
            for (int i = 0; i < 8; i++) {
                alone.on(new org.sftnative.tune.StudyEvent.TrialAdded(i, 0));
            }
            int stops = 0;
            for (int i = 0; i < 8; i++) {
                double metric = (i * 5) % 8;
                Answer answer = (i % 2 == 0 ? b : a)
                        .report(List.of(new Found(leases.get(i), 1, 1, metric)))
                        .getFirst();
                String expected = alone.on(new org.sftnative.tune.StudyEvent.Report(i, 1, metric))
                        .name();
                assertEquals(expected, answer.name(), "trial " + i);
                stops += answer == Answer.STOP ? 1 : 0;
            }
            assertTrue(stops > 0 && stops < 8, "" + stops);
            // what is said again is answered again, and stands in the log once
            Answer again = a.report(List.of(new Found(leases.get(0), 1, 1, 77))).getFirst();
            assertEquals(Answer.CONTINUE, again);
            assertEquals(
                    0.0, a.snapshot().rows().getFirst().reports().getFirst().metric());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"sqlite", "postgresql"})
    void aTrialThatCrashesIsTriedOnceMoreAndNeverBest(String kind) {
        String study = create(kind, 1);
        try (StudyStore store = open(kind, study, 60_000)) {
            Lease first = store.claim("w").orElseThrow();
            store.report(List.of(new Found(first, 1, 1, -1e9)));
            assertTrue(store.crashed(first, "killed"));
            Lease second = store.claim("w").orElseThrow();
            assertEquals(first.trial(), second.trial());
            assertFalse(store.crashed(second, "killed again"));
            TrialRow row = store.snapshot().rows().getFirst();
            assertEquals(TrialState.FAILED, row.state());
            assertEquals("killed again", row.why());
            assertTrue(row.value().isEmpty());
            assertTrue(store.snapshot().finished());
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"sqlite", "postgresql"})
    void whatIsNotANumberComesBackAsItWas(String kind) {
        String study = create(kind, 1);
        try (StudyStore store = open(kind, study, 60_000)) {
            Lease lease = store.claim("w").orElseThrow();
            store.report(
                    List.of(new Found(lease, 1, 0.1, Double.NaN), new Found(lease, 2, 0.2, Double.POSITIVE_INFINITY)));
            try (StudyStore reader = open(kind, study, 1000)) {
                List<TrialRow.Measured> reports =
                        reader.snapshot().rows().getFirst().reports();
                assertEquals(Double.NaN, reports.get(0).metric());
                assertEquals(Double.POSITIVE_INFINITY, reports.get(1).metric());
            }
        }
    }

    @ParameterizedTest
    @ValueSource(strings = {"sqlite", "postgresql"})
    void aSchemaIsMigratedStepByStepAndANewerOneIsRefused(String kind) {
        String table = "migrated_" + STUDIES.incrementAndGet();
        List<String> next = List.of("CREATE TABLE " + table + " (x INTEGER)", "INSERT INTO " + table + " VALUES (7)");
        List<List<String>> two = new ArrayList<>(Studies.MIGRATIONS);
        two.add(next);
        String url = kind.equals("sqlite")
                ? "jdbc:sqlite:" + dir.resolve("migrated.db")
                : server.url() + "&currentSchema=" + table + "_schema";
        try (Database db = new Database(url, 5)) {
            if (kind.equals("postgresql")) {
                db.transaction(_ -> db.update("CREATE SCHEMA " + table + "_schema"));
            }
            db.migrate(Studies.MIGRATIONS);
            db.migrate(two);
            db.migrate(two); // the second time nothing is left to do
            List<Integer> rows = db.transaction(_ -> db.query(row -> row.getInt(1), "SELECT x FROM " + table));
            assertEquals(List.of(7), rows);
            String message = assertThrows(InputException.class, () -> db.migrate(Studies.MIGRATIONS))
                    .getMessage();
            assertTrue(
                    message.startsWith("the study's storage has schema version 2, this program knows version 1"),
                    message);
        }
    }

    @Test
    @Tag("slow")
    void aHundredThousandReportsAMinuteAreNotLost() throws Exception {
        int workers = 4;
        int each = 25_000;
        String study = create("postgresql", workers);
        long began = System.nanoTime();
        List<Thread> threads = new ArrayList<>();
        for (int w = 0; w < workers; w++) {
            threads.add(Thread.ofPlatform().start(() -> {
                try (StudyStore store = open("postgresql", study, 600_000)) {
                    Lease lease = store.claim("w").orElseThrow();
                    // what a worker of 20 trials finds in a poll
                    for (int step = 0; step < each; step += 20) {
                        List<Found> found = new ArrayList<>();
                        for (int i = 0; i < 20; i++) {
                            found.add(new Found(lease, step + i, 1e-6 * (step + i), 1.0));
                        }
                        store.report(found);
                    }
                }
            }));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        double seconds = (System.nanoTime() - began) / 1e9;
        System.out.printf(
                "%d reports in %.1f s: %.0f a minute%n", workers * each, seconds, workers * each / seconds * 60);
        try (StudyStore store = open("postgresql", study, 1000)) {
            assertEquals(
                    workers * each,
                    store.snapshot().rows().stream()
                            .mapToInt(r -> r.reports().size())
                            .sum());
        }
        assertTrue(seconds < 60, seconds + " s");
    }
}
