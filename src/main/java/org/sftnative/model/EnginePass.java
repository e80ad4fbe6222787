package org.sftnative.model;

import java.util.Optional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.sftnative.ops.Ops;
import org.sftnative.ops.Ops.Angles;
import org.sftnative.ops.Ops.AttentionState;
import org.sftnative.ops.Ops.Documents;
import org.sftnative.ops.Ops.Heads;
import org.sftnative.ops.Ops.Ids;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// One micro-batch through [LlamaEngine]'s blocks and back.
///
/// T tokens, N wanted rows, C hidden, H query heads, K kv heads, D head size, Q = H * D, R = K * D, F ffn.
final class EnginePass {
    private final LlamaConfig config;
    private final FusedWeights weights;
    private final Ops ops;
    private final Heads heads;
    private final int first;
    private final int last;
    private final boolean fresh;
    private final Documents documents;
    private final long tokens;
    private final Tensor wanted;
    private final Ids ids;
    private final Optional<Tensor> noise;
    private final Optional<AdapterDropout> dropout;
    private final Optional<AdapterDropout> wantedDropout;
    private final Angles angles;
    private final EngineBuffers b;
    private final EngineBuffers.Block[] blocks;
    private final AttentionState[] attention;
    private final Optional<RecordedPasses.Passes> recording;
    private Tensor wantedOut;
    private Tensor lastRows;
    private Tensor lastRstd;

    /// What is the same in every pass.
    ///
    /// @param first the lowest block of which something is trained, or 0
    record Model(LlamaConfig config, FusedWeights weights, Ops ops, int first) {}

    /// What a pass is for.
    ///
    /// @param wanted (N) the rows whose hidden state is asked for
    /// @param noise (T, C) added to the embeddings, while training
    /// @param dropout of adapters' inputs, while training
    /// @param fresh whether this is the first micro-batch of its step
    /// @param recorded where the pass may be recorded, or be a recording's
    record Purpose(
            Tensor wanted,
            Optional<Tensor> noise,
            Optional<AdapterDropout> dropout,
            boolean fresh,
            Optional<RecordedPasses> recorded) {
        /// Without a backward pass.
        static Purpose evaluation(Tensor wanted) {
            return new Purpose(wanted, Optional.empty(), Optional.empty(), false, Optional.empty());
        }
    }

    /// @param b with room for the batch
    EnginePass(Model model, EngineBuffers b, PackedBatch batch, Purpose purpose) {
        this.config = model.config;
        this.weights = model.weights;
        this.ops = model.ops;
        this.heads = new Heads(config.nHead(), config.nKvHead(), config.headDim());
        this.first = model.first;
        this.last = config.nLayer() - 1;
        this.fresh = purpose.fresh;
        this.tokens = batch.tokens();
        this.wanted = purpose.wanted;
        this.noise = purpose.noise;
        this.dropout = purpose.dropout;
        this.wantedDropout = dropout.map(d -> d.rows(wanted));
        this.b = b;
        RecordedPasses.Inputs now = RecordedPasses.inputs(config, batch);
        this.recording = purpose.recorded.flatMap(r -> r.of(now, fresh));
        RecordedPasses.Inputs in = recording.map(RecordedPasses.Passes::inputs).orElse(now);
        this.ids = in.ids();
        this.documents = in.documents();
        this.angles = in.angles();
        this.attention = new AttentionState[config.nLayer()];
        this.blocks = new EngineBuffers.Block[config.nLayer()];
        for (int i = 0; i < blocks.length; i++) {
            blocks[i] = b.block(i).rows(tokens);
        }
    }

    /// Queues work, or the recording of it.
    private void queue(String name, Runnable work) {
        recording.ifPresentOrElse(r -> r.run(name, work), work);
    }

    /// @param trains whether [#backward] follows
    /// @return the wanted rows after the last norm: (N, C)
    Tensor forward(boolean trains) {
        b.inputs().begin(trains);
        queue("forward", this::upToLastMlp);
        Tensor normed = lastMlp();
        weights.done();
        return normed;
    }

    private void upToLastMlp() {
        EngineBuffers.Block first = blocks[0];
        weights.begin();
        ops.embedding(ids, weights.embedding, first.x());
        noise.ifPresent(n -> first.x().add_(n));
        weights.done();
        for (int i = 0; i <= last; i++) {
            FusedWeights.Block w = weights.blocks.get(i);
            EngineBuffers.Block s = blocks[i];
            b.inputs().await(i);
            if (i == 0) {
                ops.rmsNorm(s.x(), w.norm1(), config.rmsNormEps(), s.normed1(), s.rstd1());
            } else {
                EngineBuffers.Block before = blocks[i - 1];
                ops.addRmsNorm(
                        before.h(), branch(tokens), w.norm1(), config.rmsNormEps(), s.x(), s.normed1(), s.rstd1());
            }
            b.inputs().written(i, s.x());
            attend(i, w, s);
            if (i < last) {
                feedForward(w, s, s.x(), s.out(), dropout);
                weights.done();
            }
        }
    }

    /// The last block after its attention, and the last norm, on wanted rows only.
    private Tensor lastMlp() {
        long n = wanted.size(0);
        EngineBuffers.Block s = b.block(last).rows(n);
        Tensor x = blocks[last].x().index_select(0, wanted);
        wantedOut = blocks[last].out().index_select(0, wanted);
        feedForward(weights.blocks.get(last), s, x, wantedOut, wantedDropout);
        lastRows = x; // its memory now holds the residual stream's end
        lastRstd = Tensors.empty(ScalarType.Float, x.device(), n, 1);
        Tensor normed = Tensors.empty(x.scalar_type(), x.device(), n, config.hiddenSize());
        ops.addRmsNorm(s.h(), branch(n), weights.norm, config.rmsNormEps(), lastRows, normed, lastRstd);
        return normed;
    }

    private void attend(int layer, FusedWeights.Block w, EngineBuffers.Block s) {
        rotated(w, s);
        attention[layer] = ops.attention(heads(s.qkv()), heads, documents, query(s.out()));
    }

    private void rotated(FusedWeights.Block w, EngineBuffers.Block s) {
        w.qkv().forward(s.normed1(), s.qkv(), dropout);
        ops.rope(heads(s.qkv()), w.qkvBias(), angles, heads);
    }

    /// From attention's output to what the MLP adds: x + out @ Wo -> h, then the branch.
    private void feedForward(
            FusedWeights.Block w, EngineBuffers.Block s, Tensor x, Tensor out, Optional<AdapterDropout> dropout) {
        Tensor branch = branch(x.size(0));
        beforeMlp(w, s, x, out, branch, dropout);
        ops.swiglu(s.gateUp(), s.act());
        w.down().forward(s.act(), branch, dropout);
        w.downBias().ifPresent(branch::add_);
    }

    private void beforeMlp(
            FusedWeights.Block w,
            EngineBuffers.Block s,
            Tensor x,
            Tensor out,
            Tensor branch,
            Optional<AdapterDropout> dropout) {
        w.out().forward(out, branch, dropout);
        w.outBias().ifPresent(branch::add_);
        ops.addRmsNorm(x, branch, w.norm2(), config.rmsNormEps(), s.h(), s.normed2(), s.rstd2());
        w.gateUp().forward(s.normed2(), s.gateUp(), dropout);
        w.gateUpBias().ifPresent(bias -> s.gateUp().add_(bias));
    }

    /// From the gradient of `forward`'s result, in dNormed, to the gradients of all weights.
    void backward() {
        Tensor d = lastMlpBackward();
        queue("backward", () -> fromLastAttention(d));
        weights.dEmbedding.ifPresent(e -> ops.embeddingBackward(d, ids, e));
        weights.done();
    }

    private void fromLastAttention(Tensor d) {
        for (int i = last; i >= first; i--) {
            FusedWeights.Block w = weights.blocks.get(i);
            EngineBuffers.Block s = blocks[i];
            int layer = i;
            b.inputs().await(i);
            Scopes.run(() -> {
                if (layer < last) {
                    again(layer, w, s);
                    feedForwardBackward(w, s, d, s.out(), b.dOut().narrow(0, 0, tokens), dropout);
                }
                attendBackward(layer, w, s, d);
            });
            b.inputs().done(i, s.x());
            weights.done();
        }
    }

    /// @return the gradient of the last block's input so far: (T, C), zero where nothing is wanted
    private Tensor lastMlpBackward() {
        long n = wanted.size(0);
        FusedWeights.Block w = weights.blocks.get(last);
        EngineBuffers.Block s = b.block(last).rows(n);
        Tensor rows = torch.zeros_like(lastRows);
        ops.rmsNormBackward(b.dNormed().narrow(0, 0, n), lastRows, weights.norm, lastRstd, rows, weights.dNorm);
        Tensor dOutRows = torch.empty_like(wantedOut);
        feedForwardBackward(w, s, rows, wantedOut, dOutRows, wantedDropout);
        b.dOut().narrow(0, 0, tokens).zero_().index_copy_(0, wanted, dOutRows);
        return b.gradient().narrow(0, 0, tokens).zero_().index_copy_(0, wanted, rows);
    }

    /// Computes again what the block did not keep, up to gate and up.
    private void again(int layer, FusedWeights.Block w, EngineBuffers.Block s) {
        switch (s.policy()) {
            case NONE -> {}
            case SELECTIVE -> ops.rmsNormAgain(s.h(), w.norm2(), s.rstd2(), s.normed2());
            case FULL, FULL_KEEP_ATTENTION, OFFLOAD -> {
                ops.rmsNormAgain(s.x(), w.norm1(), s.rstd1(), s.normed1());
                rotated(w, s);
                if (s.policy() != Recompute.FULL_KEEP_ATTENTION) {
                    attention[layer] = ops.attention(heads(s.qkv()), heads, documents, query(s.out()));
                }
                beforeMlp(w, s, s.x(), s.out(), branch(tokens), dropout);
            }
        }
    }

    /// @param d (n, C) gradient of the block's output; becomes that of x + attention
    /// @param dOut (n, Q), written
    private void feedForwardBackward(
            FusedWeights.Block w,
            EngineBuffers.Block s,
            Tensor d,
            Tensor out,
            Tensor dOut,
            Optional<AdapterDropout> dropout) {
        long n = d.size(0);
        Tensor dAct = b.dAct().narrow(0, 0, n);
        Tensor dNormed = b.dNormed().narrow(0, 0, n);
        Product.Flow down = w.down().inputGradient(d, dAct, dropout);
        ops.swigluBackward(dAct, s.gateUp(), s.act());
        w.down().weightGradient(d, s.act(), down, fresh, dropout);
        Product.Flow gateUp = w.gateUp().inputGradient(s.gateUp(), dNormed, dropout);
        w.gateUp().weightGradient(s.gateUp(), s.normed2(), gateUp, fresh, dropout);
        ops.rmsNormBackward(dNormed, s.h(), w.norm2(), s.rstd2(), d, w.dNorm2());
        Product.Flow o = w.out().inputGradient(d, dOut, dropout);
        w.out().weightGradient(d, out, o, fresh, dropout);
    }

    private void attendBackward(int layer, FusedWeights.Block w, EngineBuffers.Block s, Tensor d) {
        Tensor dQkv = b.dQkv().narrow(0, 0, tokens);
        ops.attentionBackward(
                query(b.dOut().narrow(0, 0, tokens)),
                heads(s.qkv()),
                query(s.out()),
                attention[layer],
                angles,
                heads,
                documents,
                heads(dQkv));
        if (s.policy() == Recompute.SELECTIVE) {
            ops.rmsNormAgain(s.x(), w.norm1(), s.rstd1(), s.normed1());
        }
        Tensor dNormed = b.dNormed().narrow(0, 0, tokens);
        if (weights.nothingTrainedBelow(layer) && !w.trainsNorm1()) {
            w.qkv().weightGradient(dQkv, s.normed1(), w.qkv().noInputGradient(dQkv), fresh, dropout);
            return;
        }
        Product.Flow flow = w.qkv().inputGradient(dQkv, dNormed, dropout);
        w.qkv().weightGradient(dQkv, s.normed1(), flow, fresh, dropout);
        ops.rmsNormBackward(dNormed, s.x(), w.norm1(), s.rstd1(), d, w.dNorm1());
    }

    private Tensor branch(long n) {
        return b.branch().narrow(0, 0, n);
    }

    private Tensor heads(Tensor qkv) {
        return qkv.view(tokens, heads.all(), heads.size());
    }

    private Tensor query(Tensor out) {
        return out.view(tokens, heads.query(), heads.size());
    }
}
