package org.sftnative.cli;

import java.io.PrintStream;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import java.util.stream.Collectors;
import org.sftnative.InputException;
import org.sftnative.config.ModelSettings;
import org.sftnative.config.ServeSettings;
import org.sftnative.tensor.TorchErrors;
import org.sftnative.web.ApiServer;

/// `serve`: answers until it is told to stop.
final class ServeCommand {
    private final PrintStream out;
    private final PrintStream err;
    private final Optional<IntConsumer> halt;

    /// @param halt ends the process with a status, at once: with it, signals stop the server
    ServeCommand(PrintStream out, PrintStream err, Optional<IntConsumer> halt) {
        this.out = out;
        this.err = err;
        this.halt = halt;
    }

    /// @return the exit status: 128 and the signal's number
    int run(ServeSettings settings) throws InterruptedException {
        CountDownLatch stop = new CountDownLatch(1);
        Optional<Signals> signals = halt.map(end -> new Signals(_ -> stop.countDown(), end));
        Consumer<Throwable> problems =
                problem -> err.println("error: " + TorchErrors.explain(problem).orElse(String.valueOf(problem)));
        List<OpenModel> models = new ArrayList<>();
        try {
            open(settings, models, problems);
            models.forEach(model -> out.println(model.name() + ": " + model.plan()));
            ApiServer server = new ApiServer(settings, List.copyOf(models), problems);
            OpenModel first = models.getFirst();
            out.println(
                    "serving " + models.stream().map(m -> "'" + m.name() + "'").collect(Collectors.joining(", "))
                            + " on http://" + shown(settings.host()) + ":" + server.port() + "/v1"
                            + (first.hasTemplate() ? "" : "; it has no chat template: --chat-template names one"));
            stop.await();
            out.println("stopping: requests have " + settings.graceSeconds() + " s to end");
            server.close(settings.graceSeconds());
        } finally {
            models.forEach(OpenModel::close);
        }
        return signals.map(s -> s.status(CommandLineProgram.OK)).orElse(CommandLineProgram.OK);
    }

    /// The model, then each adapter folded into weights of its own.
    private static void open(ServeSettings settings, List<OpenModel> models, Consumer<Throwable> problems) {
        ModelSettings base = settings.model();
        List<Optional<String>> names = new ArrayList<>(List.of(settings.servedModelName()));
        List<List<Path>> adapters = new ArrayList<>(List.of(List.of()));
        for (Path adapter : base.adapter()) {
            String[] parts = adapter.toString().split("=", 2);
            Path directory = Path.of(parts[parts.length - 1]);
            names.add(Optional.of(
                    parts.length == 2
                            ? parts[0]
                            : directory
                                    .toAbsolutePath()
                                    .normalize()
                                    .getFileName()
                                    .toString()));
            adapters.add(List.of(directory));
        }
        Set<String> known = new HashSet<>();
        for (int i = 0; i < names.size(); i++) {
            OpenModel model = OpenModel.open(
                    base.with(adapters.get(i)),
                    names.get(i),
                    settings.chatTemplate(),
                    settings.batch(),
                    names.size(),
                    settings.maxQueue(),
                    problems);
            models.add(model);
            if (!known.add(model.name())) {
                throw new InputException("two models are called '" + model.name() + "'\n  --adapter NAME=DIR and"
                        + " --served-model-name give other names");
            }
        }
    }

    private static String shown(String host) {
        return host.contains(":") ? "[" + host + "]" : host;
    }
}
