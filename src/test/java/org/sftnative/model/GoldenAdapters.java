package org.sftnative.model;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.ops.AtenOps;
import org.sftnative.tensor.Devices;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Adapters of `scripts/golden/adapters.py` over one of its tiny models, with what PEFT says of them.
record GoldenAdapters(GoldenModel model, Adapters adapters, SafetensorsFile golden, JsonNode json)
        implements AutoCloseable {
    static final Path ROOT = Path.of("src/test/resources/golden/lora");

    static Stream<String> names() {
        try (Stream<Path> entries = Files.list(ROOT)) {
            return entries.map(p -> p.getFileName().toString()).sorted().toList().stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static GoldenAdapters load(String name) {
        Path directory = ROOT.resolve(name);
        JsonNode json =
                new JsonMapper().readTree(directory.resolve("golden.json").toFile());
        GoldenModel model = GoldenModel.load(json.get("model").asString());
        Adapters adapters = AdapterFiles.load(directory, model.config(), Devices.cpu());
        return new GoldenAdapters(model, adapters, SafetensorsFile.open(directory.resolve("golden.safetensors")), json);
    }

    FrozenBase base() {
        return FrozenBase.of(model.parameters());
    }

    LlamaEngine engine(Recompute policy) {
        return new LlamaEngine(model.config(), base(), adapters, new AtenOps(), policy);
    }

    Llama llama(boolean checkpointing) {
        return new Llama(model.config(), base(), adapters, new Llama.Options(checkpointing, false));
    }

    /// Either engine, each of which holds the loss to PEFT's.
    CausalLm model(boolean fused) {
        return fused ? engine(Recompute.NONE) : llama(false);
    }

    double learningRate() {
        return json.get("learning_rate").asDouble();
    }

    double ratio() {
        return json.get("ratio").asDouble();
    }

    List<Double> losses() {
        return StreamSupport.stream(json.get("losses").spliterator(), false)
                .map(JsonNode::asDouble)
                .toList();
    }

    float[] floats(String name) {
        return golden.bytes(name).toArray(java.lang.foreign.ValueLayout.JAVA_FLOAT_UNALIGNED);
    }

    @Override
    public void close() {
        golden.close();
        adapters.close();
        model.close();
    }
}
