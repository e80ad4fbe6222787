package org.sftnative.tune.study;

import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import java.util.stream.Collectors;
import org.sftnative.InputException;
import org.sftnative.tune.Decision;
import org.sftnative.tune.Scheduler;
import org.sftnative.tune.Searcher;
import org.sftnative.tune.TrialState;
import tools.jackson.core.type.TypeReference;
import tools.jackson.databind.DeserializationFeature;
import tools.jackson.databind.json.JsonMapper;

/// A study in a database. Whatever changes its log takes the study's row first, so that all workers write one log, one
/// after the other: a decision sees every entry before it, and none is made twice. Trials are held under leases that
/// end by the database's clock; a write of a lease that another has followed is refused. Every method may be called
/// again after a [StorageException]: what was done already is not done twice.
public final class StudyStore implements AutoCloseable {
    private static final int CRASHES = 2;
    private static final TypeReference<LinkedHashMap<String, Object>> VALUES = new TypeReference<>() {};
    private static final JsonMapper JSON = JsonMapper.builder()
            .enable(DeserializationFeature.USE_LONG_FOR_INTS) // as searchers give them
            .build();

    private final Database db;
    private final String study;
    private final Searcher searcher;
    private final Supplier<Scheduler> schedulers;
    private final long leaseMs;
    private final UnaryOperator<Map<String, Object>> canonical;
    private final Map<Integer, Map<String, Object>> settings = new HashMap<>(); // of trials: they never change
    private StudyLog log;
    private final Set<Lease> given = new HashSet<>();
    private boolean unheard; // a claim may have been written, though its answer did not come

    /// A measurement that a worker found.
    ///
    /// @param step optimizer steps done: a trial has one report for each
    record Found(Lease lease, long step, double time, double metric) {}

    /// What becomes of a trial after a report, or after a sign of life.
    enum Answer {
        CONTINUE,
        STOP,
        /// Another worker has it: hands off.
        LOST
    }

    /// @param schedulers makes one that was told nothing
    /// @param leaseMs how long a trial is a worker's without a sign of life
    /// @param canonical gives settings that were stored the classes that the searcher gave them
    StudyStore(
            Database db,
            String study,
            Searcher searcher,
            Supplier<Scheduler> schedulers,
            long leaseMs,
            UnaryOperator<Map<String, Object>> canonical) {
        this.canonical = canonical;
        this.db = db;
        this.study = study;
        this.searcher = searcher;
        this.schedulers = schedulers;
        this.leaseMs = leaseMs;
        this.log = new StudyLog(schedulers.get());
    }

    /// Takes a trial: one that was begun and left first, else the next new one.
    ///
    /// @param worker its name; if a claim of its was not answered, it gets what that one took
    /// @return empty if there is none to take now; see [Snapshot#finished]
    Optional<Lease> claim(String worker) {
        boolean again = unheard;
        unheard = true;
        Optional<Lease> taken = take(worker, again);
        unheard = false;
        taken.ifPresent(given::add);
        return taken;
    }

    private Optional<Lease> take(String worker, boolean again) {
        return locked(trials -> {
            Optional<Integer> left = left(again ? worker : "");
            if (left.isEmpty()) {
                int next = number("SELECT count(*) FROM trial WHERE study = ?");
                if (next >= trials) {
                    return Optional.empty();
                }
                add(next);
                left = Optional.of(next);
            }
            return db
                    .query(
                            row -> new Lease(row.getInt(1), row.getLong(2), values(row.getInt(1), row.getString(3))),
                            "UPDATE trial SET state = 'RUNNING', token = token + 1, worker = ?, lease_until_ms = "
                                    + db.now() + " + ? WHERE study = ? AND number = ?"
                                    + " RETURNING number, token, settings",
                            worker,
                            leaseMs,
                            study,
                            left.get())
                    .stream()
                    .findFirst();
        });
    }

    /// Writes reports into the log, and decides on each.
    List<Answer> report(List<Found> found) {
        if (found.isEmpty()) {
            return List.of();
        }
        return locked(_ -> {
            Map<Integer, Held> held = held();
            List<Object[]> entries = new ArrayList<>();
            List<Answer> answers = new ArrayList<>();
            for (Found f : found) {
                answers.add(report(f, held, entries));
            }
            append(entries);
            for (Object[] entry : entries) {
                if (entry[2].equals("ended")) {
                    end((int) entry[3], TrialState.STOPPED, "");
                }
            }
            return answers;
        });
    }

    private Answer report(Found f, Map<Integer, Held> held, List<Object[]> entries) {
        int trial = f.lease().trial();
        Held now = held.get(trial);
        if (now == null || now.token() != f.lease().token()) {
            return Answer.LOST;
        }
        if (now.state() != TrialState.RUNNING) {
            return now.state().ended() ? Answer.STOP : Answer.LOST;
        }
        TrialRow.Measured before = log.of(trial).get(f.step());
        if (before != null) { // a trial that went on from its checkpoint does steps again
            return Answer.CONTINUE;
        }
        long seq = log.size();
        Decision decision = log.report(trial, f.step(), f.time(), f.metric());
        entries.add(entry(seq, "report", trial, f.step(), "" + f.time(), "" + f.metric(), decision.name()));
        if (decision == Decision.CONTINUE) {
            return Answer.CONTINUE;
        }
        long end = log.size();
        log.ended(trial, TrialState.STOPPED);
        entries.add(entry(end, "ended", trial, -1, "", "", TrialState.STOPPED.name()));
        held.put(trial, new Held(now.token(), TrialState.STOPPED, now.crashes()));
        return Answer.STOP;
    }

    /// A trial came to its own end, well or not.
    ///
    /// @return false if it is another's meanwhile, or has ended otherwise
    boolean finish(Lease lease, TrialState state, String why) {
        return locked(_ -> finishLocked(lease, state, why));
    }

    private boolean finishLocked(Lease lease, TrialState state, String why) throws SQLException {
        Held now = held().get(lease.trial());
        if (now == null || now.token() != lease.token() || now.state() != TrialState.RUNNING) {
            return now != null && now.token() == lease.token() && now.state() == state;
        }
        long seq = log.size();
        log.ended(lease.trial(), state);
        append(List.<Object[]>of(entry(seq, "ended", lease.trial(), -1, "", "", state.name())));
        end(lease.trial(), state, why);
        return true;
    }

    /// A trial's process crashed: it is tried once more, then it has failed.
    ///
    /// @return whether it is tried again
    boolean crashed(Lease lease, String why) {
        return locked(_ -> {
            Held now = held().get(lease.trial());
            if (now == null || now.token() != lease.token() || now.state() != TrialState.RUNNING) {
                return now != null && now.token() == lease.token() && now.state() == TrialState.WAITING;
            }
            db.update(
                    "UPDATE trial SET crashes = crashes + 1, why = ? WHERE study = ? AND number = ?",
                    why,
                    study,
                    lease.trial());
            if (now.crashes() + 1 >= CRASHES) {
                finishLocked(lease, TrialState.FAILED, why);
                return false;
            }
            free(lease);
            return true;
        });
    }

    /// Gives a trial back, to be gone on with by whoever takes it.
    void release(Lease lease) {
        db.transaction(_ -> free(lease));
    }

    private int free(Lease lease) throws SQLException {
        return db.update(
                "UPDATE trial SET state = 'WAITING', lease_until_ms = 0"
                        + " WHERE study = ? AND number = ? AND token = ? AND state = 'RUNNING'",
                study,
                lease.trial(),
                lease.token());
    }

    /// Signs of life: the leases begin anew.
    ///
    /// @return those that are another's meanwhile
    Set<Lease> heartbeat(List<Lease> leases) {
        return db.transaction(_ -> {
            Set<Lease> lost = new HashSet<>();
            for (Lease lease : leases) {
                int known = db.update(
                        "UPDATE trial SET lease_until_ms = " + db.now()
                                + " + ? WHERE study = ? AND number = ? AND token = ?",
                        leaseMs,
                        study,
                        lease.trial(),
                        lease.token());
                if (known == 0) {
                    lost.add(lease);
                }
            }
            return lost;
        });
    }

    /// Whether a trial has a report.
    boolean reported(int trial) {
        return db.transaction(_ -> {
            catchUp();
            return !log.of(trial).isEmpty();
        });
    }

    /// All that is known, at one moment.
    Snapshot snapshot() {
        return db.transaction(_ -> {
            int trials = total();
            catchUp();
            return new Snapshot(trials, rows());
        });
    }

    /// A study at one moment.
    ///
    /// @param trials how many it is to have
    public record Snapshot(int trials, List<TrialRow> rows) {
        /// Whether every trial has ended.
        boolean finished() {
            return rows.size() >= trials
                    && rows.stream().allMatch(row -> row.state().ended());
        }
    }

    @Override
    public void close() {
        db.close();
    }

    private interface Locked<T> {
        T run(int trials) throws SQLException;
    }

    /// Runs a body that may write the log: nobody else writes meanwhile, and all that others wrote is known.
    private <T> T locked(Locked<T> body) {
        try {
            return db.transaction(_ -> {
                List<Integer> trials =
                        db.query(row -> row.getInt(1), "SELECT trials FROM study WHERE name = ?" + db.lock(), study);
                if (trials.isEmpty()) {
                    throw new InputException("there is no study '" + study + "' in " + db.shown());
                }
                catchUp();
                return body.run(trials.getFirst());
            });
        } catch (RuntimeException e) {
            log = new StudyLog(schedulers.get()); // it may know of entries that were not written
            settings.clear(); // and this of a trial
            throw e;
        }
    }

    private int total() throws SQLException {
        return number("SELECT trials FROM study WHERE name = ?");
    }

    private int number(String sql) throws SQLException {
        return db.query(row -> row.getInt(1), sql, study).getFirst();
    }

    private void catchUp() throws SQLException {
        db.query(
                        row -> new StudyLog.Entry(
                                row.getLong(1),
                                row.getString(2),
                                row.getInt(3),
                                row.getLong(4),
                                row.getString(5),
                                row.getString(6),
                                row.getString(7)),
                        "SELECT seq, kind, trial, step, time, metric, said FROM event"
                                + " WHERE study = ? AND seq >= ? ORDER BY seq",
                        study,
                        log.size())
                .forEach(log::replay);
    }

    private void append(List<Object[]> entries) throws SQLException {
        db.batch("INSERT INTO event VALUES (?, ?, ?, ?, ?, ?, ?, ?, " + db.now() + ")", entries);
    }

    private Object[] entry(long seq, String kind, int trial, long step, String time, String metric, String said) {
        return new Object[] {study, seq, kind, trial, step, time, metric, said};
    }

    /// The first trial that was begun and is nobody's now.
    ///
    /// @param unheard a worker that does not know of a trial that it took
    private Optional<Integer> left(String unheard) throws SQLException {
        record Candidate(int number, boolean free, String worker, long token) {}
        return db
                .query(
                        row -> new Candidate(row.getInt(1), row.getInt(2) == 1, row.getString(3), row.getLong(4)),
                        "SELECT number, CASE WHEN state = 'WAITING' OR lease_until_ms < " + db.now()
                                + " THEN 1 ELSE 0 END, worker, token FROM trial"
                                + " WHERE study = ? AND state IN ('WAITING', 'RUNNING') ORDER BY number",
                        study)
                .stream()
                .filter(c -> c.free()
                        || Workers.dead(c.worker())
                        || c.worker().equals(unheard)
                                && given.stream().noneMatch(g -> g.trial() == c.number() && g.token() == c.token()))
                .map(Candidate::number)
                .findFirst();
    }

    private void add(int number) throws SQLException {
        Map<String, Object> values =
                searcher.suggest(number, rows().stream().map(TrialRow::trial).collect(Collectors.toList()));
        int bracket = log.bracket(number);
        db.update(
                "INSERT INTO trial VALUES (?, ?, ?, ?, 'WAITING', 0, 0, '', 0, '', " + db.now() + ", NULL)",
                study,
                number,
                JSON.writeValueAsString(values),
                bracket);
        settings.put(number, values);
        long seq = log.size();
        log.added(number, bracket);
        append(List.<Object[]>of(entry(seq, "added", number, -1, "", "", "" + bracket)));
    }

    private void end(int number, TrialState state, String why) throws SQLException {
        db.update(
                "UPDATE trial SET state = ?, why = ?, ended_ms = " + db.now() + " WHERE study = ? AND number = ?",
                state.name(),
                why,
                study,
                number);
    }

    private record Held(long token, TrialState state, int crashes) {}

    private Map<Integer, Held> held() throws SQLException {
        Map<Integer, Held> held = new LinkedHashMap<>();
        db.query(
                row -> held.put(
                        row.getInt(1), new Held(row.getLong(2), TrialState.valueOf(row.getString(3)), row.getInt(4))),
                "SELECT number, token, state, crashes FROM trial WHERE study = ?",
                study);
        return held;
    }

    private List<TrialRow> rows() throws SQLException {
        return db.query(
                row -> new TrialRow(
                        row.getInt(1),
                        values(row.getInt(1), row.getString(2)),
                        TrialState.valueOf(row.getString(3)),
                        row.getInt(4),
                        row.getInt(5),
                        row.getString(6),
                        row.getString(7),
                        row.getLong(8) / 1000.0,
                        log.reports(row.getInt(1))),
                "SELECT number, settings, state, bracket, crashes, worker, why, coalesce(ended_ms, " + db.now()
                        + ") - began_ms FROM trial WHERE study = ? ORDER BY number",
                study);
    }

    private Map<String, Object> values(int trial, String json) {
        return settings.computeIfAbsent(trial, _ -> canonical.apply(JSON.readValue(json, VALUES)));
    }
}
