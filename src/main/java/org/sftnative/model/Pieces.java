package org.sftnative.model;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.dist.Part;
import org.sftnative.dist.World;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// The pieces of a model's flat layout that ranks exchange at a time, each with the buffer that it passes
/// through: blocks take turns in two, embedding and head in a third. Norms and biases, which are small, have
/// one to themselves.
final class Pieces implements AutoCloseable {
    private static final Part NOTHING = new Part(0, 0);

    /// Neighbours in the layout.
    record Piece(Part of, Buffer buffer) {
        /// Some of its elements.
        Tensor values(Part some) {
            return buffer.values.narrow(0, some.from() - of.from(), some.count());
        }

        Tensor values() {
            return values(of);
        }
    }

    /// Memory for one piece at a time, and what of it is on its way.
    static final class Buffer {
        private final Tensor values;
        private final List<World.Sending> sendings = new ArrayList<>();
        private Part holds = NOTHING;

        private Buffer(ScalarType type, Device device, long n) {
            values = Scopes.keep(() -> Tensors.zeros(type, device, n));
        }

        Part holds() {
            return holds;
        }

        void hold(Part part) {
            holds = part;
        }

        void add(World.Sending sending) {
            sendings.add(sending);
        }

        /// Waits for what is on its way.
        void await() {
            sendings.forEach(World.Sending::await);
            sendings.clear();
        }

        /// Says that what it holds is of no use any more.
        void forget() {
            holds = NOTHING;
        }
    }

    private final List<Buffer> buffers;
    private final Piece embedding;
    private final List<Piece> blocks = new ArrayList<>();
    private final Piece head;
    private final Piece rest;

    Pieces(ParameterLayout layout, ScalarType type, Device device) {
        Division d = Division.of(layout);
        buffers = d.buffers().stream().map(n -> new Buffer(type, device, n)).toList();
        embedding = new Piece(d.embedding, buffers.get(2));
        for (int i = 0; i < d.blocks.size(); i++) {
            blocks.add(new Piece(d.blocks.get(i), buffers.get(i % 2)));
        }
        head = d.head.count() == 0 ? embedding : new Piece(d.head, buffers.get(2));
        rest = new Piece(d.rest, buffers.get(3));
    }

    /// Elements of all buffers.
    ///
    /// @param layout of a model that is trained itself
    static long elements(ParameterLayout layout) {
        return Division.of(layout).buffers().stream().mapToLong(n -> n).sum();
    }

    /// The layout cut up.
    ///
    /// @param head of no elements, where it is the embedding
    private record Division(Part embedding, List<Part> blocks, Part head, Part rest) {
        static Division of(ParameterLayout layout) {
            List<Long> starts = layout.slots().values().stream()
                    .filter(slot -> slot.name().endsWith("q_proj.weight"))
                    .map(ParameterLayout.Slot::offset)
                    .toList();
            long decayed = layout.decayed();
            ParameterLayout.Slot head = layout.slots().get("lm_head.weight");
            long end = head == null ? decayed : head.offset();
            List<Part> blocks = new ArrayList<>();
            for (int i = 0; i < starts.size(); i++) {
                blocks.add(new Part(starts.get(i), i + 1 < starts.size() ? starts.get(i + 1) : end));
            }
            return new Division(
                    new Part(0, starts.getFirst()), blocks, new Part(end, decayed), new Part(decayed, layout.numel()));
        }

        /// Elements of each buffer: two for blocks, one for embedding and head, one for the rest.
        List<Long> buffers() {
            long block = blocks.getFirst().count(); // all have as many
            return List.of(
                    block, blocks.size() > 1 ? block : 0, Math.max(embedding.count(), head.count()), rest.count());
        }
    }

    Piece embedding() {
        return embedding;
    }

    Piece block(int i) {
        return blocks.get(i);
    }

    int blocks() {
        return blocks.size();
    }

    /// The embedding, where they are tied.
    Piece head() {
        return head;
    }

    /// Norms and biases.
    Piece rest() {
        return rest;
    }

    List<Buffer> buffers() {
        return buffers;
    }

    /// Where some elements are, while their buffer has their piece.
    Tensor at(long from, long n) {
        return Stream.concat(blocks.stream(), Stream.of(embedding, head, rest))
                .filter(piece -> piece.of.from() <= from && from < piece.of.to())
                .findFirst()
                .orElseThrow()
                .values(new Part(from, from + n));
    }

    long bytes() {
        return buffers.stream().mapToLong(buffer -> buffer.values.nbytes()).sum();
    }

    @Override
    public void close() {
        buffers.forEach(buffer -> Scopes.free(buffer.values));
    }
}
