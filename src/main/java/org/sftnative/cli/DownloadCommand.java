package org.sftnative.cli;

import java.io.PrintStream;
import java.nio.file.Path;
import org.sftnative.InputException;
import org.sftnative.config.DownloadSettings;
import org.sftnative.io.HubClient;
import org.sftnative.io.HubName;

/// `download`: fetches a model into the Hub's cache, and copies it if asked to.
final class DownloadCommand {
    private DownloadCommand() {}

    static void run(DownloadSettings settings, HubModels models, PrintStream out, PrintStream err, boolean terminal) {
        HubName name = HubName.parse(settings.modelNameOrPath())
                .orElseThrow(() -> new InputException("'" + Visible.of(settings.modelNameOrPath())
                        + "' is no model of the Hub\n  give org/name or org/name@revision"));
        try (DownloadProgress progress = new DownloadProgress(err, terminal, System::nanoTime);
                HubClient client = models.client(progress)) {
            Path directory = settings.outputDir().isPresent()
                    ? client.download(name, settings.outputDir().get())
                    : client.fetch(name, HubClient.Need.MODEL);
            progress.close();
            out.println(name + " is in " + directory);
        }
    }
}
