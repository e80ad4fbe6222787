package org.sftnative.model;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.stream.Stream;
import java.util.stream.StreamSupport;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.ops.AtenOps;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Scopes;
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

    /// The same adapters with dropout.
    GoldenAdapters dropping(double rate) {
        AdapterConfig c = adapters.config();
        AdapterConfig dropping = new AdapterConfig(
                c.r(),
                c.alpha(),
                rate,
                c.targets(),
                c.modulesToSave(),
                c.useRslora(),
                c.useDora(),
                c.rankPattern(),
                c.alphaPattern(),
                c.init());
        return new GoldenAdapters(model, adapters.under(dropping), golden, json);
    }

    /// The model with its blocks' matrices kept elsewhere, unchanged, and unpacked into a buffer.
    FrozenBase packed() {
        Map<String, Tensor> kept = new HashMap<>();
        PackedMatrices packed = new PackedMatrices() {
            @Override
            public void put(String name, Tensor weight) {
                kept.put(name, Scopes.keep(() -> weight.detach().clone()));
            }

            @Override
            public boolean has(String name) {
                return kept.containsKey(name);
            }

            @Override
            public long[] shape(String name) {
                return kept.get(name).shape();
            }

            @Override
            public void into(String name, Tensor target) {
                target.copy_(kept.get(name));
            }

            @Override
            public long bytes() {
                return kept.values().stream().mapToLong(Tensor::nbytes).sum();
            }

            @Override
            public void close() {
                kept.values().forEach(Scopes::free);
            }
        };
        for (int layer = 0; layer < model.config().nLayer(); layer++) {
            for (Projection projection : Projection.values()) {
                String name = projection.module(layer) + ".weight";
                packed.put(name, model.parameters().weight(name));
            }
        }
        return new FrozenBase(model.parameters(), Optional.of(packed));
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
