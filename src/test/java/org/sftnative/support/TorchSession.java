package org.sftnative.support;

import org.junit.platform.launcher.LauncherSession;
import org.junit.platform.launcher.LauncherSessionListener;
import org.sftnative.tensor.Torch;

/// Loads libtorch as the program does, before any test touches a class of the presets. One thread: tests are small, and
/// their numbers must not depend on the machine.
public final class TorchSession implements LauncherSessionListener {
    @Override
    public void launcherSessionOpened(LauncherSession session) {
        Torch.start(1);
    }
}
