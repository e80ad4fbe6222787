import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.zip.ZipFile;

/// Copies the files of a folder inside a jar, without their folders: `java Unpack.java JAR PREFIX FOLDER`.
void main(String[] args) throws IOException {
    Path folder = Path.of(args[2]);
    try (ZipFile jar = new ZipFile(args[0])) {
        for (var entry : jar.stream().filter(e -> !e.isDirectory() && e.getName().startsWith(args[1])).toList()) {
            Files.copy(jar.getInputStream(entry), folder.resolve(Path.of(entry.getName()).getFileName()));
        }
    }
}
