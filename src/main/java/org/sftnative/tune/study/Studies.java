package org.sftnative.tune.study;

import java.util.List;
import java.util.Optional;

/// The studies in a database, whose schema is made or brought to the newest version at the first look.
record Studies(Database db) {
    /// Statements that lead from one version of the schema to the next. Only ever add to this list.
    static final List<List<String>> MIGRATIONS = List.of(List.of(
            "CREATE TABLE study (name TEXT PRIMARY KEY, definition TEXT NOT NULL, trials INTEGER NOT NULL,"
                    + " events BIGINT NOT NULL, began_ms BIGINT NOT NULL)",
            "CREATE TABLE trial (study TEXT NOT NULL REFERENCES study, number INTEGER NOT NULL,"
                    + " settings TEXT NOT NULL, bracket INTEGER NOT NULL, state TEXT NOT NULL,"
                    + " crashes INTEGER NOT NULL, token BIGINT NOT NULL, worker TEXT NOT NULL,"
                    + " lease_until_ms BIGINT NOT NULL, why TEXT NOT NULL, began_ms BIGINT NOT NULL,"
                    + " ended_ms BIGINT, PRIMARY KEY (study, number))",
            "CREATE TABLE event (study TEXT NOT NULL REFERENCES study, seq BIGINT NOT NULL, kind TEXT NOT NULL,"
                    + " trial INTEGER NOT NULL, step BIGINT NOT NULL, time TEXT NOT NULL, metric TEXT NOT NULL,"
                    + " said TEXT NOT NULL, at_ms BIGINT NOT NULL, PRIMARY KEY (study, seq),"
                    + " UNIQUE (study, trial, kind, step))"));

    /// The study's definition; empty if there is no such study.
    Optional<StudyDefinition> definition(String study) {
        db.migrate(MIGRATIONS);
        return db.transaction(
                _ -> db.query(row -> row.getString(1), "SELECT definition FROM study WHERE name = ?", study).stream()
                        .findFirst()
                        .map(StudyDefinition::of));
    }

    /// Names of the studies there are.
    List<String> names() {
        db.migrate(MIGRATIONS);
        return db.transaction(_ -> db.query(row -> row.getString(1), "SELECT name FROM study ORDER BY name"));
    }

    /// Makes a study where there is none.
    ///
    /// @param trials how many it has
    void create(String study, StudyDefinition definition, int trials) {
        db.transaction(_ -> db.update(
                "INSERT INTO study VALUES (?, ?, ?, 0, " + db.now() + ") ON CONFLICT (name) DO NOTHING",
                study,
                definition.json(),
                trials));
    }

    /// More trials than before; never fewer.
    void extend(String study, int trials) {
        db.transaction(
                _ -> db.update("UPDATE study SET trials = ? WHERE name = ? AND trials < ?", trials, study, trials));
    }
}
