package org.sftnative.io;

import java.nio.file.Path;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.sftnative.InputException;

/// A model on the Hub, `org/name` or `org/name@revision`. What passes here is safe as a part of a
/// path and of an address.
///
/// @param organisation whose model it is
/// @param model its name there
/// @param revision a branch, a tag or a commit's 40 hexadecimal digits; `main` where none is given
public record HubName(String organisation, String model, String revision) {
    private static final String PART = "[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?";
    private static final Pattern NAME = Pattern.compile("(" + PART + ")/(" + PART + ")(?:@(.*))?", Pattern.DOTALL);
    private static final Pattern REVISION = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._+/-]{0,254}");
    private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}");

    public HubName {
        if (!isRevision(revision)) {
            throw new InputException("'" + Shown.text(revision) + "' is no revision of " + organisation + "/" + model
                    + "\n  give a branch, a tag or a commit: " + organisation + "/" + model + "@main");
        }
    }

    /// The model that a text names; empty if the text is none, but a path.
    ///
    /// @throws InputException if it is one, with a revision that cannot be
    public static Optional<HubName> parse(String text) {
        Matcher matcher = NAME.matcher(text);
        if (!matcher.matches() || !isPart(matcher.group(1)) || !isPart(matcher.group(2))) {
            return Optional.empty();
        }
        String revision = matcher.group(3) == null ? "main" : matcher.group(3);
        return Optional.of(new HubName(matcher.group(1), matcher.group(2), revision));
    }

    /// The model whose directory in the Hub's cache a path is, without its revision; empty for
    /// another path.
    public static Optional<HubName> ofSnapshot(Path directory) {
        Path snapshots = directory.toAbsolutePath().normalize().getParent();
        Path entry = snapshots == null ? null : snapshots.getParent();
        if (entry == null || entry.getFileName() == null || !snapshots.endsWith("snapshots")) {
            return Optional.empty();
        }
        String[] parts = entry.getFileName().toString().split("--");
        return parts.length == 3 && parts[0].equals("models") ? parse(parts[1] + "/" + parts[2]) : Optional.empty();
    }

    /// As the Hub has it: no `--`, which parts the names in the cache, and no `..`.
    private static boolean isPart(String text) {
        return !text.contains("--") && !text.contains("..") && !text.endsWith(".git");
    }

    private static boolean isRevision(String text) {
        return REVISION.matcher(text).matches()
                && !text.contains("..")
                && !text.contains("//")
                && !text.contains("/.")
                && !text.endsWith("/");
    }

    /// Whether a text is a commit.
    static boolean isCommit(String text) {
        return COMMIT.matcher(text).matches();
    }

    /// `org/name`.
    public String id() {
        return organisation + "/" + model;
    }

    /// `org/name`, and `@revision` unless that is `main`.
    @Override
    public String toString() {
        return revision.equals("main") ? id() : id() + "@" + revision;
    }
}
