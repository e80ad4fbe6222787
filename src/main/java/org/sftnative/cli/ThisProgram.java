package org.sftnative.cli;

import java.io.File;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/// This program's command line, to be started again: by the same Java with the same flags and class
/// path or jar.
final class ThisProgram {
    private ThisProgram() {}

    /// A trial of a study.
    static List<String> trial(Path settings) {
        return command(List.of("train", "--config", settings.toString()));
    }

    static List<String> command(List<String> arguments) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                .filter(flag -> !flag.matches("-agentlib:jdwp.*|-Xrunjdwp.*")) // one debugger's port serves one JVM
                .forEach(command::add);
        String classPath = System.getProperty("java.class.path");
        if (System.getProperty("sun.java.command", "").startsWith(classPath)) { // java -jar
            // its manifest gives access to native code
            command.addAll(List.of("-jar", Path.of(classPath).toAbsolutePath().toString()));
        } else {
            command.addAll(List.of("-cp", absolute(classPath), Main.class.getName()));
        }
        command.addAll(arguments);
        return command;
    }

    /// It may run in another directory.
    private static String absolute(String classPath) {
        List<String> entries = new ArrayList<>();
        for (String entry : classPath.split(File.pathSeparator)) {
            entries.add(Path.of(entry).toAbsolutePath().toString());
        }
        return String.join(File.pathSeparator, entries);
    }
}
