package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.Function;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.dist.Part;
import org.sftnative.dist.World;
import org.sftnative.model.Pieces.Buffer;
import org.sftnative.model.Pieces.Piece;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// What ranks share out of a model: of one that they train each keeps the sum, over micro-batches and ranks,
/// of its [Part] of the gradients; and, if they share out weights, its part of these and no more. Of a frozen
/// one they share out weights alone.
///
/// A pass is a sequence of stages, and all ranks exchange the same pieces between the same stages. What a
/// stage computes with is fetched, from the ranks that keep it, while the one before computes; gradients
/// that are whole are sent to the ranks that keep them while the pass goes on. They are written in fp32;
/// those of norms and biases add up here, and are sent once a step. A rank with fewer passes than another,
/// or whose pass broke off, goes through the stages without computing, and sends zeros: [#finish].
final class Shard implements AutoCloseable {
    /// @param reads weights that it computes with
    /// @param sends gradients that are whole at its end
    /// @param adds whether it adds to their buffer, which must be zero then; else it writes all of it
    private record Stage(List<Piece> reads, Optional<Piece> sends, boolean adds) {}

    private final World world;
    private final long numel;
    private final Part part;
    private final Tensor keptWeights;
    private final Optional<Tensor> keptGradients;
    private final Optional<Pieces> weights;
    private final Optional<Pieces> gradients;
    private final List<Stage> stages = new ArrayList<>(); // embedding, blocks, head; blocks, embedding
    private int forward; // how many are left without the backward pass
    private boolean training;
    private int next;
    private int passes;
    private int rounds;

    /// @param parameters whose weights are shared out, or gradients, or both
    /// @param trained whether gradients are
    Shard(Parameters parameters, World world, boolean trained) {
        ParameterLayout layout = parameters.layout();
        ScalarType type = parameters.dtype().scalarType();
        this.world = world;
        this.numel = layout.numel();
        this.part = Part.of(numel, world.rank(), world.size());
        this.keptWeights = parameters.keptWeights();
        this.keptGradients = trained
                ? Optional.of(Scopes.keep(() -> Tensors.zeros(type, parameters.device(), part.count())))
                : Optional.empty();
        this.weights =
                parameters.shared() ? Optional.of(new Pieces(layout, type, parameters.device())) : Optional.empty();
        this.gradients =
                trained ? Optional.of(new Pieces(layout, ScalarType.Float, parameters.device())) : Optional.empty();
        backwardTo(0);
    }

    /// Says where backward passes end: at the lowest block of which, or below which, something is trained.
    /// Before the first pass.
    void backwardTo(int first) {
        Pieces pieces = gradients.or(() -> weights).orElseThrow();
        boolean tied = pieces.head() == pieces.embedding();
        int blocks = pieces.blocks();
        stages.clear();
        stages.add(new Stage(
                weights.map(w -> List.of(w.embedding(), w.rest())).orElse(List.of()), Optional.empty(), false));
        for (int i = 0; i < blocks; i++) {
            stages.add(new Stage(reads(block(i)), Optional.empty(), false));
        }
        stages.add(new Stage(reads(Pieces::head), tied ? Optional.empty() : gradients.map(Pieces::head), false));
        forward = stages.size();
        for (int i = blocks - 1; i >= first; i--) {
            stages.add(new Stage(reads(block(i)), gradients.map(block(i)), false));
        }
        stages.add(new Stage(List.of(), gradients.map(Pieces::embedding), !tied));
    }

    private static Function<Pieces, Piece> block(int i) {
        return pieces -> pieces.block(i);
    }

    private List<Piece> reads(Function<Pieces, Piece> piece) {
        return weights.map(piece).stream().toList();
    }

    /// Whether gradients are shared out: then each pass writes its own, and they are sent.
    boolean sharesGradients() {
        return gradients.isPresent();
    }

    /// This rank's part of the gradients, if they are shared out: (part.count).
    Optional<Tensor> keptGradients() {
        return keptGradients;
    }

    /// Where a pass writes the gradients of some elements, if they are shared out.
    Optional<Tensor> gradients(long from, long n) {
        return gradients.map(g -> g.at(from, n));
    }

    /// Where a pass reads some weights, if they are shared out.
    Optional<Tensor> weights(long from, long n) {
        return weights.map(w -> w.at(from, n));
    }

    long gradientBytes() {
        return keptGradients.map(Tensor::nbytes).orElse(0L)
                + gradients.map(Pieces::bytes).orElse(0L);
    }

    /// Bytes of what passes read weights from, beside those that are kept.
    long weightBytes() {
        return weights.map(Pieces::bytes).orElse(0L);
    }

    /// A step begins. A meeting.
    ///
    /// @param microBatches this rank's; every rank will make as many passes as the one that has most
    void start(int microBatches) {
        start(microBatches, true);
        quietly(() -> {
            keptGradients.ifPresent(Tensor::zero_);
            gradients.ifPresent(g -> g.rest().values().zero_());
        });
    }

    /// Passes without gradients are to come. A meeting.
    ///
    /// @return whether there will be any
    boolean startScoring(int microBatches) {
        start(microBatches, false);
        return rounds > 0;
    }

    private void start(int microBatches, boolean training) {
        rounds = (int) World.max(world.exchange(microBatches), 0);
        passes = 0;
        this.training = training;
        if (sharesGradients()) {
            weights.ifPresent(w -> w.buffers().forEach(Buffer::forget)); // they may have been updated
        }
    }

    /// A pass begins.
    void begin() {
        quietly(this::prepare);
    }

    /// A stage of the pass is done.
    void done() {
        quietly(() -> {
            if (training) {
                stages.get(next).sends.ifPresent(this::send);
            }
            next = (next + 1) % stages();
            if (next > 0) {
                prepare();
            } else {
                passes++;
            }
        });
    }

    private int stages() {
        return training ? stages.size() : forward;
    }

    /// What the next stage reads is there, and what the one after it reads is on its way; what the next stage
    /// writes to is free.
    private void prepare() {
        Stage stage = stages.get(next);
        stage.reads.forEach(this::fetch);
        stage.reads.forEach(piece -> piece.buffer().await());
        if (next + 1 < stages()) {
            stages.get(next + 1).reads.forEach(this::fetch); // never into the buffer that this stage reads
        }
        if (!training) {
            return;
        }
        if (next == forward && passes + 1 < rounds) {
            stages.getFirst().reads.forEach(this::fetch); // of the next pass: the head has been read
        }
        if (next == forward - 1) {
            gradients.ifPresent(g -> g.buffers().forEach(this::keep)); // what the pass before sent
        }
        stage.sends.ifPresent(piece -> {
            keep(piece.buffer());
            if (stage.adds) {
                piece.values().zero_();
            }
        });
    }

    /// Begins to take a piece of the weights from the ranks that keep it, unless it is there.
    private void fetch(Piece piece) {
        if (!piece.buffer().holds().equals(piece.of())) {
            exchange(piece, (rank, values, some) -> {
                if (rank == world.rank()) {
                    values.copy_(mine(keptWeights, some));
                }
                return world.copyFrom(rank, values);
            });
        }
    }

    /// Begins to send a piece of the gradients to the ranks that keep it.
    private void send(Piece piece) {
        exchange(piece, (rank, values, _) -> world.sumFor(rank, values));
    }

    private interface Exchange {
        World.Sending begin(int rank, Tensor values, Part some);
    }

    /// With each rank that keeps some of a piece.
    private void exchange(Piece piece, Exchange exchange) {
        piece.buffer().forget(); // should it fail on the way, it has nothing whole
        for (int rank = 0; rank < world.size(); rank++) {
            Part theirs = Part.of(numel, rank, world.size()).and(piece.of());
            if (theirs.count() > 0) {
                piece.buffer().add(exchange.begin(rank, piece.values(theirs), theirs));
            }
        }
        piece.buffer().hold(piece.of());
    }

    /// Waits until what a buffer of gradients holds is sent, and keeps this rank's.
    private void keep(Buffer buffer) {
        buffer.await();
        Part mine = part.and(buffer.holds());
        if (mine.count() > 0) {
            mine(keptGradients.orElseThrow(), mine).add_(new Piece(buffer.holds(), buffer).values(mine));
        }
        buffer.forget();
    }

    private Tensor mine(Tensor kept, Part some) {
        return kept.narrow(0, some.from() - part.from(), some.count());
    }

    /// A step, or passes without gradients, end: the stages that others have and this rank has not are gone
    /// through; what it sends then is zero. All that was sent is kept.
    void finish() {
        quietly(() -> {
            while (passes < rounds || next > 0) {
                if (next == 0) {
                    prepare();
                }
                if (training) {
                    stages.get(next).sends.ifPresent(piece -> piece.values().zero_());
                }
                done();
            }
            if (training) {
                gradients.ifPresent(g -> {
                    send(g.rest());
                    g.buffers().forEach(this::keep);
                });
            }
        });
    }

    /// Copies the weights, whole, for a rank that wants them. A meeting.
    ///
    /// @param target (numel), on any device
    void copyTo(Optional<Tensor> target) {
        startScoring(1);
        quietly(() -> {
            prepare();
            do {
                stages.get(next)
                        .reads
                        .forEach(piece -> target.ifPresent(flat -> flat.narrow(
                                        0, piece.of().from(), piece.of().count())
                                .copy_(piece.values())));
                done();
            } while (next > 0);
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
        keptGradients.ifPresent(Scopes::free);
        gradients.ifPresent(Pieces::close);
        weights.ifPresent(Pieces::close);
    }
}
