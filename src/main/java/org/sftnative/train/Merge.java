package org.sftnative.train;

import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.LongStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.InputException;
import org.sftnative.config.MergeSettings;
import org.sftnative.io.ModelDirectory;
import org.sftnative.io.ModelWriter;
import org.sftnative.model.AdapterFiles;
import org.sftnative.model.AdapterMerge;
import org.sftnative.model.Adapters;
import org.sftnative.model.FrozenBase;
import org.sftnative.model.Llama;
import org.sftnative.model.LlamaFiles;
import org.sftnative.model.PackedBatch;
import org.sftnative.model.Parameters;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;

/// A base model and its adapters as one model directory. Weights are folded in fp32 into the base as its directory has
/// it: an adapter that was trained over a quantised base is folded into the unquantised one. What is saved has been
/// compared on a prompt with the base and its adapters apart.
public final class Merge {
    /// Most difference of a logit that folding may make, as a part of the largest. Measured: 1e-6.
    static final double FOLDED = 1e-4;

    /// The same after rounding to 16 bits. Measured: 5e-3.
    static final double ROUNDED = 5e-2;

    private static final String PROMPT =
            "Below is an instruction. Write a response.\n\nName three primary colours.\n\nRed, yellow and blue. 1 + 2 = 3";
    private static final int LONGEST_PROMPT = 64;
    private static final int IGNORED = -100;

    private final LoadedModel loaded;
    private final Parameters weights;
    private final PackedBatch prompt;
    private final StringBuilder said = new StringBuilder();

    private Merge(LoadedModel loaded, Parameters weights) {
        this.loaded = loaded;
        this.weights = weights;
        int[] ids = loaded.tokenizer().encodeRow(PROMPT, true, false);
        ids = Arrays.copyOf(ids, Math.min(ids.length, LONGEST_PROMPT));
        int[] targets = new int[ids.length];
        Arrays.fill(targets, IGNORED);
        prompt = PackedBatch.of(ids, targets, new int[] {0, ids.length}, loaded.device());
    }

    /// Merges, checks, saves.
    ///
    /// @return what was done, in lines
    /// @throws InputException if model and adapters do not fit, or the merged model would not compute the same
    public static String run(MergeSettings settings) {
        OutputDirectory output = new OutputDirectory(settings.outputDir());
        output.check(settings.overwriteOutputDir(), "or replace what is there with --overwrite-output-dir");
        output.checkApart(settings.modelNameOrPath());
        settings.adapter().forEach(output::checkApart);
        try (LoadedModel loaded = LoadedModel.open(settings.model())) {
            settings.adapter().forEach(path -> {
                AdapterMerge.check(AdapterFiles.config(path, loaded.config()), loaded.config());
            });
            Dtype dtype = settings.dtype()
                    .map(d -> switch (d) {
                        case FP32 -> Dtype.F32;
                        case BF16 -> Dtype.BF16;
                        case FP16 -> Dtype.F16;
                    })
                    .orElseGet(() -> stored(settings.modelNameOrPath()));
            try (PointerScope _ = new PointerScope();
                    Parameters weights = loaded.weights()) {
                Merge merge = new Merge(loaded, weights);
                settings.adapter().forEach(merge::fold);
                merge.round(dtype);
                ModelWriter.save(
                        settings.outputDir(),
                        loaded.configJson(),
                        dtype,
                        LlamaFiles.sources(weights, dtype),
                        Optional.of(loaded.path()),
                        settings.maxShardBytes());
                return merge.said + "the merged model, " + dtype.hfName() + ", is in " + settings.outputDir();
            }
        }
    }

    private static Dtype stored(Path model) {
        try (ModelDirectory directory = ModelDirectory.open(model)) {
            return directory.storedDtype();
        }
    }

    private void fold(Path directory) {
        try (PointerScope _ = new PointerScope();
                Adapters adapters = AdapterFiles.load(directory, loaded.config(), loaded.device())) {
            float[] apart = logits(loaded.llama(FrozenBase.of(weights), Optional.of(adapters)));
            AdapterMerge.fold(adapters, loaded.config(), weights);
            String what = "folding " + directory;
            double off = difference(what, apart, logits(plain()), FOLDED);
            said.append(String.format(
                    Locale.ROOT,
                    "%s: logits differ by %.1e of the largest, %d adapters%n",
                    what,
                    off,
                    adapters.specs().size()));
        }
    }

    /// Gives the weights the values that the file will have.
    private void round(Dtype dtype) {
        if (dtype == Dtype.F32) {
            return;
        }
        float[] exact = logits(plain());
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            for (String name : weights.layout().slots().keySet()) {
                try (PointerScope _ = new PointerScope()) {
                    Tensor weight = weights.weight(name);
                    weight.copy_(weight.to(dtype.scalarType()));
                }
            }
        }
        String what = "rounding to " + dtype.hfName();
        double off = difference(what, exact, logits(plain()), ROUNDED);
        said.append(String.format(Locale.ROOT, "%s: logits differ by %.1e of the largest%n", what, off));
    }

    private Llama plain() {
        return loaded.llama(FrozenBase.of(weights), Optional.empty());
    }

    private float[] logits(Llama llama) {
        try (PointerScope _ = new PointerScope()) {
            long[] rows = LongStream.range(0, prompt.tokens()).toArray();
            return Tensors.floats(llama.logits(prompt, Tensors.ofLongs(rows, loaded.device())));
        }
    }

    /// The largest difference as a part of the largest expected logit.
    ///
    /// @throws InputException if it is above the tolerance, or not a number
    static double difference(String what, float[] expected, float[] actual, double tolerance) {
        double largest = 0;
        double off = 0;
        for (int i = 0; i < expected.length; i++) {
            largest = Math.max(largest, Math.abs(expected[i]));
            off = Math.max(off, Math.abs((double) expected[i] - actual[i])); // NaN stays NaN
        }
        double part = largest == 0 ? off : off / largest;
        if (!(part <= tolerance)) {
            throw new InputException(String.format(
                    Locale.ROOT,
                    "%s changes the model's logits by %.1e of the largest, more than %.0e: nothing was saved%n"
                            + "  the adapter's values are too large for that type, or damaged; --dtype fp32 is exact",
                    what,
                    part,
                    tolerance));
        }
        return part;
    }
}
