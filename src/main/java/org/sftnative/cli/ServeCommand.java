package org.sftnative.cli;

import java.io.PrintStream;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;
import java.util.function.IntConsumer;
import org.sftnative.InputException;
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
        if (!settings.adapter().isEmpty()) {
            throw new InputException("adapters cannot be served yet\n  merge the adapter, and serve the merged model");
        }
        CountDownLatch stop = new CountDownLatch(1);
        Optional<Signals> signals = halt.map(end -> new Signals(stop::countDown, end));
        Consumer<Throwable> problems =
                problem -> err.println("error: " + TorchErrors.explain(problem).orElse(String.valueOf(problem)));
        try (OpenModel model = OpenModel.open(
                settings.model(),
                settings.servedModelName(),
                settings.chatTemplate(),
                settings.batch(),
                settings.maxQueue(),
                problems)) {
            out.println(model.plan());
            ApiServer server = new ApiServer(settings, List.of(model), problems);
            out.println("serving '" + model.name() + "' on http://" + shown(settings.host()) + ":" + server.port()
                    + "/v1" + (model.hasTemplate() ? "" : "; it has no chat template: --chat-template names one"));
            stop.await();
            out.println("stopping: requests have " + settings.graceSeconds() + " s to end");
            server.close(settings.graceSeconds());
        }
        return signals.map(s -> s.status(CommandLineProgram.OK)).orElse(CommandLineProgram.OK);
    }

    private static String shown(String host) {
        return host.contains(":") ? "[" + host + "]" : host;
    }
}
