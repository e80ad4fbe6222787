package org.sftnative.benchmarks;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import org.sftnative.data.Dataset;
import org.sftnative.data.Document;
import org.sftnative.data.StepPlan;
import org.sftnative.model.LlamaConfig;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// What a training benchmark trains: a shape, and rows of random tokens whose lengths are those of real rows.
public enum Workload {
    /// 6.45M parameters, 16 rows of Alpaca lengths a step: what `scripts/compare` trains, with weights and rows of its
    /// own.
    BASE("""
            {"model_type": "llama", "vocab_size": 4096, "hidden_size": 256, "intermediate_size": 688,
             "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 32,
             "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
             "initializer_range": 0.02, "attention_bias": false, "mlp_bias": false, "tie_word_embeddings": false}
            """, 16, 4096),
    /// A shape so small that a step is the host's work: calls into libtorch and our kernels, and the loop around them.
    TINY("""
            {"model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128,
             "num_hidden_layers": 8, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
             "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
             "initializer_range": 0.02, "attention_bias": false, "mlp_bias": false, "tie_word_embeddings": false}
            """, 1, 4096),
    /// A sixteenth of TINY's width and of the rows' lengths: next to nothing is computed.
    NARROW("""
            {"model_type": "llama", "vocab_size": 64, "hidden_size": 16, "intermediate_size": 32,
             "num_hidden_layers": 8, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 4,
             "max_position_embeddings": 1024, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
             "initializer_range": 0.02, "attention_bias": false, "mlp_bias": false, "tie_word_embeddings": false}
            """, 1, 4096, 16);

    /// Quantiles (0, 5, .. 100%) of 999 Alpaca rows under a byte-level BPE vocabulary of 4,096: tokens of the prompt,
    /// template included, and of the response with its EOS. Mean 52 and 209; cut at 512 tokens in all.
    private static final int[] PROMPT = {
        32, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 48, 49, 51, 53, 55, 59, 62, 69, 82, 250
    };

    private static final int[] RESPONSE = {
        2, 11, 15, 20, 27, 35, 47, 64, 85, 112, 149, 183, 216, 258, 304, 356, 404, 446, 504, 566, 854
    };
    private static final int LONGEST = 512;
    private static final long SEED = 42;

    private final LlamaConfig config;
    private final int rowsPerStep;
    private final int microBatchTokens;
    private final int shorter;

    Workload(String shape, int rowsPerStep, int microBatchTokens) {
        this(shape, rowsPerStep, microBatchTokens, 1);
    }

    Workload(String shape, int rowsPerStep, int microBatchTokens, int shorter) {
        this.config = LlamaConfig.of((ObjectNode) new JsonMapper().readTree(shape));
        this.rowsPerStep = rowsPerStep;
        this.microBatchTokens = microBatchTokens;
        this.shorter = shorter;
    }

    LlamaConfig config() {
        return config;
    }

    /// An epoch of `steps` steps.
    StepPlan plan(int steps) {
        List<Document> documents = documents(steps * rowsPerStep);
        long tokens = documents.stream().mapToLong(Document::length).sum();
        long labelTokens = documents.stream().mapToLong(Document::labelTokens).sum();
        Dataset dataset = Dataset.of(
                Path.of("random"), documents, new Dataset.Report(documents.size(), tokens, labelTokens, 0, List.of()));
        return new StepPlan(dataset, rowsPerStep, microBatchTokens, SEED, false);
    }

    /// The first rows.
    List<Document> documents(int count) {
        RandomGenerator random = new SplittableRandom(SEED);
        List<Document> documents = new ArrayList<>();
        for (int row = 1; row <= count; row++) {
            documents.add(document(row, random));
        }
        return documents;
    }

    private Document document(int row, RandomGenerator random) {
        int whole = quantile(PROMPT, random.nextDouble());
        int prompt = whole / shorter;
        int length = Math.max(prompt + 1, Math.min(LONGEST, whole + quantile(RESPONSE, random.nextDouble())) / shorter);
        int[] ids = random.ints(length, 0, config.vocabSize()).toArray();
        int[] labels = ids.clone();
        Arrays.fill(labels, 0, prompt, Document.IGNORED);
        return new Document(row, ids, labels);
    }

    /// Between the quantiles, a straight line.
    private static int quantile(int[] quantiles, double at) {
        double place = at * (quantiles.length - 1);
        int below = (int) place;
        return (int) Math.round(quantiles[below] + (place - below) * (quantiles[below + 1] - quantiles[below]));
    }
}
