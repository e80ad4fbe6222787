package org.sftnative.generate;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.SplittableRandom;
import java.util.stream.LongStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.junit.jupiter.api.Test;
import org.sftnative.data.Document;
import org.sftnative.data.MicroBatch;
import org.sftnative.io.ModelDirectory;
import org.sftnative.model.Llama;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.LlamaFiles;
import org.sftnative.model.PackedBatch;
import org.sftnative.model.Parameters;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;

/// What `eval` counts, against the definition: -log softmax of each label, and whether it is the largest logit.
class TokenScoresTest {
    @Test
    void lossAndHitsOfEachDocumentAreThoseOfItsLogits() {
        try (ModelDirectory directory = ModelDirectory.open(Path.of("src/test/resources/golden/base"))) {
            LlamaConfig config = LlamaConfig.of(directory.config());
            try (Parameters weights = LlamaFiles.load(directory, config, Dtype.F32, Devices.cpu());
                    Llama model = new Llama(config, weights, Llama.Options.PLAIN)) {
                List<Document> documents = new ArrayList<>();
                for (int d = 0; d < 5; d++) {
                    documents.add(document(model, d, 9 + 4 * d));
                }
                TokenScores.Score[] scores = TokenScores.of(
                        model,
                        List.of(MicroBatch.of(documents.subList(0, 3)), MicroBatch.of(documents.subList(3, 5))),
                        documents);
                int hits = 0;
                for (int d = 0; d < documents.size(); d++) {
                    TokenScores.Score expected = byHand(model, documents.get(d));
                    assertEquals(expected.labelTokens(), scores[d].labelTokens());
                    assertEquals(expected.hits(), scores[d].hits(), "document " + d);
                    assertEquals(expected.lossSum(), scores[d].lossSum(), 1e-5 * expected.lossSum());
                    hits += scores[d].hits();
                }
                assertTrue(hits >= 5, hits + " hits"); // the planted ones at least
            }
        }
    }

    /// Random tokens of which the first third is no label; one label is what the model would say.
    private static Document document(Llama model, int number, int length) {
        int[] ids = new SplittableRandom(number).ints(length, 3, 2048).toArray();
        float[] last = logits(model, Arrays.copyOf(ids, length - 1))[length - 2];
        ids[length - 1] = best(last);
        int[] labels = ids.clone();
        Arrays.fill(labels, 0, length / 3, Document.IGNORED);
        return new Document(number, ids, labels);
    }

    private static TokenScores.Score byHand(Llama model, Document document) {
        float[][] logits = logits(model, document.inputIds());
        double loss = 0;
        int hits = 0;
        int count = 0;
        for (int t = 1; t < document.length(); t++) {
            int label = document.labels()[t];
            if (label != Document.IGNORED) {
                float[] row = logits[t - 1];
                double sum = 0;
                for (float logit : row) {
                    sum += Math.exp(logit);
                }
                loss += Math.log(sum) - row[label];
                hits += best(row) == label ? 1 : 0;
                count++;
            }
        }
        return new TokenScores.Score(loss, hits, count);
    }

    private static int best(float[] row) {
        int best = 0;
        for (int i = 1; i < row.length; i++) {
            best = row[i] > row[best] ? i : best;
        }
        return best;
    }

    private static float[][] logits(Llama model, int[] ids) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            int[] none = new int[ids.length];
            Arrays.fill(none, Document.IGNORED);
            PackedBatch batch = PackedBatch.of(ids, none, new int[] {0, ids.length}, Devices.cpu());
            long[] rows = LongStream.range(0, ids.length).toArray();
            float[] all = Tensors.floats(model.logits(batch, Tensors.ofLongs(rows, Devices.cpu())));
            int width = all.length / ids.length;
            float[][] byRow = new float[ids.length][];
            Arrays.setAll(byRow, t -> Arrays.copyOfRange(all, t * width, (t + 1) * width));
            return byRow;
        }
    }
}
