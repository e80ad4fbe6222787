package org.sftnative.model;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.support.TensorAssert.assertBitEqual;

import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.sftnative.ops.AtenOps;
import org.sftnative.ops.Ops;
import org.sftnative.support.NativeScope;
import org.sftnative.support.OpsCalls;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// What is recorded of training passes, and what a recording is given. A recording of these tests does
/// its work once, when it is first replayed; that of a card is `EngineGpuTest`'s.
@ExtendWith(NativeScope.class)
class RecordedPassesTest {
    private static final LossFunction LOSS = new CrossEntropy();
    private final Tape tape = new Tape();
    private GoldenModel golden;

    @BeforeEach
    void open() {
        golden = GoldenModel.load(GoldenModel.names().findFirst().orElseThrow());
    }

    @AfterEach
    void close() {
        golden.close();
    }

    private static final class Tape implements Ops.Recorder {
        private int recorded;
        private int replayed;
        private int closed;
        private int failsAt = Integer.MAX_VALUE;

        @Override
        public Ops.Recording recorded(Runnable work) {
            if (++recorded == failsAt) {
                throw new IllegalStateException("no graph\nat ...");
            }
            return new Ops.Recording() {
                private boolean done;

                @Override
                public void replay() {
                    assertTrue(!done, "replayed with what a card would have kept");
                    done = true;
                    replayed++;
                    work.run();
                }

                @Override
                public void close() {
                    closed++;
                }
            };
        }

        @Override
        public void close() {}
    }

    @Test
    void theSecondMicroBatchOfAShapeIsRecordedAndHasTheSameGradients() {
        PackedBatch first = batch(1, 5, 9, 3);
        PackedBatch second = batch(2, 7, 9, 1); // as many tokens, in the same class of lengths
        Tensor expected = gradients(new AtenOps(), second);
        try (LlamaEngine engine = engine(recording())) {
            step(engine, first);
            assertEquals(0, tape.recorded);
            step(engine, second);
            assertEquals(2, tape.recorded);
            assertEquals(2, tape.replayed);
            assertBitEqual("gradients", golden.parameters().flatGradients(), expected);
        }
        assertEquals(2, tape.closed);
    }

    @Test
    void aStepsLaterMicroBatchesAreAShapeOfTheirOwn() {
        try (LlamaEngine engine = engine(recording())) {
            engine.startStep();
            engine.accumulate(batch(1, 5, 9, 3), LOSS, 1);
            engine.accumulate(batch(2, 5, 9, 3), LOSS, 1);
            assertEquals(0, tape.recorded, "one writes gradients, the other adds to them");
            engine.accumulate(batch(3, 5, 9, 3), LOSS, 1);
            assertEquals(2, tape.recorded);
        }
    }

    /// Their copies are ordered by events between streams, and are no part of a recording.
    @Test
    void passesThatOffloadAreNotRecorded() {
        try (LlamaEngine engine =
                new LlamaEngine(golden.config(), golden.parameters(), recording(), Recompute.OFFLOAD)) {
            for (int i = 0; i < 3; i++) {
                step(engine, batch(i, 5, 9, 3));
            }
            assertEquals(0, tape.recorded);
        }
    }

    @Test
    void evenBatchesNoiseAndEvaluationAreNotRecorded() {
        try (LlamaEngine engine = engine(recording())) {
            for (int i = 0; i < 3; i++) {
                step(engine, batch(i, 6, 6));
                PackedBatch ragged = batch(i, 5, 9, 3);
                step(
                        engine,
                        ragged.withNoise(Tensors.zeros(
                                ScalarType.Float,
                                Devices.cpu(),
                                17,
                                golden.config().hiddenSize())));
                engine.loss(ragged, LOSS);
                engine.logits(ragged, ragged.labelRows());
            }
            assertEquals(0, tape.recorded);
        }
    }

    @Test
    void recordingsEndWithTheBuffersThatTheyUse() {
        try (LlamaEngine engine = engine(recording())) {
            step(engine, batch(1, 5, 9, 3));
            step(engine, batch(2, 5, 9, 3));
            step(engine, batch(3, 50, 9)); // more tokens than there was room for
            assertEquals(2, tape.closed);
            step(engine, batch(4, 5, 9, 3));
            assertEquals(2, tape.recorded, "its shape is new again");
            step(engine, batch(5, 5, 9, 3));
            assertEquals(4, tape.recorded);
            engine.shrink();
            assertEquals(4, tape.closed);
        }
    }

    @Test
    void whatCannotBeRecordedRunsAsItIs() {
        PackedBatch batch = batch(2, 5, 9, 3);
        Tensor expected = gradients(new AtenOps(), batch);
        for (int failing = 1; failing <= 2; failing++) {
            tape.recorded = 0;
            tape.failsAt = failing;
            try (LlamaEngine engine = engine(recording())) {
                step(engine, batch(1, 5, 9, 3));
                step(engine, batch);
                assertBitEqual("gradients", golden.parameters().flatGradients(), expected);
                step(engine, batch);
                assertBitEqual("gradients", golden.parameters().flatGradients(), expected);
                assertEquals(failing, tape.recorded, "it is not tried again");
                assertEquals(
                        Optional.of("passes cannot be recorded, and a small model trains slower: no graph"),
                        engine.warning());
                engine.shrink();
                tape.recorded = 0;
                step(engine, batch);
                step(engine, batch);
                assertEquals(failing, tape.recorded, "with new buffers it is");
                assertEquals(Optional.empty(), engine.warning(), "and told once");
            }
        }
    }

    @Test
    void aRecordingReadsTheMicroBatchOfNowWhereItAlwaysDid() {
        try (RecordedPasses recorded = new RecordedPasses(tape, Devices.cpu())) {
            assertTrue(recorded.of(inputs(1, 5, 9, 3), true).isEmpty());
            RecordedPasses.Inputs before =
                    recorded.of(inputs(2, 5, 9, 3), true).orElseThrow().inputs();
            long[] places = places(before);
            RecordedPasses.Inputs now = inputs(3, 7, 9, 1);
            RecordedPasses.Inputs own = recorded.of(now, true).orElseThrow().inputs();
            assertArrayEquals(places, places(own));
            assertBitEqual("ids", own.ids().device(), now.ids().device());
            assertArrayEquals(now.ids().host(), own.ids().host());
            assertBitEqual("cosines", own.angles().cos(), now.angles().cos());
            assertBitEqual("sines", own.angles().sin(), now.angles().sin());
            assertBitEqual("rows", own.angles().rows(), now.angles().rows());
            assertArrayEquals(new int[] {0, 7, 16, 17}, own.documents().cuSeqlens());
            assertArrayEquals(
                    new long[] {0, 7, 16, 17, 17, 17, 17, 17, 17},
                    Tensors.longs(own.documents().onDevice().to(ScalarType.Long)));
            assertEquals(256, own.documents().longest());
        }
    }

    @Test
    void sixtyFourShapesAreRecordedAndShapesThatCameOnceDoNotCount() {
        try (RecordedPasses recorded = new RecordedPasses(tape, Devices.cpu())) {
            for (int t = 100; t < 200; t++) {
                recorded.of(inputs(1, t, 1), true);
            }
            for (int t = 2; t < 2 + 65; t++) {
                assertTrue(recorded.of(inputs(1, t, 1), true).isEmpty());
                assertEquals(t < 2 + 64, recorded.of(inputs(2, t, 1), true).isPresent(), t + " tokens");
            }
            assertTrue(recorded.of(inputs(3, 2, 1), true).isPresent());
        }
    }

    private static long[] places(RecordedPasses.Inputs inputs) {
        return new long[] {
            inputs.ids().device().data_ptr().address(),
            inputs.documents().onDevice().data_ptr().address(),
            inputs.angles().cos().data_ptr().address(),
            inputs.angles().sin().data_ptr().address(),
            inputs.angles().rows().data_ptr().address()
        };
    }

    private RecordedPasses.Inputs inputs(int seed, int... lengths) {
        return RecordedPasses.inputs(golden.config(), batch(seed, lengths));
    }

    private Tensor gradients(Ops ops, PackedBatch batch) {
        try (LlamaEngine engine = engine(ops)) {
            step(engine, batch);
            return golden.parameters().flatGradients().clone();
        }
    }

    private static void step(LlamaEngine engine, PackedBatch batch) {
        engine.startStep();
        engine.accumulate(batch, LOSS, 0.1);
        engine.endStep();
    }

    private LlamaEngine engine(Ops ops) {
        return new LlamaEngine(golden.config(), golden.parameters(), ops, Recompute.SELECTIVE);
    }

    private Ops recording() {
        return OpsCalls.with(new AtenOps(), "recorder", Optional.of(tape));
    }

    private PackedBatch batch(int seed, int... lengths) {
        return Batches.of(golden.config(), seed, Devices.cpu(), lengths);
    }
}
