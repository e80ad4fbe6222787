package org.sftnative.data;

import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.PathMatcher;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import java.util.stream.Stream;
import org.sftnative.InputException;

/// Files of rows by what `train_file` may be: a file, a directory, or a glob.
public final class RowFiles {
    private static final List<String> ENDINGS = List.of(".json", ".jsonl", ".ndjson", ".csv", ".parquet");
    private static final Pattern WILD = Pattern.compile("[*?\\[{]");

    private RowFiles() {}

    /// The files meant, in the order given. A directory stands for the row files in it (by their names: `.json`,
    /// `.jsonl`, `.ndjson`, `.csv`, `.parquet`, the text ones also with `.gz`; not those of its own directories), a
    /// glob for what it matches (`**` crosses directories), each sorted by name.
    ///
    /// @throws InputException if a directory has no row files, a glob matches nothing, or a file is meant twice
    public static List<Path> resolve(List<Path> given) {
        List<Path> files = new ArrayList<>();
        Map<Path, Path> seen = new HashMap<>();
        for (Path path : given) {
            for (Path file : resolve(path)) {
                Path before = seen.put(file.toAbsolutePath().normalize(), path);
                if (before != null) {
                    throw new InputException(
                            file + " is given twice: by " + before + " and by " + path + "\n  name it once");
                }
                files.add(file);
            }
        }
        return files;
    }

    private static List<Path> resolve(Path path) {
        if (Files.isDirectory(path)) {
            List<Path> files = sorted(path, 1, RowFiles::isRows);
            if (files.isEmpty()) {
                throw new InputException(path + " is a directory without row files" + "\n  row files end in "
                        + String.join(", ", ENDINGS) + ", or such a name with .gz");
            }
            return files;
        }
        if (!WILD.matcher(path.toString()).find() || Files.exists(path)) {
            return List.of(path);
        }
        PathMatcher matcher;
        try {
            matcher = FileSystems.getDefault().getPathMatcher("glob:" + path);
        } catch (PatternSyntaxException e) {
            throw new InputException(path + " does not exist, and is no glob: " + e.getDescription(), e);
        }
        Path base = path;
        while (base != null && WILD.matcher(base.toString()).find()) {
            base = base.getParent();
        }
        boolean relative = base == null;
        Path start = relative ? Path.of("") : base;
        int depth = path.toString().contains("**")
                ? Integer.MAX_VALUE
                : path.getNameCount() - (relative ? 0 : start.getNameCount());
        List<Path> files =
                Files.isDirectory(start.toAbsolutePath()) ? sorted(start, depth, matcher::matches) : List.of();
        if (files.isEmpty()) {
            throw new InputException(
                    path + " matches no file\n  * and ? stand for letters of a name, ** for folders too");
        }
        return files;
    }

    private static List<Path> sorted(Path directory, int depth, Predicate<Path> wanted) {
        try (Stream<Path> paths = Files.walk(directory, depth)) {
            return paths.filter(path -> wanted.test(path) && Files.isRegularFile(path))
                    .sorted()
                    .toList();
        } catch (IOException | java.io.UncheckedIOException e) {
            throw new InputException("cannot read directory " + directory + ": " + e.getMessage(), e);
        }
    }

    private static boolean isRows(Path file) {
        String name = file.getFileName().toString().toLowerCase(Locale.ROOT);
        String unpacked = name.endsWith(".gz") ? name.substring(0, name.length() - 3) : name;
        return !name.startsWith(".") && ENDINGS.stream().anyMatch(unpacked::endsWith);
    }
}
