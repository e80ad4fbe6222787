package org.sftnative;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;

import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.net.DatagramSocket;
import java.net.ServerSocket;
import java.nio.channels.AsynchronousServerSocketChannel;
import java.nio.channels.DatagramChannel;
import java.nio.channels.ServerSocketChannel;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Assertions;
import org.junit.jupiter.api.Test;

/// Which room may import which. Every room may use the JDK, libraries, itself, and `org.sftnative.InputException`.
class ArchitectureTest {
    private static final Map<String, Set<String>> MAY_IMPORT = new TreeMap<>(Map.ofEntries(
            Map.entry("config", Set.of()),
            Map.entry("metrics", Set.of()),
            Map.entry("tensor", Set.of()),
            Map.entry("io", Set.of("tensor")),
            Map.entry("kernels", Set.of("tensor")),
            Map.entry("ops", Set.of("tensor", "kernels")),
            Map.entry("dist", Set.of("tensor", "config")),
            Map.entry("template", Set.of()),
            Map.entry("data", Set.of("config", "tensor", "io", "template")),
            Map.entry("model", Set.of("config", "tensor", "io", "ops", "dist")),
            Map.entry("optim", Set.of("config", "tensor", "ops", "dist")),
            Map.entry("generate", Set.of("config", "tensor", "io", "data", "template", "model")),
            Map.entry(
                    "train",
                    Set.of(
                            "config",
                            "metrics",
                            "tensor",
                            "io",
                            "ops",
                            "dist",
                            "template",
                            "data",
                            "model",
                            "optim",
                            "generate")),
            Map.entry("web", Set.of("config", "metrics", "template", "generate")),
            Map.entry("tune", Set.of("config", "io", "metrics")),
            Map.entry(
                    "cli",
                    Set.of(
                            "config",
                            "metrics",
                            "tensor",
                            "io",
                            "kernels",
                            "ops",
                            "dist",
                            "template",
                            "data",
                            "model",
                            "optim",
                            "generate",
                            "train",
                            "web",
                            "tune"))));

    /// Read once: it takes seconds.
    private static final JavaClasses PROGRAM = new ClassFileImporter()
            .withImportOption(ImportOption.Predefined.DO_NOT_INCLUDE_TESTS)
            .importPackages("org.sftnative");

    @Test
    void noRoomImportsAgainstTheTable() {
        List<String> wrong = new ArrayList<>();
        for (JavaClass from : PROGRAM) {
            for (var dependency : from.getDirectDependenciesFromSelf()) {
                String source = room(from);
                String target = room(dependency.getTargetClass());
                if (target.isEmpty()
                        || target.equals(source)
                        || MAY_IMPORT.getOrDefault(source, Set.of()).contains(target)) {
                    continue;
                }
                wrong.add(source + " -> " + target + ": " + dependency.getDescription());
            }
        }
        Assertions.assertTrue(wrong.isEmpty(), () -> String.join("\n", wrong));
    }

    @Test
    void everyClassLivesInARoomOfTheTable() {
        Set<String> unknown = PROGRAM.stream()
                .map(ArchitectureTest::room)
                .filter(room -> !room.isEmpty() && !MAY_IMPORT.containsKey(room))
                .collect(Collectors.toSet());
        Assertions.assertEquals(Set.of(), unknown);
        classes()
                .that()
                .resideInAPackage("org.sftnative")
                .should()
                .haveSimpleName("InputException")
                .orShould()
                .haveSimpleName("package-info")
                .check(PROGRAM);
    }

    @Test
    void onlyMainExits() {
        noClasses()
                .that()
                .doNotHaveFullyQualifiedName("org.sftnative.cli.Main")
                .should()
                .callMethod(System.class, "exit", int.class)
                .orShould()
                .callMethod(Runtime.class, "halt", int.class)
                .check(PROGRAM);
    }

    /// Nothing listens on the network but what a user starts to be reached: pages, and the ranks of a run.
    @Test
    void onlyWebAndDistListen() {
        noClasses()
                .that()
                .resideOutsideOfPackages("org.sftnative.web..", "org.sftnative.dist..")
                .should()
                .dependOnClassesThat()
                .belongToAnyOf(
                        ServerSocket.class,
                        ServerSocketChannel.class,
                        AsynchronousServerSocketChannel.class,
                        DatagramSocket.class,
                        DatagramChannel.class)
                .orShould()
                .dependOnClassesThat()
                .resideInAnyPackage("com.sun.net.httpserver..", "java.rmi..", "javax.management.remote..")
                .check(PROGRAM);
    }

    /// The room of a class of this program; empty for the root package and for everything that is not ours.
    private static String room(JavaClass c) {
        String name = c.getBaseComponentType().getPackageName();
        return name.startsWith("org.sftnative.")
                ? name.substring("org.sftnative.".length()).split("\\.")[0]
                : "";
    }
}
