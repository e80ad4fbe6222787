package org.sftnative.generate;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeSet;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.sftnative.InputException;
import org.sftnative.io.ModelDirectory;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.LlamaDecoder;
import org.sftnative.model.LlamaFiles;
import org.sftnative.model.Parameters;
import org.sftnative.ops.AtenOps;
import org.sftnative.support.LivePointers;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;

/// Texts that are written together.
class BatchGeneratorTest {
    private static final Sampling WILD = new Sampling(1.2, 40, 0.95, 1.1);
    private static final List<String> LETTERS = List.of("a", "b", "c", "d", "e");

    private static Parameters weights;
    private static LlamaDecoder model;

    @BeforeAll
    static void load() {
        try (ModelDirectory directory = ModelDirectory.open(Path.of("src/test/resources/golden/base"))) {
            LlamaConfig config = LlamaConfig.of(directory.config());
            weights = LlamaFiles.load(directory, config, Dtype.F32, Devices.cpu());
            model = new LlamaDecoder(config, weights, new AtenOps(), false);
        }
    }

    @AfterAll
    static void close() {
        model.close();
        weights.close();
    }

    /// In fp32, where a sum's order is the batch's, no draw of these comes so near to a border that it matters.
    @Test
    void anAnswerDependsOnItsSeedAndPromptAndNotOnTheTextsBeside() {
        List<Request> requests = new ArrayList<>();
        for (int i = 0; i < 24; i++) {
            requests.add(wild(prompt(i % 12, 3 + 7 * (i % 12 % 5)), 5 + i, i / 12));
        }
        List<Answer> together = run(24, 100, requests);
        for (int texts : new int[] {1, 3}) {
            List<Answer> others = run(texts, 100, requests.reversed());
            for (int i = 0; i < 24; i++) {
                assertArrayEquals(together.get(i).tokens(), others.get(23 - i).tokens(), texts + " texts, row " + i);
            }
        }
        long other = IntStream.range(0, 12) // the same prompt under another seed
                .filter(i -> together.get(i).tokens()[0] != together.get(12 + i).tokens()[0]
                        || together.get(i).tokens()[1] != together.get(12 + i).tokens()[1])
                .count();
        assertTrue(other >= 6, other + " of 12 differ");
    }

    @Test
    void roomIsSharedAndTheFirstToComeIsTheFirstToRun() {
        KvPlan plan = new KvPlan(1, 64, 8, 2048, 256); // 64 tokens: three texts of 20
        List<Integer> order = new ArrayList<>();
        int[] most = {0};
        try (BatchGenerator generator = new BatchGenerator(model, ids -> "", plan)) {
            for (int i = 0; i < 9; i++) {
                int text = i;
                generator.submit(Request.greedy(prompt(i, 10), 10, Set.of()), ends(() -> order.add(text)));
            }
            while (generator.step()) {
                most[0] = Math.max(most[0], generator.running());
            }
            assertEquals(0, generator.waiting());
        }
        assertEquals(List.of(0, 1, 2, 3, 4, 5, 6, 7, 8), order);
        assertEquals(3, most[0]);
    }

    @Test
    void whatCanNeverRunIsRefusedWithBothNumbers() {
        KvPlan plan = new KvPlan(1, 64, 8, 2048, 256);
        try (BatchGenerator generator = new BatchGenerator(model, ids -> "", plan)) {
            refused(generator, Request.greedy(prompt(1, 30), 40, Set.of()), "30 tokens", "40", "room for 64");
            refused(generator, Request.greedy(prompt(1, 300), 4, Set.of()), "300 tokens", "made for 256");
            refused(generator, Request.greedy(new int[0], 4, Set.of()), "no tokens");
            refused(generator, Request.greedy(new int[] {1, 99999}, 4, Set.of()), "99999", "2048");
            assertFalse(generator.step());
        }
    }

    @Test
    void aCancelledTextEndsAndItsRoomIsFreeForTheNext() {
        KvPlan plan = new KvPlan(1, 40, 8, 2048, 256);
        List<String> heard = new ArrayList<>();
        try (BatchGenerator generator = new BatchGenerator(model, ids -> "", plan)) {
            BatchGenerator.Ticket first =
                    generator.submit(Request.greedy(prompt(1, 10), 30, Set.of()), says("first", heard));
            BatchGenerator.Ticket never =
                    generator.submit(Request.greedy(prompt(2, 10), 30, Set.of()), says("never", heard));
            generator.submit(Request.greedy(prompt(3, 10), 2, Set.of()), says("last", heard));
            generator.step();
            generator.step();
            first.cancel();
            never.cancel();
            while (generator.step()) {}
            first.cancel(); // it has ended: nothing more
            generator.step();
        }
        assertEquals(List.of("first CANCELLED 2", "never CANCELLED 0", "last LENGTH 2"), heard);
    }

    @Test
    void aListenerThatThrowsEndsItsOwnTextAlone() {
        KvPlan plan = KvPlan.of(model, 1 << 30, 4, 40);
        List<String> heard = new ArrayList<>();
        try (BatchGenerator generator = new BatchGenerator(model, ids -> "", plan)) {
            generator.submit(Request.greedy(prompt(1, 10), 8, Set.of()), new AnswerListener() {
                @Override
                public void token(int id) {
                    throw new IllegalStateException("gone");
                }

                @Override
                public void ended(Answer answer) {
                    heard.add("ended");
                }

                @Override
                public void failed(RuntimeException why) {
                    heard.add(why.getMessage());
                }
            });
            generator.submit(Request.greedy(prompt(2, 10), 8, Set.of()), says("other", heard));
            while (generator.step()) {}
        }
        assertEquals(List.of("gone", "other LENGTH 8"), heard);
    }

    @Test
    void aStopTextEndsTheAnswerBeforeItAndALeastLengthPutsStopTokensOff() {
        int[] free = run(1, 100, List.of(Request.greedy(prompt(4, 8), 30, Set.of())))
                .getFirst()
                .tokens();
        String text = letters(free);
        String stop = text.substring(11, 13);
        int at = text.indexOf(stop);
        Request stopping = new Request(prompt(4, 8), Sampling.GREEDY, 0, 30, Set.of(), List.of("zz", stop), 0);
        KvPlan plan = KvPlan.of(model, 1 << 30, 1, 100);
        try (BatchGenerator generator = new BatchGenerator(model, BatchGeneratorTest::letters, plan)) {
            Answer answer = Answers.of(generator, List.of(stopping)).getFirst();
            assertEquals(Answer.End.STOP_TEXT, answer.end());
            assertEquals(text.substring(0, at), answer.text());
            assertEquals(at + 2, answer.tokens().length);
        }
        Request ends = new Request(prompt(4, 8), Sampling.GREEDY, 0, 30, Set.of(free[0]), List.of(), 0);
        assertEquals(1, run(1, 100, List.of(ends)).getFirst().tokens().length);
        Request later = new Request(prompt(4, 8), Sampling.GREEDY, 9, 30, Set.of(free[0]), List.of(), 0);
        Answer answer = run(1, 100, List.of(later)).getFirst();
        assertTrue(answer.tokens().length >= 9);
        assertTrue(Arrays.stream(answer.tokens(), 0, 9).noneMatch(id -> id == free[0]));
    }

    @Test
    void livePointersAreConstantOverFiveHundredTokens() {
        List<Long> live = new ArrayList<>();
        long before = LivePointers.settled();
        KvPlan plan = KvPlan.of(model, 1 << 30, 4, 140);
        try (BatchGenerator generator = new BatchGenerator(model, ids -> "", plan)) {
            for (int i = 0; i < 8; i++) { // joining and leaving
                generator.submit(
                        new Request(prompt(i, 4 + i), WILD, 0, 125 - i, Set.of(), List.of(), i), ends(() -> {}));
            }
            while (generator.step()) {
                live.add(LivePointers.count());
            }
        }
        assertTrue(live.size() > 125, live::toString);
        assertEquals(1, new TreeSet<>(live).size(), () -> "live pointers a step: " + live);
        assertEquals(before, LivePointers.count(), "live pointers after all");
    }

    private static List<Answer> run(int texts, int longest, List<Request> requests) {
        KvPlan plan = KvPlan.of(model, 1 << 30, texts, longest);
        try (BatchGenerator generator = new BatchGenerator(model, ids -> "", plan)) {
            return Answers.of(generator, requests);
        }
    }

    private static String letters(int[] ids) {
        StringBuilder text = new StringBuilder();
        for (int id : ids) {
            text.append(LETTERS.get(id % LETTERS.size()));
        }
        return text.toString();
    }

    private static Request wild(int[] prompt, int most, long seed) {
        return new Request(prompt, WILD, 0, most, Set.of(2), List.of(), seed);
    }

    private static int[] prompt(int seed, int length) {
        return new SplittableRandom(seed).ints(length, 3, 2048).toArray();
    }

    private static void refused(BatchGenerator generator, Request request, String... says) {
        InputException error = assertThrows(InputException.class, () -> generator.submit(request, ends(() -> {})));
        for (String word : says) {
            assertTrue(error.getMessage().contains(word), error::getMessage);
        }
    }

    private static AnswerListener says(String name, List<String> heard) {
        return new AnswerListener() {
            @Override
            public void ended(Answer answer) {
                heard.add(name + " " + answer.end() + " " + answer.tokens().length);
            }

            @Override
            public void failed(RuntimeException why) {
                throw why;
            }
        };
    }

    private static AnswerListener ends(Runnable then) {
        return new AnswerListener() {
            @Override
            public void ended(Answer answer) {
                then.run();
            }

            @Override
            public void failed(RuntimeException why) {
                throw why;
            }
        };
    }
}
