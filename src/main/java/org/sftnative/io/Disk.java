package org.sftnative.io;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.channels.WritableByteChannel;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;

/// Every change of the disk that a save makes, one method a kind, so that a test can let any of them fail: see [Fault].
public final class Disk {
    /// None, unless the process was started to have one, or a test wants one.
    private static volatile Fault fault = Fault.of(System.getProperty(Fault.PROPERTY, ""));

    private Disk() {}

    /// From here on, counted from 1.
    static void use(Fault other) {
        fault = other;
    }

    /// Where bytes go; a write writes all of them.
    private record Out(FileChannel file) implements WritableByteChannel {
        @Override
        public int write(ByteBuffer bytes) throws IOException {
            int all = bytes.remaining();
            fault.beforeWrite(file, bytes);
            while (bytes.hasRemaining()) {
                file.write(bytes);
            }
            return all;
        }

        @Override
        public boolean isOpen() {
            return file.isOpen();
        }

        @Override
        public void close() throws IOException {
            file.close();
        }
    }

    /// Writes a file that must not be there yet, and makes its content durable.
    static void create(Path file, AtomicFiles.Body body) throws IOException {
        fault.before("create", file);
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            body.write(new Out(channel));
            fault.before("sync", file);
            channel.force(true);
        }
    }

    /// Gives a file or directory another name; a file there is replaced.
    public static void rename(Path from, Path to) throws IOException {
        fault.before("rename", to);
        Files.move(from, to, StandardCopyOption.ATOMIC_MOVE, StandardCopyOption.REPLACE_EXISTING);
    }

    /// Makes names that were created, renamed or deleted in a directory durable.
    public static void syncDirectory(Path directory) throws IOException {
        fault.before("sync", directory);
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    /// Makes a directory and those above it, where they are missing.
    public static void createDirectories(Path directory) throws IOException {
        if (!Files.isDirectory(directory)) {
            fault.before("directory", directory);
            Files.createDirectories(directory);
        }
    }

    /// Deletes a file, if it is there.
    public static void delete(Path file) throws IOException {
        if (Files.exists(file, LinkOption.NOFOLLOW_LINKS)) {
            fault.before("delete", file);
            Files.delete(file);
        }
    }

    /// Deletes a directory with all that it holds, if it is there; links are deleted, not followed.
    public static void deleteTree(Path root) throws IOException {
        if (!Files.exists(root, LinkOption.NOFOLLOW_LINKS)) {
            return;
        }
        Files.walkFileTree(root, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) throws IOException {
                delete(file);
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult postVisitDirectory(Path directory, IOException failure) throws IOException {
                delete(directory);
                return FileVisitResult.CONTINUE;
            }
        });
    }
}
