package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.dist.Part;
import org.sftnative.dist.World;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// Gradients that ranks share out: each keeps the sum of its [Part] of the flat layout, over micro-batches and
/// ranks. A backward pass writes in fp32, blocks in turn into one of two buffers: when a block's gradients are
/// whole they are sent to the ranks that keep them, while the pass goes on with the block before. Head and
/// embedding take turns in a third; norms and biases, which are small, add up here and are sent once a step.
///
/// All ranks send the same pieces in the same order. One with fewer micro-batches than another, or whose pass
/// broke off, sends zeros for what is missing: [#finish].
final class GradientShard implements AutoCloseable {
    /// Neighbours in the layout that are sent together.
    ///
    /// @param added whether the pass adds to the buffer, which must be zero then; else it writes all of it
    private record Piece(Part of, Buffer buffer, boolean added) {}

    private final World world;
    private final Part part;
    private final long numel;
    private final long decayed;
    private final Tensor kept;
    private final List<Buffer> buffers = new ArrayList<>();
    private final Buffer rest;
    private final List<Piece> pieces = new ArrayList<>(); // of a pass, in the order in which they are sent
    private final boolean headApart;
    private int next;
    private int passes;
    private int rounds;

    /// @param type of what is kept
    GradientShard(ParameterLayout layout, ScalarType type, Device device, World world) {
        this.world = world;
        this.numel = layout.numel();
        this.decayed = layout.decayed();
        this.part = Part.of(numel, world.rank(), world.size());
        this.kept = Scopes.keep(() -> Tensors.zeros(type, device, part.count()));
        this.headApart = layout.slots().containsKey("lm_head.weight");
        List<Long> starts = starts(layout);
        int blocks = starts.size() - 2;
        Part embedding = new Part(0, starts.getFirst());
        Part head = new Part(starts.get(blocks), starts.getLast());
        long block = starts.get(1) - starts.get(0); // all have as many
        List<Buffer> turns = List.of(new Buffer(device, block), new Buffer(device, blocks > 1 ? block : 0));
        Buffer tables = new Buffer(device, Math.max(embedding.count(), head.count()));
        if (headApart) {
            pieces.add(new Piece(head, tables, false));
        }
        for (int i = blocks - 1; i >= 0; i--) {
            pieces.add(new Piece(new Part(starts.get(i), starts.get(i + 1)), turns.get(i % 2), false));
        }
        pieces.add(new Piece(embedding, tables, headApart));
        rest = new Buffer(device, numel - decayed);
    }

    /// Where each block begins, then the head, then what is not decayed.
    private static List<Long> starts(ParameterLayout layout) {
        List<Long> starts = new ArrayList<>();
        layout.slots().values().stream()
                .filter(slot ->
                        slot.name().endsWith("q_proj.weight") || slot.name().equals("lm_head.weight"))
                .forEach(slot -> starts.add(slot.offset()));
        if (!layout.slots().containsKey("lm_head.weight")) {
            starts.add(layout.decayed());
        }
        starts.add(layout.decayed());
        return starts;
    }

    /// Bytes of all buffers, beside what is kept.
    ///
    /// @param layout of a model that is trained itself
    static long workingBytes(ParameterLayout layout) {
        List<Long> starts = starts(layout);
        int blocks = starts.size() - 2;
        long table = Math.max(starts.getFirst(), starts.getLast() - starts.get(blocks));
        return Float.BYTES
                * (Math.min(2, blocks) * (starts.get(1) - starts.get(0)) + table + layout.numel() - layout.decayed());
    }

    /// What a pass writes, and what of it is on its way.
    private final class Buffer {
        private final Tensor values;
        private final List<World.Sending> sendings = new ArrayList<>();
        private Part sent = new Part(0, 0);

        Buffer(Device device, long n) {
            values = Scopes.keep(() -> Tensors.zeros(ScalarType.Float, device, n));
            buffers.add(this);
        }

        /// Sends its values to the ranks that keep them.
        void send(Part what) {
            sent = what;
            for (int rank = 0; rank < world.size(); rank++) {
                Part theirs = Part.of(numel, rank, world.size()).and(what);
                if (theirs.count() > 0) {
                    sendings.add(world.sumFor(rank, values.narrow(0, theirs.from() - what.from(), theirs.count())));
                }
            }
        }

        /// Waits until they are there, and keeps this rank's.
        void await() {
            sendings.forEach(World.Sending::await);
            sendings.clear();
            Part mine = part.and(sent);
            if (mine.count() > 0) {
                kept.narrow(0, mine.from() - part.from(), mine.count())
                        .add_(values.narrow(0, mine.from() - sent.from(), mine.count()));
            }
            sent = new Part(0, 0);
        }
    }

    /// This rank's part of the gradients: (part.count).
    Tensor kept() {
        return kept;
    }

    /// Where a pass writes some elements.
    Tensor at(long from, long n) {
        if (from >= decayed) {
            return rest.values.narrow(0, from - decayed, n);
        }
        Piece piece = pieces.stream()
                .filter(p -> p.of.from() <= from && from < p.of.to())
                .findFirst()
                .orElseThrow();
        return piece.buffer.values.narrow(0, from - piece.of.from(), n);
    }

    long bytes() {
        return kept.nbytes()
                + buffers.stream().mapToLong(b -> b.values.nbytes()).sum();
    }

    /// A step begins. A meeting.
    ///
    /// @param microBatches this rank's; every rank will make as many passes as the one that has most
    void start(int microBatches) {
        rounds = (int) World.max(world.exchange(microBatches), 0);
        passes = 0;
        quietly(() -> {
            kept.zero_();
            rest.values.zero_();
        });
    }

    /// A backward pass begins.
    void begin() {
        buffers.forEach(Buffer::await);
    }

    /// The head's gradient is whole, if it is not the embedding's too.
    void headDone() {
        if (headApart) {
            done();
        }
    }

    /// The next piece is whole: head, blocks from the last to the first, embedding.
    void done() {
        quietly(() -> {
            Piece piece = pieces.get(next);
            piece.buffer.send(piece.of);
            next = (next + 1) % pieces.size();
            if (next == 0) {
                passes++;
                return;
            }
            Piece after = pieces.get(next);
            after.buffer.await();
            if (after.added) {
                after.buffer.values.zero_();
            }
        });
    }

    /// A step ends: what others send and this rank has not is zero, and all that was sent is kept.
    void finish() {
        quietly(() -> {
            while (passes < rounds || next > 0) {
                if (next == 0) {
                    begin();
                }
                pieces.get(next).buffer.values.zero_();
                done();
            }
            rest.send(new Part(decayed, numel));
            begin();
        });
    }

    private static void quietly(Runnable work) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            work.run();
        }
    }

    @Override
    public void close() {
        Scopes.free(kept);
        buffers.forEach(buffer -> Scopes.free(buffer.values));
    }
}
