package org.sftnative.tune.study;

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Properties;
import org.sftnative.InputException;

/// One connection to SQLite or PostgreSQL, made when it is needed and again after it broke. The SQL of studies is the
/// same for both; what differs is here. For one thread at a time.
final class Database implements AutoCloseable {
    /// PostgreSQL's key of the lock under which a schema is made or migrated: "sft-tune" in ASCII.
    private static final long SCHEMA_LOCK = 0x7366742d74756e65L;

    private final String url;
    private final int timeoutSeconds;
    private final Map<String, PreparedStatement> statements = new HashMap<>(); // of the connection, by their text
    private Optional<Connection> connection = Optional.empty();

    /// Work in one transaction.
    interface Body<T> {
        T run(Database database) throws SQLException;
    }

    /// Reads one row.
    interface RowReader<T> {
        T read(ResultSet row) throws SQLException;
    }

    /// @param url `jdbc:sqlite:FILE` or `jdbc:postgresql://HOST/DATABASE`
    /// @param timeoutSeconds how long an answer may take
    /// @throws InputException if it is neither
    Database(String url, int timeoutSeconds) {
        if (!url.matches("jdbc:(sqlite:.+|postgresql:.+)")) {
            throw new InputException("storage '" + redacted(url) + "' is not one that this program knows"
                    + "\n  write jdbc:postgresql://host/database, or leave it out for SQLite in the study's directory");
        }
        this.url = url;
        this.timeoutSeconds = timeoutSeconds;
    }

    /// What the storage takes for now, in milliseconds since 1970, as an SQL expression: leases live by its clock
    /// alone, whatever the clocks of the workers say.
    String now() {
        return isSqlite()
                ? "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
                : "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)";
    }

    /// What a SELECT ends with that takes its rows for this transaction. SQLite's are alone from their start.
    String lock() {
        return isSqlite() ? "" : " FOR NO KEY UPDATE";
    }

    boolean isSqlite() {
        return url.startsWith("jdbc:sqlite:");
    }

    /// Runs the body in a transaction, all of it or nothing.
    ///
    /// @throws StorageException if the storage is not reached, or the transaction must be done again
    /// @throws InputException if it refuses us for good: a wrong password, no such database
    <T> T transaction(Body<T> body) {
        try {
            Connection now = connected();
            if (isSqlite()) { // the driver's own transactions begin anew at each commit, and hold the lock for ever
                prepared("BEGIN IMMEDIATE").execute();
            }
            T result = body.run(this);
            if (isSqlite()) {
                prepared("COMMIT").execute();
            } else {
                now.commit();
            }
            return result;
        } catch (SQLException e) {
            close(); // whatever state it is in, a new one is in none
            throw failure(e);
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    int update(String sql, Object... arguments) throws SQLException {
        return prepared(sql, arguments).executeUpdate();
    }

    <T> List<T> query(RowReader<T> reader, String sql, Object... arguments) throws SQLException {
        try (ResultSet rows = prepared(sql, arguments).executeQuery()) {
            List<T> found = new ArrayList<>();
            while (rows.next()) {
                found.add(reader.read(rows));
            }
            return found;
        }
    }

    void batch(String sql, List<Object[]> rows) throws SQLException {
        if (rows.isEmpty()) {
            return;
        }
        for (Object[] row : rows) {
            prepared(sql, row).addBatch();
        }
        prepared(sql).executeBatch();
    }

    /// Brings the schema to the newest version, each step once, whoever else is trying.
    ///
    /// @param migrations the statements that lead from version 0 to 1, from 1 to 2, ...
    void migrate(List<List<String>> migrations) {
        transaction(db -> {
            if (!isSqlite()) { // SQLite's transactions are alone from their start
                query(row -> 0, "SELECT pg_advisory_xact_lock(" + SCHEMA_LOCK + ")");
            }
            update("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)");
            int version = query(row -> row.getInt(1), "SELECT coalesce(max(version), 0) FROM schema_version")
                    .getFirst();
            if (version > migrations.size()) {
                throw new InputException("the study's storage has schema version " + version
                        + ", this program knows version " + migrations.size()
                        + "\n  it was written by a newer sft-native: use that one");
            }
            for (; version < migrations.size(); version++) {
                for (String statement : migrations.get(version)) {
                    update(statement);
                }
                update("INSERT INTO schema_version VALUES (?)", version + 1);
            }
            return version;
        });
    }

    @Override
    public void close() {
        try {
            if (connection.isPresent()) {
                connection.get().close(); // an open transaction is rolled back
            }
        } catch (SQLException e) {
            // it is broken, which is why it is closed
        } finally {
            statements.clear();
            connection = Optional.empty();
        }
    }

    /// The URL without its password.
    String shown() {
        return redacted(url);
    }

    static String redacted(String url) {
        return url.replaceAll("(?i)(password=)[^&;]*", "$1***").replaceAll("//([^/@:]*):[^/@]*@", "//$1:***@");
    }

    private Connection connected() throws SQLException {
        if (connection.isPresent()) {
            return connection.get();
        }
        Properties properties = new Properties();
        if (isSqlite()) {
            properties.setProperty("journal_mode", "WAL");
            // a killed process loses nothing; after a power failure the last moments are done again
            properties.setProperty("synchronous", "NORMAL");
            properties.setProperty("busy_timeout", "" + 1000 * timeoutSeconds);
        } else {
            properties.setProperty("connectTimeout", "" + timeoutSeconds);
            properties.setProperty("socketTimeout", "" + timeoutSeconds);
            properties.setProperty("tcpKeepAlive", "true");
            properties.setProperty("reWriteBatchedInserts", "true");
            properties.setProperty("ApplicationName", "sft-native");
            // a worker that is cut off inside a transaction must not hold the others up
            properties.setProperty("options", "-c idle_in_transaction_session_timeout=5000");
        }
        Connection made = DriverManager.getConnection(url, properties);
        made.setAutoCommit(isSqlite());
        connection = Optional.of(made);
        return made;
    }

    private PreparedStatement prepared(String sql, Object... arguments) throws SQLException {
        PreparedStatement statement = statements.get(sql);
        if (statement == null) {
            statement = connection.orElseThrow().prepareStatement(sql);
            statements.put(sql, statement);
        }
        for (int i = 0; i < arguments.length; i++) {
            statement.setObject(i + 1, arguments[i]);
        }
        return statement;
    }

    private RuntimeException failure(SQLException e) {
        String state = e.getSQLState() == null ? "" : e.getSQLState();
        String what = String.valueOf(e.getMessage()).lines().findFirst().orElse("");
        String message = "storage " + shown() + ": " + redacted(what);
        // 28: who we are, 3D: which database, 42: what we ask, 0A: of something that cannot do it
        if (state.matches("(28|3D|42|0A).*")) {
            return new InputException(message + "\n  see --storage", e);
        }
        if (isSqlite() && what.contains("SQLITE_NOTADB")) {
            return new InputException(message + "\n  the file is damaged, or none of a study", e);
        }
        return new StorageException(message, e);
    }
}
