package org.sftnative.fuzz;

import static org.junit.jupiter.api.Assertions.assertAll;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sftnative.support.InMemory;

/// Any bytes give a value or an InputException, in bounded time and memory. `scripts/fuzz` looks for more, guided by
/// what of the program an input reaches.
class FuzzTest {
    private static final Duration EACH = Duration.ofSeconds(30).dividedBy(names().count());
    private static final long MANY = Long.getLong("fuzz.inputs", 10_000_000);

    /// Where a long run stands, so that one that was cut short goes on.
    private static final Path PROGRESS = Path.of("target/fuzz/progress");

    private static final long PIECE = 20_000;

    @TempDir(factory = InMemory.class)
    Path folder;

    static Stream<String> names() {
        return FuzzTargets.all().stream().map(FuzzTarget::name);
    }

    private static FuzzTarget target(String name) {
        return FuzzTargets.all().stream()
                .filter(t -> t.name().equals(name))
                .findFirst()
                .orElseThrow();
    }

    @ParameterizedTest
    @MethodSource("names")
    void whatOnceBrokeAReaderAndItsLikeGiveAValueOrATypedError(String name) throws IOException {
        FuzzTarget target = target(name);
        Fuzzer fuzzer = new Fuzzer(target, folder);
        Fuzzer.Outcome kept = fuzzer.replay();
        assertTrue(kept.read() > 0, "no input of the corpus is read: the seeds are out of date");
        Fuzzer.Outcome all = fuzzer.run(0, target.most(), EACH);
        assertTrue(all.tried() > 10, all.toString());
    }

    @Test
    @Tag("slow")
    void tenMillionInputsGiveAValueOrATypedError() throws IOException {
        List<FuzzTarget> targets = FuzzTargets.all();
        long shares = targets.stream().mapToLong(FuzzTarget::perMille).sum();
        List<Executable> each = new ArrayList<>();
        for (FuzzTarget target : targets) {
            each.add(() -> fed(target, MANY * target.perMille() / shares));
        }
        assertAll(each); // one that breaks does not keep the others from their share
    }

    private void fed(FuzzTarget target, long wanted) throws IOException {
        long done = progress(target);
        while (done < wanted) {
            long to = Math.min(wanted, done + PIECE);
            Fuzzer.Outcome outcome = new Fuzzer(target, folder).run(done, to, Duration.ofDays(1));
            done = to;
            Files.createDirectories(PROGRESS);
            Files.writeString(PROGRESS.resolve(target.name()), done + "\n");
            System.out.printf(
                    Locale.ROOT,
                    "fuzz %-16s %9d of %d inputs, %.0f a second, %d of these %d refused%n",
                    target.name(),
                    done,
                    wanted,
                    outcome.tried() / outcome.seconds(),
                    outcome.refused(),
                    outcome.tried());
        }
    }

    private static long progress(FuzzTarget target) throws IOException {
        Path file = PROGRESS.resolve(target.name());
        return Files.exists(file) ? Long.parseLong(Files.readString(file).strip()) : 0;
    }
}
