package org.sftnative.tensor;

import static java.nio.file.StandardOpenOption.CREATE;
import static java.nio.file.StandardOpenOption.WRITE;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.JarURLConnection;
import java.net.URL;
import java.nio.channels.FileChannel;
import java.nio.channels.FileLock;
import java.nio.file.FileVisitResult;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.SimpleFileVisitor;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import org.bytedeco.javacpp.Loader;

/// Libraries that an earlier start unpacked from their jars, and that a kill, a full disk or a power failure has cut
/// since: the system's loader maps such a file and dies of SIGBUS. What is deleted here is unpacked again.
final class UnpackedLibraries {
    private UnpackedLibraries() {}

    /// Loads libraries, having deleted what is cut in JavaCPP's folder. JavaCPP looks at each file as it comes to it,
    /// which is too late: the loader opens one library's neighbours on its own (MKL's threading layer wants MKL's
    /// core). And it links them outside of its lock: until a first start is through, others wait.
    ///
    /// @throws UncheckedIOException if there is a cut file that cannot be deleted
    static void load(Runnable loading) {
        try {
            Path folder = Loader.getCacheDir().toPath();
            Path done = folder.resolve(".unpacked-" + source());
            if (Files.exists(done) && cut(folder).isEmpty() || !Files.isWritable(folder)) {
                loading.run();
                return;
            }
            try (FileChannel channel = FileChannel.open(folder.resolve(".first-start"), CREATE, WRITE);
                    FileLock _ = channel.lock()) {
                deleteCut(folder);
                loading.run();
                Files.write(done, new byte[0]);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /// Another jar is unpacked anew.
    private static String source() throws IOException {
        URL entry = UnpackedLibraries.class.getClassLoader().getResource("org/bytedeco/pytorch/global/torch.class");
        Path jar =
                Path.of(((JarURLConnection) entry.openConnection()).getJarFile().getName());
        return jar.getFileName() + "-" + Files.getLastModifiedTime(jar).toMillis();
    }

    /// Under JavaCPP's own lock: a file that another process unpacks at this moment looks cut, and is not.
    private static void deleteCut(Path folder) throws IOException {
        if (cut(folder).isEmpty()) {
            return;
        }
        try (FileChannel channel = FileChannel.open(folder.resolve(".lock"), CREATE, WRITE);
                FileLock _ = channel.lock()) {
            for (Path file : cut(folder)) {
                Files.deleteIfExists(file);
            }
        }
    }

    /// Files below `folder/NAME.jar` whose size is another than that jar's; one that goes meanwhile is none.
    private static List<Path> cut(Path folder) throws IOException {
        List<Path> cut = new ArrayList<>();
        Files.walkFileTree(folder, new SimpleFileVisitor<>() {
            @Override
            public FileVisitResult visitFile(Path file, BasicFileAttributes attributes) {
                Path below = folder.relativize(file);
                if (attributes.isRegularFile() && below.getNameCount() > 1) {
                    // MKL is unpacked under OpenBLAS's names too, which its jar does not have
                    String resource = below.subpath(1, below.getNameCount())
                            .toString()
                            .replaceFirst("/mkl/(.*)/libopenblas.*", "/mkl/$1/libmkl_rt.so.2");
                    if (isCut(attributes.size(), below.getName(0).toString(), resource)) {
                        cut.add(file);
                    }
                }
                return FileVisitResult.CONTINUE;
            }

            @Override
            public FileVisitResult visitFileFailed(Path file, IOException gone) {
                return FileVisitResult.CONTINUE;
            }
        });
        return cut;
    }

    /// Whether a size is another than that of a jar's resource; false if there is none on the class path.
    ///
    /// @param jar its name: several may have the resource
    private static boolean isCut(long size, String jar, String resource) {
        try {
            for (URL url :
                    Collections.list(UnpackedLibraries.class.getClassLoader().getResources(resource))) {
                if (url.openConnection() instanceof JarURLConnection entry
                        && Path.of(entry.getJarFile().getName()).endsWith(jar)) {
                    return entry.getContentLengthLong() != size;
                }
            }
            return false;
        } catch (IOException unreadable) {
            return false;
        }
    }
}
