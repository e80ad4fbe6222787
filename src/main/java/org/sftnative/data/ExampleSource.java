package org.sftnative.data;

import java.nio.file.Path;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.Optional;
import java.util.Queue;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.sftnative.InputException;
import org.sftnative.config.FormatChoice;
import org.sftnative.config.RowSettings;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// The examples of one file, in order, read as they are asked for: a file may be larger than the memory.
public final class ExampleSource implements Iterator<ExampleSource.Item>, AutoCloseable {
    /// How many rows the format is told from.
    private static final int FIRST = 8;

    /// @param row number of the row in its file, from 1; skipped rows count
    public record Item(Path file, int row, Example example) {}

    private final Rows rows;
    private final FieldNames names;
    private final BadRows bad;
    private final Queue<Row> ahead = new ArrayDeque<>();
    private final Optional<RowFormat> format;
    private final String reason;
    private final Path file;
    private final boolean questions;
    private Optional<Item> next = Optional.empty();

    private ExampleSource(
            Path file, Rows rows, RowSettings settings, Optional<String> chatTemplate, BadRows bad, boolean questions) {
        this.file = file;
        this.questions = questions;
        this.rows = rows;
        this.bad = bad;
        names = FieldNames.of(settings.field());
        Optional<RowFormat> told;
        String known;
        if (settings.format() == FormatChoice.AUTO) {
            while (ahead.size() < FIRST) {
                Optional<Row> row = row();
                if (row.isEmpty()) {
                    break;
                }
                ahead.add(row.get());
            }
            Optional<Found> found = detect(file, ahead.stream().toList());
            told = found.map(Found::format);
            known = found.map(f -> "format " + f.format().choice() + ", since row "
                            + f.row().number() + " has " + f.because())
                    .orElse("no rows");
        } else {
            RowFormat named = RowFormat.ALL.stream()
                    .filter(f -> f.choice() == settings.format())
                    .findFirst()
                    .orElseThrow();
            told = Optional.of(names.renamed(named));
            known = "format " + settings.format() + ", as the settings say";
        }
        told.ifPresent(names::check);
        format = told.map(f -> chatTemplate.map(f::under).orElse(f));
        reason = format.equals(told) ? known : known + "; its texts become turns of " + chatTemplate.orElseThrow();
    }

    /// Opens a file where no chat template was named, with a count of broken rows of its own.
    ///
    /// @see #open(Path, RowSettings, Optional, BadRows)
    public static ExampleSource open(Path file, RowSettings settings) {
        return open(file, settings, Optional.empty(), new BadRows(settings.maxBad()));
    }

    /// Opens a file and tells its format.
    ///
    /// @param chatTemplate the one that the settings name
    /// @param bad counts this file's broken rows, beside those of others
    /// @throws InputException if the file cannot be read, its rows are of no known format or of several, `field`
    ///     names what the format lacks, or too many rows are broken
    public static ExampleSource open(Path file, RowSettings settings, Optional<String> chatTemplate, BadRows bad) {
        return open(file, settings, chatTemplate, bad, false);
    }

    /// The same of rows that may lack an answer: an `output` or `completion` that is missing is empty.
    public static ExampleSource ofQuestions(
            Path file, RowSettings settings, Optional<String> chatTemplate, BadRows bad) {
        return open(file, settings, chatTemplate, bad, true);
    }

    private static ExampleSource open(
            Path file, RowSettings settings, Optional<String> chatTemplate, BadRows bad, boolean questions) {
        Rows rows = Rows.open(file);
        try {
            return new ExampleSource(file, rows, settings, chatTemplate, bad, questions);
        } catch (RuntimeException e) {
            rows.close();
            throw e;
        }
    }

    /// One sentence for the user: which format these rows have, and how that is known.
    public String detected() {
        return file + ": " + reason;
    }

    /// The same without the file's name.
    String reason() {
        return reason;
    }

    /// The format; empty if the file has no rows.
    public Optional<RowFormat> format() {
        return format;
    }

    /// @throws InputException if one row too many is broken
    @Override
    public boolean hasNext() {
        while (next.isEmpty()) {
            Optional<Row> row = ahead.isEmpty() ? row() : Optional.of(ahead.remove());
            if (row.isEmpty()) {
                return false;
            }
            try {
                next = Optional.of(new Item(
                        row.get().file(),
                        row.get().number(),
                        format.orElseThrow().example(row.get())));
            } catch (InputException e) {
                bad.add(e);
            }
        }
        return true;
    }

    /// @throws InputException if one row too many is broken
    @Override
    public Item next() {
        if (!hasNext()) {
            throw new NoSuchElementException();
        }
        Item item = next.orElseThrow();
        next = Optional.empty();
        return item;
    }

    /// The next row that is whole, under the format's names.
    private Optional<Row> row() {
        while (true) {
            Optional<RowReader.Read> read = rows.read();
            if (read.isEmpty()) {
                return Optional.empty();
            }
            switch (read.get()) {
                case RowReader.Good(Row row) -> {
                    Row renamed = names.renamed(row);
                    return Optional.of(questions ? answered(renamed) : renamed);
                }
                case RowReader.Bad(int _, InputException reason) -> bad.add(reason);
            }
        }
    }

    /// A row that asks and has no answer, with an empty one: the formats want one.
    private Row answered(Row row) {
        ObjectNode fields = row.fields().deepCopy();
        if (fields.path("instruction").isString() && lacks(fields, "output")) {
            fields.put("output", "");
        }
        if (lacks(fields, "completion")) {
            if (fields.path("prompt").isString()) {
                fields.put("completion", "");
            } else if (fields.path("prompt").isArray()) {
                fields.set("messages", fields.remove("prompt"));
                fields.remove("completion");
            }
        }
        answer(fields.path("messages"), "role", "content");
        answer(fields.path("conversations"), "role", "content");
        answer(fields.path("conversations"), "from", "value");
        return new Row(row.file(), row.number(), fields);
    }

    private static boolean lacks(ObjectNode fields, String name) {
        return fields.path(name).isMissingNode() || fields.path(name).isNull();
    }

    /// An empty turn of the assistant after turns of which the last is another's.
    private void answer(JsonNode turns, String role, String content) {
        String said = names.renamed(role);
        String last = turns.path(turns.size() - 1).path(said).asString("");
        if (turns instanceof ArrayNode array && !last.isEmpty() && !Turns.isAssistant(last)) {
            array.addObject().put(said, "assistant").put(names.renamed(content), "");
        }
    }

    @Override
    public void close() {
        rows.close();
    }

    private record Found(RowFormat format, Row row, String because) {}

    /// The one format that these rows have; rows that have none are left to be told as broken. Empty if there are
    /// no rows.
    private Optional<Found> detect(Path file, List<Row> first) {
        List<Found> found = new ArrayList<>();
        for (Row row : first) {
            List<RowFormat> fitting = fitting(row.fields());
            if (fitting.size() > 1) {
                throw row.wrong(
                        "the fields fit several formats: " + choices(fitting) + row.keys(),
                        "name the one that you mean: --format "
                                + fitting.getFirst().choice());
            }
            fitting.forEach(f -> found.add(new Found(f, row, because(f, row.fields()))));
        }
        for (Found other : found) {
            if (!other.format().equals(found.getFirst().format())) {
                throw new InputException(file + " has rows of several formats: row "
                        + found.getFirst().row().number() + " of "
                        + found.getFirst().format().choice() + ", row "
                        + other.row().number() + " of " + other.format().choice()
                        + "\n  one file has one format: split it, or name the one that you mean (--format)");
            }
        }
        if (found.isEmpty() && !first.isEmpty()) {
            throw unknown(first.getFirst());
        }
        return found.stream().findFirst();
    }

    /// The formats of which a row has the fields: filled, or else at least named.
    private List<RowFormat> fitting(ObjectNode fields) {
        ObjectNode filled = fields.objectNode();
        fields.properties().stream()
                .filter(e -> !e.getValue().isNull())
                .forEach(e -> filled.set(e.getKey(), e.getValue()));
        List<RowFormat> formats = RowFormat.ALL.stream().map(names::renamed).toList();
        return Stream.of(filled, fields)
                .map(row -> formats.stream().filter(f -> f.fits(row)).toList())
                .filter(found -> !found.isEmpty())
                .findFirst()
                .orElse(List.of());
    }

    private static InputException unknown(Row row) {
        return row.wrong(
                "the fields fit no format" + row.keys(),
                RowFormat.ALL.stream().map(f -> f.choice() + ": " + f.needs()).collect(Collectors.joining("\n  "))
                        + "\n  map names with --field, the format's first: --field output=response");
    }

    private static String choices(List<RowFormat> formats) {
        return formats.stream().map(f -> f.choice().toString()).collect(Collectors.joining(", "));
    }

    private static String because(RowFormat format, ObjectNode fields) {
        return switch (format) {
            case RowFormat.Alpaca _ -> "'instruction' and 'output'";
            case RowFormat.Chat chat ->
                "'" + (fields.has("messages") ? "messages" : "conversations") + "' of turns with '" + chat.role() + "'";
            case RowFormat.ShareGpt share -> "'conversations' of turns with '" + share.from() + "'";
            case RowFormat.Completion _ -> "'prompt' and 'completion'";
            case RowFormat.Text _ -> "'text'";
        };
    }
}
