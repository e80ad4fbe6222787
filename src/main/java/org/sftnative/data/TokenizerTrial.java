package org.sftnative.data;

import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.util.Platform;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URISyntaxException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.sftnative.InputException;
import org.slf4j.LoggerFactory;

/// Opens a tokenizer in a process of its own before this one does: a fault in the library's Rust ends the process
/// that it happens in. What passed once is remembered by its content, so that each tokenizer costs a process once.
final class TokenizerTrial {
    /// Far above what the largest tokenizers take (2 s); the child also ends itself by its own CPU time.
    private static final long SECONDS = 120;

    private static final int LONGEST_REPLY = 1 << 16;

    private TokenizerTrial() {}

    /// @param file named in messages
    /// @param whole what the library is to open, as are `plain`'s tokens
    /// @throws InputException if the library refuses it, or dies of it
    static void check(Path file, String whole, String plain) {
        check(file, whole, plain, folderOfUser());
    }

    /// @param folder remembers what passed
    static void check(Path file, String whole, String plain, Path folder) {
        NativeTokenizer.loaded(); // a child that cannot would seem to refuse the file
        Path verdict = folder.resolve(key(whole, plain) + ".opens");
        if (Files.exists(verdict)) {
            return;
        }
        try (Child child = new Child()) {
            child.send(whole, plain);
            child.end();
            String said = child.read();
            Optional<String> answer = said.lines()
                    .filter(l -> l.startsWith(TokenizerTrialMain.ANSWER))
                    .map(l -> l.substring(TokenizerTrialMain.ANSWER.length()))
                    .findFirst();
            if (child.timedOut()) {
                throw new InputException(
                        file + " is not opened by the tokenizers library within " + SECONDS + " s\n  " + REFUSED);
            }
            if (answer.isEmpty()) {
                throw new InputException(
                        file + " makes the tokenizers library fail: " + Json.shown(reason(said)) + "\n  " + REFUSED);
            }
            if (!answer.get().equals(TokenizerTrialMain.OPENED)) {
                throw new InputException(
                        file + " is refused by the tokenizers library: " + Json.shown(answer.get()) + "\n  " + REFUSED);
            }
        } catch (IOException e) {
            throw new InputException(
                    file + " could not be tried in a process of its own: " + Json.reason(e)
                            + "\n  the machine must let this program start " + Child.java(),
                    e);
        }
        remember(folder, verdict);
    }

    private static final String REFUSED = "it is not a tokenizer that this program can use";

    private static void remember(Path folder, Path verdict) {
        try {
            Files.createDirectories(folder);
            Files.write(verdict, new byte[0]);
        } catch (IOException _) {
            // it is tried again next time
        }
    }

    /// `$XDG_CACHE_HOME/sft-native/tokenizers`, by default `~/.cache/sft-native/tokenizers`.
    private static Path folderOfUser() {
        return TokenCache.folderOfUser().resolveSibling("tokenizers");
    }

    private static String key(String whole, String plain) {
        MessageDigest sha = TokenKey.sha256();
        // another build of the library may fail where this one does not
        sha.update(Platform.detectPlatform("tokenizers").getVersion().getBytes(StandardCharsets.UTF_8));
        for (String json : List.of(whole, plain)) {
            sha.update((byte) 0);
            sha.update(json.getBytes(StandardCharsets.UTF_8));
        }
        return HexFormat.of().formatHex(sha.digest());
    }

    /// What a process that died has said: of Rust's panic, the line below its place.
    private static String reason(String said) {
        List<String> lines = said.lines().toList();
        for (int i = 0; i < lines.size(); i++) {
            if (lines.get(i).contains("panicked at")) {
                return i + 1 < lines.size() ? lines.get(i + 1) : lines.get(i);
            }
        }
        return lines.stream().filter(l -> !l.isBlank()).findFirst().orElse("the process ended without a word");
    }

    /// A process that opens tokenizers, see [TokenizerTrialMain].
    static final class Child implements AutoCloseable {
        private final Process process;
        private final DataOutputStream to;
        private final AtomicBoolean timedOut = new AtomicBoolean();

        Child() throws IOException {
            ProcessBuilder builder = new ProcessBuilder(command()).redirectErrorStream(true);
            builder.environment().keySet().removeAll(List.of("JDK_JAVA_OPTIONS", "JAVA_TOOL_OPTIONS"));
            builder.environment().put("RUST_BACKTRACE", "0");
            process = builder.start();
            to = new DataOutputStream(process.getOutputStream());
            process.onExit()
                    .completeOnTimeout(process, SECONDS, TimeUnit.SECONDS)
                    .thenAccept(p -> {
                        if (p.isAlive()) {
                            timedOut.set(true);
                            p.destroyForcibly();
                        }
                    });
        }

        /// The child is told where the library lies: it sees no card, and would unpack another one over the folder of
        /// this process's, which fails.
        static List<String> command() {
            return List.of(
                    java().toString(),
                    "-XX:+UseSerialGC",
                    "-XX:TieredStopAtLevel=1",
                    "-Xshare:auto",
                    "-Xmx2g",
                    "-Dslf4j.internal.verbosity=ERROR", // no logger is given, and need not be
                    "-XX:+ErrorFileToStdout", // no file of the JVM in the user's folder
                    "-XX:-CreateCoredumpOnCrash",
                    "--enable-native-access=ALL-UNNAMED",
                    "-DRUST_LIBRARY_PATH=" + NativeTokenizer.unpacked(),
                    "-cp",
                    classPath(),
                    TokenizerTrialMain.class.getName());
        }

        static Path java() {
            return Path.of(System.getProperty("java.home"), "bin", "java");
        }

        /// The places of the few classes that the child needs: folders of a build, jars, or the one jar of all.
        private static String classPath() {
            return Stream.of(TokenizerTrialMain.class, LibUtils.class, Platform.class, LoggerFactory.class)
                    .map(type -> {
                        try {
                            return Path.of(type.getProtectionDomain()
                                            .getCodeSource()
                                            .getLocation()
                                            .toURI())
                                    .toString();
                        } catch (URISyntaxException e) {
                            throw new IllegalStateException("a code source that is no URI", e);
                        }
                    })
                    .distinct()
                    .collect(Collectors.joining(System.getProperty("path.separator")));
        }

        /// A child that has died takes no more; why, it has said.
        void send(String whole, String plain) {
            try {
                for (String json : List.of(whole, plain)) {
                    byte[] bytes = json.getBytes(StandardCharsets.UTF_8);
                    to.writeInt(bytes.length);
                    to.write(bytes);
                }
                to.flush();
            } catch (IOException _) {
                // its last words are read next
            }
        }

        void end() {
            try {
                to.close();
            } catch (IOException _) {
                // it has died
            }
        }

        /// Everything that it says, until it ends.
        String read() throws IOException {
            InputStream from = process.getInputStream();
            String said = new String(from.readNBytes(LONGEST_REPLY), StandardCharsets.UTF_8);
            from.skip(Long.MAX_VALUE);
            try {
                process.waitFor();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
                throw new IOException("interrupted", e);
            }
            return said;
        }

        /// The answer to the last pair of a child that goes on; empty if it has died, or has no answer.
        Optional<String> answer() throws IOException {
            StringBuilder line = new StringBuilder();
            for (int c = process.getInputStream().read();
                    c >= 0;
                    c = process.getInputStream().read()) {
                if (c != '\n') {
                    line.append((char) c);
                } else if (line.indexOf(TokenizerTrialMain.ANSWER) == 0) {
                    return Optional.of(line.substring(TokenizerTrialMain.ANSWER.length()));
                } else {
                    line.setLength(0);
                }
            }
            return Optional.empty();
        }

        boolean timedOut() {
            return timedOut.get();
        }

        @Override
        public void close() {
            process.destroyForcibly();
            end();
        }
    }
}
