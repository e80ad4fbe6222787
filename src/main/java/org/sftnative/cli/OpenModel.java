package org.sftnative.cli;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import org.sftnative.config.BatchSettings;
import org.sftnative.config.ModelSettings;
import org.sftnative.data.ChatFormat;
import org.sftnative.data.Tokenizer;
import org.sftnative.data.TurnEnd;
import org.sftnative.generate.BatchGenerator;
import org.sftnative.generate.KvPlan;
import org.sftnative.io.HubName;
import org.sftnative.model.KvPool;
import org.sftnative.model.LlamaDecoder;
import org.sftnative.tensor.Devices;
import org.sftnative.train.LoadedModel;
import org.sftnative.train.ReadyModel;
import org.sftnative.web.ChatMessage;
import org.sftnative.web.Engine;
import org.sftnative.web.ServedModel;
import tools.jackson.databind.node.JsonNodeFactory;
import tools.jackson.databind.node.ObjectNode;

/// A model directory with everything that answers: weights, cache, tokenizer, template.
final class OpenModel implements ServedModel, AutoCloseable {
    private final String name;
    private final Instant created;
    private final LoadedModel loaded;
    private final ReadyModel ready;
    private final LlamaDecoder decoder;
    private final ChatFormat format;
    private final KvPlan plan;
    private final Engine engine;
    private final Ends chatEnds;
    private final Ends textEnds;

    private OpenModel(
            String name,
            LoadedModel loaded,
            Optional<String> template,
            BatchSettings batch,
            int share,
            int queue,
            Consumer<Throwable> problems) {
        this.name = name;
        this.loaded = loaded;
        created = created(loaded.path());
        format = ChatFormat.of(loaded.tokenizer(), template);
        ready = loaded.ready();
        decoder = ready.decoder();
        plan = plan(decoder, batch, share);
        engine = new Engine(new BatchGenerator(decoder, this::decode, plan), queue, problems);
        TurnEnd end = format.isPresent() ? format.turnEnd() : TurnEnd.NONE;
        textEnds = new Ends(loaded.stopTokens(), List.of());
        Set<Integer> chatStops = new TreeSet<>(loaded.stopTokens());
        chatStops.addAll(end.tokens());
        chatEnds = new Ends(Set.copyOf(chatStops), end.text().stream().toList());
    }

    /// @param name what requests call it; empty: the name of the directory
    /// @param share models that divide the memory for keys and values
    /// @param queue most texts that wait
    /// @param problems hears why a pass failed
    static OpenModel open(
            ModelSettings settings,
            Optional<String> name,
            Optional<String> template,
            BatchSettings batch,
            int share,
            int queue,
            Consumer<Throwable> problems) {
        LoadedModel loaded = LoadedModel.open(settings);
        try {
            return new OpenModel(
                    name.or(() -> HubName.ofSnapshot(settings.modelNameOrPath()).map(HubName::id))
                            .orElseGet(() -> settings.modelNameOrPath()
                                    .toAbsolutePath()
                                    .normalize()
                                    .getFileName()
                                    .toString()),
                    loaded,
                    template,
                    batch,
                    share,
                    queue,
                    problems);
        } catch (RuntimeException e) {
            loaded.close();
            throw e;
        }
    }

    /// Room for as many texts of the model's full length as are wanted and fit; for one shorter text, if need be.
    private static KvPlan plan(LlamaDecoder decoder, BatchSettings batch, int share) {
        long bytes =
                batch.kvMemory() > 0 ? (long) (batch.kvMemory() * (1L << 30)) : Devices.freeBytes(decoder.device()) / 2;
        bytes /= share;
        long fit = bytes / KvPool.bytesPerToken(decoder.config(), decoder.cacheDtype());
        int longest = (int) Math.clamp(fit, 2, decoder.config().maxPositionEmbeddings());
        return KvPlan.of(decoder, bytes, batch.generationBatchSize(), longest);
    }

    private static Instant created(Path directory) {
        try {
            return Files.getLastModifiedTime(directory.resolve("config.json")).toInstant();
        } catch (IOException e) {
            return Instant.now();
        }
    }

    /// How much is generated at one time.
    KvPlan plan() {
        return plan;
    }

    boolean hasTemplate() {
        return format.isPresent();
    }

    private String decode(int[] ids) {
        return loaded.tokenizer().decode(ids, true);
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public Instant created() {
        return created;
    }

    @Override
    public int positions() {
        return Math.min(plan.positions(), plan.tokens());
    }

    @Override
    public int[] prompt(List<ChatMessage> messages) {
        return format.prompt(messages.stream().map(OpenModel::json).toList());
    }

    private static ObjectNode json(ChatMessage message) {
        ObjectNode node = JsonNodeFactory.instance
                .objectNode()
                .put("role", message.role())
                .put("content", message.content());
        message.name().ifPresent(name -> node.put("name", name));
        return node;
    }

    @Override
    public int[] prompt(String text) {
        Tokenizer tokenizer = loaded.tokenizer();
        return tokenizer.encodeRow(text, true, false);
    }

    @Override
    public Ends ends(boolean chat) {
        return chat ? chatEnds : textEnds;
    }

    @Override
    public Engine engine() {
        return engine;
    }

    @Override
    public void close() {
        engine.close();
        decoder.close();
        ready.close();
        loaded.close();
    }
}
