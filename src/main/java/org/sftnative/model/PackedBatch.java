package org.sftnative.model;

import java.util.Arrays;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.SplittableRandom;
import java.util.zip.CRC32;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// A micro-batch on the device of the model. T tokens, N of them with a target.
///
/// @param inputIds (T) int64
/// @param positions (T) int64, from 0 in each document
/// @param labelRows (N) int64: the positions that have a target, ascending
/// @param targets (N) int64: what they predict
/// @param rounded the same two, and on a card a few rows without a target (-100), up to a multiple of 64
/// @param cuSeqlens (documents + 1) first position of each document, then T; on the host
/// @param hostIds (T) the token ids again, on the host
/// @param noise (T, C) fp32, added to the embeddings; see [EmbeddingNoise]
/// @param key of the seed and the step, for dropout; absent: nothing is dropped
public record PackedBatch(
        Tensor inputIds,
        Tensor positions,
        Tensor labelRows,
        Tensor targets,
        Wanted rounded,
        int[] cuSeqlens,
        int[] hostIds,
        Optional<Tensor> noise,
        OptionalLong key) {
    /// Rows whose logits are wanted.
    ///
    /// @param rows (n) int64
    /// @param targets (n) int64
    record Wanted(Tensor rows, Tensor targets) {}

    private static final int IGNORED = -100;

    /// On a card, tokens are a multiple of this: cuBLAS chooses an algorithm for every new shape, which costs more
    /// than the product itself in a small model.
    private static final int CUDA_MULTIPLE = 128;

    private static final int CUDA_ROWS = 64;

    /// Puts a micro-batch on a device; the tensors belong to the scope around the call. On a card, a ragged batch
    /// gets one dead document more, of token 0 without labels, up to a multiple of 128 tokens: it adds nothing to
    /// loss or gradient, and nobody attends to it.
    ///
    /// @param inputIds (T)
    /// @param targets (T) what each position predicts, -100 where nothing
    /// @param cuSeqlens first position of each document, then T
    public static PackedBatch of(int[] inputIds, int[] targets, int[] cuSeqlens, Device device) {
        int tokens = inputIds.length;
        int rounded = Math.ceilDiv(tokens, CUDA_MULTIPLE) * CUDA_MULTIPLE;
        if (!Devices.isCuda(device) || rounded == tokens || even(cuSeqlens)) {
            return exactly(inputIds, targets, cuSeqlens, device);
        }
        int[] padded = Arrays.copyOf(targets, rounded);
        Arrays.fill(padded, tokens, rounded, IGNORED);
        int[] cu = Arrays.copyOf(cuSeqlens, cuSeqlens.length + 1);
        cu[cu.length - 1] = rounded;
        return exactly(Arrays.copyOf(inputIds, rounded), padded, cu, device);
    }

    /// Whether all documents have the same length: attention of such a batch has a faster kernel.
    private static boolean even(int[] cuSeqlens) {
        for (int d = 1; d + 1 < cuSeqlens.length; d++) {
            if (cuSeqlens[d + 1] - cuSeqlens[d] != cuSeqlens[1]) {
                return false;
            }
        }
        return true;
    }

    private static PackedBatch exactly(int[] inputIds, int[] targets, int[] cuSeqlens, Device device) {
        int[] positions = new int[inputIds.length];
        int labelTokens = 0;
        for (int target : targets) {
            labelTokens += target != IGNORED ? 1 : 0;
        }
        boolean cuda = Devices.isCuda(device);
        int most = cuda ? Math.min(inputIds.length, Math.ceilDiv(labelTokens, CUDA_ROWS) * CUDA_ROWS) : labelTokens;
        int[] rows = new int[most];
        int[] wanted = new int[most];
        Arrays.fill(wanted, IGNORED);
        for (int d = 0, n = 0, more = labelTokens; d + 1 < cuSeqlens.length; d++) {
            for (int t = cuSeqlens[d]; t < cuSeqlens[d + 1]; t++) {
                positions[t] = t - cuSeqlens[d];
                if (targets[t] != IGNORED) {
                    rows[n] = t;
                    wanted[n++] = targets[t];
                } else if (more < most) {
                    rows[more++] = t;
                }
            }
        }
        Wanted rounded = new Wanted(Tensors.ofInts(rows, device), Tensors.ofInts(wanted, device));
        return new PackedBatch(
                Tensors.ofInts(inputIds, device),
                Tensors.ofInts(positions, device),
                cuda ? rounded.rows.narrow(0, 0, labelTokens) : rounded.rows,
                cuda ? rounded.targets.narrow(0, 0, labelTokens) : rounded.targets,
                rounded,
                cuSeqlens,
                inputIds,
                Optional.empty(),
                OptionalLong.empty());
    }

    PackedBatch withNoise(Tensor noise) {
        return new PackedBatch(
                inputIds, positions, labelRows, targets, rounded, cuSeqlens, hostIds, Optional.of(noise), key);
    }

    /// The same batch in a step of a run: what adapters drop of it is a function of both, and of each document.
    public PackedBatch inStep(long seed, long step) {
        long key = new SplittableRandom(seed ^ new SplittableRandom(step).nextLong()).nextLong();
        return new PackedBatch(
                inputIds, positions, labelRows, targets, rounded, cuSeqlens, hostIds, noise, OptionalLong.of(key));
    }

    /// The rows to compute an objective on: rounded where a row without a target adds nothing to it.
    Wanted wanted(LossFunction loss) {
        return loss instanceof CrossEntropy ? rounded : new Wanted(labelRows, targets);
    }

    /// What adapters drop; absent where nothing is.
    Optional<AdapterDropout> dropout(double rate) {
        if (rate == 0 || key.isEmpty()) {
            return Optional.empty();
        }
        int[] rows = new int[tokens()];
        for (int d = 0; d + 1 < cuSeqlens.length; d++) {
            long document = key.getAsLong() ^ documentHash(d);
            SplittableRandom random = new SplittableRandom(document);
            for (int t = cuSeqlens[d]; t < cuSeqlens[d + 1]; t++) {
                rows[t] = random.nextInt();
            }
        }
        Tensor keys = Tensors.ofInts(rows, inputIds.device()).to(ScalarType.Int);
        return Optional.of(new AdapterDropout(rate, keys));
    }

    /// A hash of a document's tokens.
    long documentHash(int document) {
        CRC32 content = new CRC32();
        for (int t = cuSeqlens[document]; t < cuSeqlens[document + 1]; t++) {
            int id = hostIds[t];
            content.update(id);
            content.update(id >> 8);
            content.update(id >> 16);
        }
        return content.getValue();
    }

    /// T, tokens of the batch.
    public int tokens() {
        return cuSeqlens[cuSeqlens.length - 1];
    }

    /// N, positions with a target.
    public long labelTokens() {
        return targets.size(0);
    }
}
