package org.sftnative.cli;

import java.io.PrintStream;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Supplier;
import org.sftnative.config.ResolvedSettings;
import org.sftnative.config.SettingValue;
import org.sftnative.config.SettingsField;
import org.sftnative.io.HubClient;
import org.sftnative.io.HubSettings;

/// The one place where `org/name[@revision]` becomes a directory: the settings of a command that
/// name models, before anything else sees them.
final class HubModels {
    /// Settings that name a model or an adapter, and whose weights are needed.
    private static final Set<String> MODELS = Set.of("model_name_or_path", "adapter", "compare");

    /// Settings that name a tokenizer.
    private static final Set<String> TOKENIZERS = Set.of("tokenizer");

    private final Supplier<HubSettings> settings;
    private final PrintStream to;
    private final boolean terminal;

    /// @param settings where the Hub is; asked for only if a model of it is named
    /// @param to gets the progress
    HubModels(Supplier<HubSettings> settings, PrintStream to, boolean terminal) {
        this.settings = settings;
        this.to = to;
        this.terminal = terminal;
    }

    /// The settings with directories for models of the Hub, fetched if need be.
    ///
    /// @param need what the command wants of `model_name_or_path`
    ResolvedSettings located(ResolvedSettings given, HubClient.Need need) {
        Map<SettingsField, SettingValue> values = new LinkedHashMap<>();
        given.values()
                .forEach((field, value) -> values.put(
                        field,
                        MODELS.contains(field.name())
                                ? located(value, need)
                                : TOKENIZERS.contains(field.name())
                                        ? located(value, HubClient.Need.TOKENIZER)
                                        : value));
        return new ResolvedSettings(values);
    }

    private SettingValue located(SettingValue value, HubClient.Need need) {
        List<String> directories = value.texts().stream()
                .map(text -> directory(Path.of(text), need).toString())
                .toList();
        return new SettingValue(value.name(), directories, value.origin());
    }

    /// The directory of a model, given by its path or its name on the Hub.
    Path directory(Path given, HubClient.Need need) {
        try (DownloadProgress progress = new DownloadProgress(to, terminal, System::nanoTime)) {
            return HubClient.directory(given, need, settings, progress);
        }
    }

    /// Fetches a model of the Hub, even if a directory has its name.
    HubClient client(DownloadProgress progress) {
        return new HubClient(settings.get(), progress);
    }
}
