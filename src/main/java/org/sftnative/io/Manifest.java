package org.sftnative.io;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.sftnative.InputException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// `MANIFEST.json`: size and SHA-256 of every file of a directory, written last. A directory whose manifest
/// verifies is whole, and as it was written; one without a manifest was never finished.
public final class Manifest {
    /// The manifest's own name.
    public static final String NAME = "MANIFEST.json";

    private static final int VERSION = 1;

    private Manifest() {}

    /// Writes the manifest of a directory's files, which are durable already, and makes it durable.
    ///
    /// @param about what else it shall say, as `key: value`
    public static void write(Path directory, Map<String, String> about) {
        ObjectNode manifest = JsonNodeFactory.instance.objectNode().put("format_version", VERSION);
        about.forEach(manifest::put);
        ObjectNode files = manifest.putObject("files");
        names(directory).forEach(name -> {
            Path file = directory.resolve(name);
            files.putObject(name).put("size", size(file)).put("sha256", sha256(file));
        });
        AtomicFiles.writeText(directory.resolve(NAME), JsonFiles.pretty(manifest));
    }

    /// The first thing that is wrong with a directory, in a few words; empty if it is whole.
    ///
    /// @throws InputException if the manifest is of a newer version of the format than this program reads
    public static Optional<String> fault(Path directory) {
        Path file = directory.resolve(NAME);
        if (!Files.isRegularFile(file)) {
            return Optional.of("it has no " + NAME);
        }
        ObjectNode manifest;
        try {
            manifest = JsonFiles.readObject(file);
        } catch (InputException | UncheckedIOException e) {
            return Optional.of("its " + NAME + " cannot be read");
        }
        JsonNode version = manifest.path("format_version");
        if (version.isIntegralNumber() && version.bigIntegerValue().compareTo(BigInteger.valueOf(VERSION)) > 0) {
            throw new InputException(file + " has format version " + version + ", this program reads " + VERSION
                    + "\n  use the version of the program that wrote it, or a newer one");
        }
        if (!version.isInt()
                || version.intValue() != VERSION
                || !(manifest.path("files") instanceof ObjectNode files)) {
            return Optional.of("its " + NAME + " is no manifest");
        }
        try {
            SortedMap<String, Boolean> there = new TreeMap<>();
            names(directory).forEach(name -> there.put(name, true));
            // sizes first: what was cut off is told without reading the rest
            for (Map.Entry<String, JsonNode> entry : files.properties()) {
                JsonNode size = entry.getValue().path("size");
                if (there.remove(entry.getKey()) == null) {
                    return Optional.of(entry.getKey() + " is missing");
                }
                long actual = size(directory.resolve(entry.getKey()));
                if (!size.isIntegralNumber() || !size.canConvertToLong() || size.longValue() != actual) {
                    return Optional.of(entry.getKey() + " has " + actual + " bytes, had " + size);
                }
            }
            if (!there.isEmpty()) {
                return Optional.of(there.firstKey() + " was added");
            }
            return files.properties().parallelStream()
                    .filter(entry -> !sha256(directory.resolve(entry.getKey()))
                            .equals(entry.getValue().path("sha256").asString("")))
                    .map(entry -> entry.getKey() + " was changed")
                    .findFirst();
        } catch (UncheckedIOException e) {
            return Optional.of(e.getMessage());
        }
    }

    /// The files of a directory and those in it but the manifest, sorted: `config.json`, `more/a.txt`. What begins with
    /// a dot is not of it: `.nfs0001`.
    private static List<String> names(Path directory) {
        try (Stream<Path> entries = Files.walk(directory)) {
            return entries.filter(entry -> Files.isRegularFile(entry, LinkOption.NOFOLLOW_LINKS))
                    .filter(entry -> !entry.getFileName().toString().startsWith("."))
                    .map(entry -> directory.relativize(entry).toString())
                    .filter(name -> !name.equals(NAME))
                    .sorted()
                    .collect(Collectors.toList());
        } catch (IOException e) {
            throw new UncheckedIOException(directory + " cannot be read: " + e.getMessage(), e);
        }
    }

    private static long size(Path file) {
        try {
            return Files.size(file);
        } catch (IOException e) {
            throw new UncheckedIOException(file + " cannot be read: " + e.getMessage(), e);
        }
    }

    private static String sha256(Path file) {
        try (InputStream in = Files.newInputStream(file)) {
            MessageDigest sha = MessageDigest.getInstance("SHA-256");
            byte[] buffer = new byte[1 << 20];
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                sha.update(buffer, 0, n);
            }
            return HexFormat.of().formatHex(sha.digest());
        } catch (NoSuchFileException e) {
            throw new UncheckedIOException(file.getFileName() + " is missing", e);
        } catch (IOException e) {
            throw new UncheckedIOException(file + " cannot be read: " + e.getMessage(), e);
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }
}
