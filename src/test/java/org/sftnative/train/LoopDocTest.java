package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import javax.tools.DiagnosticCollector;
import javax.tools.JavaCompiler;
import javax.tools.JavaFileObject;
import javax.tools.StandardJavaFileManager;
import javax.tools.ToolProvider;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.config.RunSettings;
import org.sftnative.metrics.MetricsFile;
import org.sftnative.model.LossFunction;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// The Java files of `docs/LOOP.md`, taken out of the page, compiled and run, each through its own `main`.
class LoopDocTest {
    private static final Pattern FILE =
            Pattern.compile("```java\n(.*?public final class (\\w+).*?)```", Pattern.DOTALL);
    private static final int STEPS = 10;

    @TempDir
    static Path work;

    private static Map<String, String> files;

    @BeforeAll
    static void compile() throws IOException {
        files = new LinkedHashMap<>();
        Matcher matcher = FILE.matcher(Files.readString(Path.of("docs/LOOP.md")));
        while (matcher.find()) {
            files.put(matcher.group(2), matcher.group(1));
        }
        List<Path> sources = files.keySet().stream()
                .map(name -> work.resolve(name + ".java"))
                .toList();
        for (Path source : sources) {
            Files.writeString(source, files.get(source.getFileName().toString().replace(".java", "")));
        }
        JavaCompiler compiler = ToolProvider.getSystemJavaCompiler();
        DiagnosticCollector<JavaFileObject> problems = new DiagnosticCollector<>();
        try (StandardJavaFileManager manager = compiler.getStandardFileManager(problems, null, null)) {
            List<String> options =
                    List.of("-proc:none", "-d", work.toString(), "-classpath", System.getProperty("java.class.path"));
            boolean compiled = compiler.getTask(
                            null, manager, problems, options, null, manager.getJavaFileObjectsFromPaths(sources))
                    .call();
            assertTrue(compiled, () -> problems.getDiagnostics().toString());
        }
    }

    @Test
    void everyJavaBlockOfThePageIsOneOfTheFilesTestedHere() throws IOException {
        String page = Files.readString(Path.of("docs/LOOP.md"));
        assertEquals(page.split("```java", -1).length - 1, files.size());
        assertEquals(List.of("SmoothedLoss", "GradientNorms", "StableThenDecay"), List.copyOf(files.keySet()));
    }

    /// Torch's own label smoothing is the reference. The logged losses are fp32 sums over some 300 label rows, in two
    /// orders of summation: 4e-7 apart where measured, 1e-5 allowed; smoothing itself moves them by more than 0.1.
    @Test
    void anotherLossTrainsAsTorchsOwnLabelSmoothing() throws Exception {
        LossFunction torchs =
                (logits, targets) -> torch.cross_entropy_loss(logits, targets, new TensorOptional(), 2, -100, 0.1);
        double[] expected = column(run("torchs", Recipe.STANDARD.withLoss(torchs)), "loss");
        double[] plain = column(run("plain", Recipe.STANDARD), "loss");
        double[] smoothed = column(main("SmoothedLoss"), "loss");
        assertArrayEquals(expected, smoothed, 1e-5);
        for (int step = 0; step < STEPS; step++) {
            assertTrue(Math.abs(smoothed[step] - plain[step]) > 0.1, "step " + step + " has the plain loss");
        }
        assertNotEquals(
                -1,
                Files.mismatch(work.resolve("plain/model.safetensors"), work.resolve("SmoothedLoss/model.safetensors")),
                "both losses left the same weights");
    }

    @Test
    void aListenerHearsEveryStep() throws Exception {
        List<JsonNode> metrics = main("GradientNorms");
        List<String> csv = Files.readAllLines(work.resolve("GradientNorms/grad_norm.csv"));
        double[] norms = column(metrics, "grad_norm");
        assertEquals("step,grad_norm", csv.getFirst());
        assertEquals(STEPS + 1, csv.size());
        for (int step = 1; step <= STEPS; step++) {
            assertEquals(step + "," + norms[step - 1], csv.get(step));
        }
    }

    @Test
    void aScheduleSetsEveryStepsRate() throws Exception {
        double[] rates = column(main("StableThenDecay"), "learning_rate");
        // 10 steps, 2 of warm-up; of the 8 after it, the last fifth (1.6) decays: step 9 has gone 7/8 of the way
        double[] expected = {0, 5e-4, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3 * (1 - 7 / 8.0) / 0.2};
        assertArrayEquals(expected, rates, 1e-12);
    }

    private static List<JsonNode> main(String name) throws Exception {
        Path yaml = settings(name);
        try (URLClassLoader loader =
                new URLClassLoader(new URL[] {work.toUri().toURL()}, LoopDocTest.class.getClassLoader())) {
            loader.loadClass(name).getMethod("main", String[].class).invoke(null, (Object)
                    new String[] {yaml.toString()});
        }
        return logged(work.resolve(name));
    }

    private static List<JsonNode> run(String name, Recipe recipe) throws IOException {
        MetricsFile metrics = new MetricsFile(work.resolve(name).resolve("metrics.jsonl"), problem -> {
            throw new AssertionError(problem);
        });
        Training.run(RunSettings.read(settings(name)), recipe, List.of(metrics));
        return logged(work.resolve(name));
    }

    private static Path settings(String name) throws IOException {
        Path yaml = work.resolve(name + ".yaml");
        Files.writeString(yaml, """
                model_name_or_path: src/test/resources/golden/base
                train_file: data/quickstart.jsonl
                output_dir: %s
                device: cpu
                threads: 1
                max_steps: %d
                warmup_steps: 2
                learning_rate: 1e-3
                logging_steps: 1
                save_strategy: no
                """.formatted(work.resolve(name), STEPS));
        return yaml;
    }

    /// The logged steps; not the line of the end.
    private static List<JsonNode> logged(Path output) throws IOException {
        JsonMapper json = new JsonMapper();
        List<JsonNode> steps = Files.readAllLines(output.resolve("metrics.jsonl")).stream()
                .map(json::readTree)
                .filter(line -> line.has("grad_norm"))
                .toList();
        assertEquals(STEPS, steps.size());
        return steps;
    }

    private static double[] column(List<JsonNode> steps, String key) {
        return steps.stream().mapToDouble(step -> step.get(key).asDouble()).toArray();
    }
}
