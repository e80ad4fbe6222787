package org.sftnative.tune.study;

import java.io.IOException;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Instant;
import java.util.Optional;

/// Names of workers: host, machine, process, and when the process began. A worker on the same machine can tell that
/// another is dead, and need not wait for its lease to end.
final class Workers {
    private static final String MACHINE = machine();
    private static final String SELF = host() + " " + MACHINE + " " + describe(ProcessHandle.current());

    private Workers() {}

    static String self() {
        return SELF;
    }

    /// Whether the worker of this name is dead for certain: its machine is this one, and it has no such process.
    static boolean dead(String worker) {
        String[] words = worker.split(" ");
        if (words.length != 4 || worker.equals(SELF) || !words[1].equals(MACHINE)) {
            return false;
        }
        Optional<ProcessHandle> process = ProcessHandle.of(Long.parseLong(words[2]));
        return process.filter(ProcessHandle::isAlive)
                .filter(p -> describe(p).equals(words[2] + " " + words[3]))
                .isEmpty();
    }

    private static String describe(ProcessHandle process) {
        return process.pid() + " "
                + process.info().startInstant().map(Instant::toEpochMilli).orElse(0L);
    }

    /// The boot and the space of process numbers: equal only where process numbers mean the same.
    private static String machine() {
        try {
            String boot =
                    Files.readString(Path.of("/proc/sys/kernel/random/boot_id")).strip();
            String space = Files.readSymbolicLink(Path.of("/proc/self/ns/pid")).toString();
            return boot + "/" + space.replaceAll("\\D", "");
        } catch (IOException e) {
            return "unknown-" + ProcessHandle.current().pid();
        }
    }

    private static String host() {
        try {
            return InetAddress.getLocalHost().getHostName().replace(' ', '_');
        } catch (UnknownHostException e) {
            return "localhost";
        }
    }
}
