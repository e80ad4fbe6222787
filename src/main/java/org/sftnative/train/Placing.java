package org.sftnative.train;

import org.sftnative.InputException;
import org.sftnative.config.ModelSettings;
import org.sftnative.dist.World;
import org.sftnative.tensor.Devices;

/// Where the ranks of one machine compute: a card each, or as many CPU threads each as make one for
/// each core.
public final class Placing {
    private Placing() {}

    /// @throws InputException if the machine has too few cards
    static ModelSettings of(ModelSettings model, World world) {
        if (world.localSize() == 1) {
            return model;
        }
        int cores = Runtime.getRuntime().availableProcessors();
        int threads = model.threads() > 0 ? model.threads() : Math.max(1, cores / world.localSize());
        return model.on(device(model.device(), world), threads);
    }

    /// @param wanted as a setting has it
    /// @throws InputException if the machine has too few cards
    public static String device(String wanted, World world) {
        if (world.localSize() == 1) {
            return wanted;
        }
        if (wanted.startsWith("cuda:")) {
            throw new InputException("device '" + wanted + "' is one card, and " + world.localSize()
                    + " ranks are on this machine\n  use --device cuda: each rank takes the card of its number");
        }
        int cards = Devices.cards();
        if (wanted.equals("cpu") || wanted.equals("auto") && cards == 0) {
            return "cpu";
        }
        if (cards == 1) {
            return "cuda:0"; // a launcher may show each rank its own card only
        }
        if (world.localRank() >= cards) {
            throw new InputException("rank " + world.rank() + " is number " + world.localRank()
                    + " of its machine, where libtorch sees " + cards
                    + " CUDA devices\n  start as many ranks a machine as it has cards");
        }
        return "cuda:" + world.localRank();
    }
}
