package org.sftnative.data;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;

/// T tokens of concatenated documents, never padded: what one forward and backward pass sees.
/// The shift of the labels happens here, once: `targets[t]` is what position t must predict.
///
/// @param inputIds (T) token ids
/// @param targets (T) id that position t predicts, which is the label of t + 1; -100 at a document's last position and
///     wherever that label is -100
/// @param cuSeqlens (documents + 1) first position of each document, then T
public record MicroBatch(int[] inputIds, int[] targets, int[] cuSeqlens) {
    /// Concatenates documents in their order and shifts their labels.
    public static MicroBatch of(List<Document> documents) {
        int tokens = documents.stream().mapToInt(Document::length).sum();
        int[] ids = new int[tokens];
        int[] targets = new int[tokens];
        int[] cuSeqlens = new int[documents.size() + 1];
        int at = 0;
        for (int d = 0; d < documents.size(); d++) {
            Document document = documents.get(d);
            int n = document.length();
            System.arraycopy(document.inputIds(), 0, ids, at, n);
            System.arraycopy(document.labels(), 1, targets, at, n - 1);
            targets[at + n - 1] = Document.IGNORED;
            at += n;
            cuSeqlens[d + 1] = at;
        }
        return new MicroBatch(ids, targets, cuSeqlens);
    }

    /// The same documents in micro-batches of up to some tokens; a longer document is one by itself.
    public List<MicroBatch> cut(int most) {
        List<MicroBatch> parts = new ArrayList<>();
        int first = 0;
        for (int end = 1; end < cuSeqlens.length; end++) {
            if (end == cuSeqlens.length - 1 || cuSeqlens[end + 1] - cuSeqlens[first] > most) {
                int from = cuSeqlens[first];
                parts.add(new MicroBatch(
                        Arrays.copyOfRange(inputIds, from, cuSeqlens[end]),
                        Arrays.copyOfRange(targets, from, cuSeqlens[end]),
                        IntStream.rangeClosed(first, end)
                                .map(i -> cuSeqlens[i] - from)
                                .toArray()));
                first = end;
            }
        }
        return parts;
    }

    /// Tokens of this micro-batch.
    public int tokens() {
        return inputIds.length;
    }

    /// Positions that predict something.
    public int labelTokens() {
        int n = 0;
        for (int target : targets) {
            if (target != Document.IGNORED) {
                n++;
            }
        }
        return n;
    }
}
