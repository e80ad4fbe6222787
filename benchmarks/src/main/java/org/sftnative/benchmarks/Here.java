package org.sftnative.benchmarks;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.TimeUnit;
import org.bytedeco.pytorch.global.torch;
import org.sftnative.benchmarks.guard.Place;
import org.sftnative.cli.Version;
import org.sftnative.tensor.Torch;

/// This machine and this build.
public final class Here {
    private Here() {}

    /// The card (the processor where there is none), the JDK and libtorch.
    public static Place place() {
        Torch.start(0);
        String card = hasCard() ? ask("nvidia-smi", "--query-gpu=name", "--format=csv,noheader") : processor();
        return new Place(card, Runtime.version().toString(), Torch.version());
    }

    static boolean hasCard() {
        return torch.cuda_is_available();
    }

    /// The commit that this build was made of.
    public static String commit() {
        return Version.ofThisBuild().commit();
    }

    /// The card's clocks now and at most, MHz: `sm 1980 of 1980, memory 2619`; empty without a card.
    public static String clocks() {
        return hasCard()
                ? ask("nvidia-smi", "--query-gpu=clocks.sm,clocks.max.sm,clocks.mem", "--format=csv,noheader")
                : "";
    }

    /// The first line that a program prints; `unknown` if it is not there.
    private static String ask(String... command) {
        try {
            Process process = new ProcessBuilder(command)
                    .redirectError(ProcessBuilder.Redirect.DISCARD)
                    .start();
            String text = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return process.waitFor(10, TimeUnit.SECONDS) && process.exitValue() == 0 && !text.isBlank()
                    ? text.lines().findFirst().orElseThrow().strip()
                    : "unknown";
        } catch (IOException notThere) {
            return "unknown";
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return "unknown";
        }
    }

    private static String processor() {
        try {
            return Files.readAllLines(Path.of("/proc/cpuinfo")).stream()
                            .filter(line -> line.startsWith("model name"))
                            .map(line -> line.replaceFirst("[^:]*:", "").strip())
                            .findFirst()
                            .orElse("unknown processor")
                    + " x " + Runtime.getRuntime().availableProcessors();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
