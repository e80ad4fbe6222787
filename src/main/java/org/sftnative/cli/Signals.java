package org.sftnative.cli;

import java.util.function.IntConsumer;
import sun.misc.Signal;

/// SIGTERM and SIGINT of a run, a study or a server: the first asks it to finish what it does and end; the second ends
/// the
/// process at once.
final class Signals {
    private volatile int received;

    /// From here on, signals ask and no longer kill.
    ///
    /// @param stop what the first does, told its number
    /// @param halt ends the process with a status, at once
    Signals(IntConsumer stop, IntConsumer halt) {
        for (String name : new String[] {"TERM", "INT"}) {
            Signal.handle(new Signal(name), signal -> {
                if (received != 0) {
                    halt.accept(128 + signal.getNumber());
                }
                received = signal.getNumber();
                stop.accept(received);
            });
        }
    }

    /// The exit status of a run that was stopped: 128 and the signal's number, as a shell has it.
    int status(int otherwise) {
        return received == 0 ? otherwise : 128 + received;
    }
}
