package org.sftnative.model;

import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.ops.Ops;
import org.sftnative.ops.Ops.Angles;
import org.sftnative.ops.Ops.Documents;
import org.sftnative.ops.Ops.Ids;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Passes through the blocks, recorded once for each shape of micro-batch: to queue some thirty
/// operations a block takes the host longer than a small model's take the card. The first micro-batch
/// of a shape runs as it is, the second is recorded. What they read beside weights and buffers is
/// copied to where the recording has it.
///
/// A shape is few numbers, so that it comes again: tokens are rounded by [PackedBatch], documents and
/// the longest of them here; more documents are empty ones, and a longest that none reaches changes
/// nothing.
final class RecordedPasses implements AutoCloseable {
    /// Shapes that are recorded; others run as they are.
    private static final int MOST = 64;

    private static final int DOCUMENTS = 8;
    private static final int LENGTHS = 256;

    private final Ops.Recorder recorder;
    private final Device device;
    private final Set<Shape> seen = new HashSet<>();
    private final Map<Shape, Passes> shapes = new HashMap<>(); // that are recorded
    private boolean works = true;
    private Optional<String> warning = Optional.empty();
    private boolean warned;

    RecordedPasses(Ops.Recorder recorder, Device device) {
        this.recorder = recorder;
        this.device = device;
    }

    /// What blocks read of a micro-batch.
    record Inputs(Ids ids, Documents documents, Angles angles) {}

    /// What blocks read of a micro-batch, in the scope around the call.
    static Inputs inputs(LlamaConfig config, PackedBatch batch) {
        Device device = batch.inputIds().device();
        Tensor angle = config.rope().angles(batch.positions(), batch.cuSeqlens());
        Tensor rows = torch.arange(new Scalar(batch.tokens()), Tensors.options(ScalarType.Int, device));
        return new Inputs(
                new Ids(batch.inputIds(), batch.hostIds()),
                Documents.of(
                        batch.cuSeqlens(),
                        Tensors.ofInts(batch.cuSeqlens(), device).to(ScalarType.Int)),
                new Angles(angle.cos(), angle.sin(), rows));
    }

    /// @param fresh whether the backward pass writes gradients, and does not add to them
    private record Shape(int tokens, int documents, int longest, boolean fresh) {
        static Shape of(Inputs inputs, boolean fresh) {
            Documents documents = inputs.documents;
            return new Shape(
                    documents.start(documents.count()),
                    Math.ceilDiv(documents.count(), DOCUMENTS) * DOCUMENTS,
                    Math.ceilDiv(documents.longest(), LENGTHS) * LENGTHS,
                    fresh);
        }
    }

    /// The passes of a micro-batch that is here now, if its shape came before.
    Optional<Passes> of(Inputs inputs, boolean fresh) {
        Shape shape = Shape.of(inputs, fresh);
        boolean first = seen.add(shape);
        if (!works || first || inputs.documents.even() || !shapes.containsKey(shape) && shapes.size() >= MOST) {
            return Optional.empty();
        }
        Passes passes = shapes.computeIfAbsent(shape, Passes::new);
        passes.take(inputs);
        return Optional.of(passes);
    }

    /// Forward and backward of one shape.
    final class Passes {
        private final Shape shape;
        private final Map<String, Ops.Recording> recordings = new HashMap<>();
        private Optional<Inputs> inputs = Optional.empty();

        private Passes(Shape shape) {
            this.shape = shape;
        }

        /// Where the recording reads what [#take] was given.
        Inputs inputs() {
            return inputs.orElseThrow();
        }

        private void take(Inputs now) {
            Inputs own = inputs.orElseGet(() -> copy(now));
            int[] cu = Arrays.copyOf(now.documents.cuSeqlens(), shape.documents + 1);
            Arrays.fill(cu, now.documents.count() + 1, cu.length, shape.tokens);
            Scopes.run(() -> {
                own.ids.device().copy_(now.ids.device());
                own.documents.onDevice().copy_(Tensors.ofInts(cu, device));
                own.angles.cos().copy_(now.angles.cos());
                own.angles.sin().copy_(now.angles.sin());
            });
            inputs = Optional.of(new Inputs(
                    new Ids(own.ids.device(), now.ids.host()),
                    new Documents(now.documents.cuSeqlens(), own.documents.onDevice(), shape.longest),
                    own.angles));
        }

        private Inputs copy(Inputs now) {
            return new Inputs(
                    new Ids(kept(now.ids.device()), now.ids.host()),
                    new Documents(
                            now.documents.cuSeqlens(),
                            Scopes.keep(() -> Tensors.empty(ScalarType.Int, device, shape.documents + 1)),
                            shape.longest),
                    new Angles(kept(now.angles.cos()), kept(now.angles.sin()), kept(now.angles.rows())));
        }

        private static Tensor kept(Tensor tensor) {
            return Scopes.keep(tensor::clone);
        }

        /// Queues what work queues, which is recorded if it was not yet; as it is where that cannot be
        /// done.
        ///
        /// @param name of one of this shape's pieces of work
        void run(String name, Runnable work) {
            if (works && !recordings.containsKey(name)) {
                try {
                    recordings.put(name, recorder.recorded(work));
                } catch (RuntimeException e) {
                    works = false; // nothing of it has run
                    warn(e);
                }
            }
            if (recordings.containsKey(name)) {
                recordings.get(name).replay();
            } else {
                work.run();
            }
        }

        private void close() {
            recordings.values().forEach(Ops.Recording::close);
            inputs.ifPresent(own -> {
                Scopes.free(own.ids.device());
                Scopes.free(own.documents.onDevice());
                Scopes.free(own.angles.cos());
                Scopes.free(own.angles.sin());
                Scopes.free(own.angles.rows());
            });
        }
    }

    private void warn(RuntimeException e) {
        if (!warned) {
            warned = true;
            warning = Optional.of("passes cannot be recorded, and a small model trains slower: "
                    + String.valueOf(e.getMessage()).lines().findFirst().orElse(""));
        }
    }

    /// What the user has not been told yet.
    Optional<String> warning() {
        Optional<String> now = warning;
        warning = Optional.empty();
        return now;
    }

    /// Forgets all recordings: buffers that they use are no more.
    void forget() {
        shapes.values().forEach(Passes::close);
        shapes.clear();
        seen.clear();
        works = true;
    }

    @Override
    public void close() {
        forget();
        recorder.close();
    }
}
