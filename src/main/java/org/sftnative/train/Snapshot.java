package org.sftnative.train;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.NoGradGuard;
import org.bytedeco.pytorch.Tensor;
import org.sftnative.model.Parameters;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Scopes;
import org.sftnative.tensor.Tensors;

/// A copy of weights and optimizer on the host, all of one moment: what a checkpoint is written from while training
/// goes on. Its memory is taken once, every page of it, and is as much as weights and optimizer state have.
final class Snapshot implements AutoCloseable {
    private final Optional<Parameters> weights;
    private final SequencedMap<String, Tensor> optimizer = new LinkedHashMap<>();

    /// @param state of the optimizer; empty where the weights alone are copied
    /// @param whole whether the weights are copied too
    Snapshot(Parameters live, Map<String, Tensor> state, boolean whole) {
        weights = whole ? Optional.of(new Parameters(live.layout(), live.dtype(), Devices.cpu())) : Optional.empty();
        state.forEach((name, tensor) -> optimizer.put(
                name, Scopes.keep(() -> Tensors.zeros(tensor.scalar_type(), Devices.cpu(), tensor.shape()))));
    }

    /// Copies what is live now. Where ranks share the weights out it is a meeting.
    void take(Parameters live, Map<String, Tensor> state) {
        try (PointerScope _ = new PointerScope();
                NoGradGuard _ = new NoGradGuard()) {
            live.copyTo(weights);
            optimizer.forEach((name, copy) -> copy.copy_(state.get(name)));
        }
    }

    Parameters weights() {
        return weights.orElseThrow();
    }

    Map<String, Tensor> optimizer() {
        return optimizer;
    }

    @Override
    public void close() {
        weights.ifPresent(Parameters::close);
        optimizer.values().forEach(Tensor::close);
    }
}
