package org.sftnative.model;

import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;

/// The objective of supervised fine-tuning: the negative log-likelihood of the next token, summed over label rows.
public record CrossEntropy() implements LossFunction {
    private static final long SUM = 2;
    private static final long IGNORED = -100;

    @Override
    public Tensor sum(Tensor logits, Tensor targets) {
        return torch.cross_entropy_loss(logits, targets, new TensorOptional(), SUM, IGNORED, 0.0);
    }
}
