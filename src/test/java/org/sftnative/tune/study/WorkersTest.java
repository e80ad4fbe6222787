package org.sftnative.tune.study;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.Statement;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.support.CuttableProxy;
import org.sftnative.support.InMemory;
import org.sftnative.support.Postgres;

/// Four worker processes on one study in a real PostgreSQL.
class WorkersTest {
    private static final int SAMPLES = 24;

    @TempDir(factory = InMemory.class)
    Path dir;

    @Test
    void twoOfFourWorkersKilledAndOneCutOffEverySampleIsDecidedOnce() throws Exception {
        Path space = Files.writeString(dir.resolve("space.yaml"), FakeTrials.SPACE);
        Map<String, String> settings =
                new HashMap<>(Map.of("num_samples", "" + SAMPLES, "scheduler", "none", "lease", "3s"));
        StudyResults single = FakeTrials.run(dir.resolve("single"), FakeTrials.SPACE, settings);
        settings.put("study_name", "shared");
        settings.put("storage_timeout", "6s");
        Path out = dir.resolve("out");
        Random random = new Random(3);
        try (Postgres server = Postgres.start();
                CuttableProxy proxy = new CuttableProxy(server.port())) {
            settings.put("storage", server.url());
            Process first = FakeTrials.start(out, space, 1, dir.resolve("0.txt"), settings);
            waitForStudy(server);
            settings.put("worker", "true");
            Process second = FakeTrials.start(out, space, 1, dir.resolve("1.txt"), settings);
            Process third = FakeTrials.start(out, space, 1, dir.resolve("2.txt"), settings);
            settings.put("storage", server.url(proxy.port()));
            Process cutOff = FakeTrials.start(out, space, 1, dir.resolve("3.txt"), settings);
            waitForWorkers(server, 4);
            Thread.sleep(random.nextLong(300));
            first.destroyForcibly();
            Thread.sleep(random.nextLong(300));
            second.destroyForcibly();
            Thread.sleep(random.nextLong(300));
            proxy.cut();
            assertTrue(third.waitFor(2, TimeUnit.MINUTES), "not done after two minutes");
            assertEquals(0, third.exitValue(), Files.readString(dir.resolve("2.txt")));
            assertTrue(cutOff.waitFor(30, TimeUnit.SECONDS), "the worker that is cut off goes on for ever");
            String said = Files.readString(dir.resolve("3.txt"));
            assertEquals(1, cutOff.exitValue(), said);
            assertTrue(said.contains("given up after"), said);

            try (Study study = Study.look(out, Optional.of(server.url()), Optional.of("shared"))) {
                StudyResults results = study.results();
                assertEquals(SAMPLES + " of " + SAMPLES + " trials: " + SAMPLES + " completed", results.summary());
                assertEquals(FakeTrials.decisions(single), FakeTrials.decisions(results));
                assertEquals(
                        single.best().orElseThrow().value(),
                        results.best().orElseThrow().value());
            }
            // the log itself: one beginning and one end a trial, nothing left out
            assertEquals(SAMPLES, count(server, "SELECT count(*) FROM event WHERE kind = 'added'"));
            assertEquals(SAMPLES, count(server, "SELECT count(*) FROM event WHERE kind = 'ended'"));
            assertEquals(0, count(server, "SELECT count(*) - max(seq) - 1 FROM event"));
            assertTrue(count(server, "SELECT max(token) FROM trial") >= 2, "no trial was taken over");
        }
    }

    @Test
    void aDatabaseThatFallsAndComesBackLosesNothing() throws Exception {
        Path space = Files.writeString(dir.resolve("space.yaml"), FakeTrials.SPACE);
        Map<String, String> settings =
                new HashMap<>(Map.of("num_samples", "12", "scheduler", "asha", "reduction_factor", "2"));
        StudyResults single = FakeTrials.run(dir.resolve("single"), FakeTrials.SPACE, settings);
        settings.put("study_name", "shared");
        Path out = dir.resolve("out");
        try (Postgres server = Postgres.start()) {
            settings.put("storage", server.url());
            Process worker = FakeTrials.start(out, space, 1, dir.resolve("0.txt"), settings);
            waitForWorkers(server, 1);
            for (int i = 0; i < 300 && count(server, "SELECT count(*) FROM event") < 8; i++) {
                Thread.sleep(50);
            }
            server.stop();
            Thread.sleep(1500);
            server.go();
            assertTrue(worker.waitFor(2, TimeUnit.MINUTES), "not done after two minutes");
            String said = Files.readString(dir.resolve("0.txt"));
            assertEquals(0, worker.exitValue(), said);
            assertTrue(said.contains("warning: storage ") && said.contains("; trying again"), said);
            try (Study study = Study.look(out, Optional.of(server.url()), Optional.of("shared"))) {
                assertEquals(FakeTrials.decisions(single), FakeTrials.decisions(study.results()));
                assertEquals(single.summary(), study.results().summary());
            }
        }
    }

    private static void waitForStudy(Postgres server) throws Exception {
        for (int i = 0; i < 300; i++) {
            try {
                if (count(server, "SELECT count(*) FROM study") > 0) {
                    return;
                }
            } catch (java.sql.SQLException e) {
                // no table yet
            }
            Thread.sleep(100);
        }
        throw new AssertionError("no study after 30 s");
    }

    private static void waitForWorkers(Postgres server, int workers) throws Exception {
        waitForStudy(server);
        for (int i = 0; i < 300; i++) {
            if (count(server, "SELECT count(DISTINCT worker) FROM trial") >= workers) {
                return;
            }
            Thread.sleep(50);
        }
        throw new AssertionError("not all workers had a trial after 15 s");
    }

    private static long count(Postgres server, String sql) throws Exception {
        try (Connection connection = DriverManager.getConnection(server.url());
                Statement statement = connection.createStatement();
                ResultSet row = statement.executeQuery(sql)) {
            row.next();
            return row.getLong(1);
        }
    }

    @Test
    void aStorageThatIsNotThereIsSaidAfterATime() {
        Map<String, String> nowhere =
                Map.of("storage", "jdbc:postgresql://127.0.0.1:1/none?user=u&password=secret", "storage_timeout", "1s");
        String message = org.junit.jupiter.api.Assertions.assertThrows(
                        org.sftnative.InputException.class,
                        () -> FakeTrials.begin(dir.resolve("out"), FakeTrials.SPACE, nowhere))
                .getMessage();
        assertTrue(message.startsWith("storage jdbc:postgresql://127.0.0.1:1/none?user=u&password=***: "), message);
        assertTrue(
                message.matches("(?s).*\n  tried \\d+ times in \\d+ s; is it running, and --storage right\\?"),
                message);
        assertEquals(List.of(message), List.of(message.replace("secret", "")));
    }
}
