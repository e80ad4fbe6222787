package org.sftnative.cli;

import java.io.PrintStream;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.IntConsumer;
import org.sftnative.InputException;
import org.sftnative.config.DistSettings;
import org.sftnative.dist.Fault;
import org.sftnative.dist.Place;
import org.sftnative.dist.Rendezvous;
import org.sftnative.dist.World;
import org.sftnative.tensor.NativeOutput;

/// This process as one rank of several, where the environment says so. Of those, rank 0 speaks, and
/// tells what ended all.
///
/// @param halt ends the process at once; without it, this process is alone whatever the environment
///     says
record AsRank(PrintStream err, Optional<IntConsumer> halt) {
    /// What a rank does.
    interface Task {
        /// @return the exit status
        int run(World world) throws Exception;
    }

    /// @return the exit status
    int run(DistSettings settings, Task task) throws Exception {
        Optional<Place> found = halt.flatMap(_ -> Place.of(System.getenv()));
        if (found.isEmpty()) {
            return task.run(World.ALONE);
        }
        Place place = found.get();
        // Gloo tells standard output that it is connected
        AtomicBoolean ending = new AtomicBoolean();
        World world = NativeOutput.muted(() -> Rendezvous.join(place, settings, fault -> end(place, fault, ending)));
        try {
            world.agree("version", Map.of("program", Version.ofThisBuild().toString()));
            int status = task.run(world);
            world.close();
            return status;
        } catch (Exception | Error e) {
            ending.set(true);
            if (world.failed(e.getMessage() == null ? e.toString() : e.getMessage())) {
                throw e;
            }
            return e instanceof InputException ? CommandLineProgram.BAD_INPUT : CommandLineProgram.FAILED;
        }
    }

    /// Another rank is lost, and this one waits for it where nothing can wake it.
    ///
    /// @param ending whether it is about to end by itself, after all
    private void end(Place place, Fault fault, AtomicBoolean ending) {
        if (ending.get()) {
            sleep();
        } else if (place.rank() == 0 || !fault.led()) {
            err.println("error: " + fault);
            err.flush();
        }
        halt.orElseThrow().accept(CommandLineProgram.FAILED);
    }

    private static void sleep() {
        try {
            Thread.sleep(1000);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
