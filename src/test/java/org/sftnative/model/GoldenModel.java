package org.sftnative.model;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// A tiny model of `scripts/golden/architectures.py` with what transformers says of it.
record GoldenModel(LlamaConfig config, Parameters parameters, SafetensorsFile golden) implements AutoCloseable {
    static final Path ROOT = Path.of("src/test/resources/golden/arch");

    static Stream<String> names() {
        try (Stream<Path> entries = Files.list(ROOT)) {
            return entries.map(p -> p.getFileName().toString()).sorted().toList().stream();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    static GoldenModel load(String name) {
        Path directory = ROOT.resolve(name);
        LlamaConfig config = LlamaConfig.of(
                new JsonMapper().readTree(directory.resolve("config.json").toFile()));
        Parameters parameters = new Parameters(ParameterLayout.of(config), Dtype.F32, Devices.cpu());
        try (SafetensorsFile weights = SafetensorsFile.open(directory.resolve("model.safetensors"))) {
            parameters
                    .layout()
                    .slots()
                    .keySet()
                    .forEach(w -> weights.read(w, Dtype.F32, Tensors.memory(parameters.weight(w))));
        }
        return new GoldenModel(config, parameters, SafetensorsFile.open(directory.resolve("golden.safetensors")));
    }

    /// The same with another number of blocks, and weights that transformers knows nothing of.
    static GoldenModel load(String name, int layers) {
        GoldenModel model = load(name);
        model.parameters.close();
        ObjectNode json = (ObjectNode) new JsonMapper()
                .readTree(ROOT.resolve(name).resolve("config.json").toFile());
        LlamaConfig config = LlamaConfig.of(json.put("num_hidden_layers", layers));
        Parameters parameters = new Parameters(ParameterLayout.of(config), Dtype.F32, Devices.cpu());
        Scopes.run(() -> {
            long n = parameters.layout().numel();
            Tensor values = torch.arange(new Scalar(n), Tensors.options(ScalarType.Float, Devices.cpu()));
            parameters.flatWeights().copy_(values.sin().mul(new Scalar(0.1)));
            parameters
                    .flatWeights()
                    .narrow(
                            0,
                            parameters.layout().decayed(),
                            n - parameters.layout().decayed())
                    .add_(new Scalar(1));
        });
        return new GoldenModel(config, parameters, model.golden);
    }

    Llama llama(boolean checkpointing) {
        return new Llama(config, parameters, new Llama.Options(checkpointing, false));
    }

    int documents() {
        return (int) golden.tensors().keySet().stream()
                .filter(n -> n.endsWith(".input_ids"))
                .count();
    }

    /// Documents from..to-1 in one pack; every id raised by `shift` in document `changed`.
    PackedBatch pack(int from, int to, int changed) {
        List<Integer> ids = new ArrayList<>();
        List<Integer> targets = new ArrayList<>();
        int[] cuSeqlens = new int[to - from + 1];
        for (int d = from; d < to; d++) {
            long[] inputIds = longs("document." + d + ".input_ids");
            long[] labels = longs("document." + d + ".labels");
            for (int t = 0; t < inputIds.length; t++) {
                ids.add((int) (d == changed ? (inputIds[t] + 1) % config.vocabSize() : inputIds[t]));
                targets.add(t + 1 < labels.length ? (int) labels[t + 1] : -100);
            }
            cuSeqlens[d - from + 1] = ids.size();
        }
        return PackedBatch.of(
                ids.stream().mapToInt(Integer::intValue).toArray(),
                targets.stream().mapToInt(Integer::intValue).toArray(),
                cuSeqlens,
                Devices.cpu());
    }

    PackedBatch pack() {
        return pack(0, documents(), -1);
    }

    private long[] longs(String name) {
        return golden.bytes(name).toArray(ValueLayout.JAVA_LONG_UNALIGNED);
    }

    float[] floats(String name) {
        MemorySegment bytes = golden.bytes(name);
        return bytes.toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
    }

    @Override
    public void close() {
        golden.close();
        parameters.close();
    }
}
