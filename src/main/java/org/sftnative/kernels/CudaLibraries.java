package org.sftnative.kernels;

import java.io.File;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.SymbolLookup;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/// Where CUDA's libraries lie on a machine. They are opened once and stay open: closing a CUDA library is not safe.
final class CudaLibraries {
    /// A folder, or several with `:` between, looked in first.
    static final String FOLDERS_PROPERTY = "sft.cuda.lib";

    private static final List<String> NVRTC_NAMES = List.of("libnvrtc.so.13", "libnvrtc.so.12");
    private static final String DRIVER_NAME = "libcuda.so.1";

    private CudaLibraries() {}

    /// The driver's library: it comes with the driver and is found by the loader.
    static Optional<SymbolLookup> driver() {
        return open(List.of(DRIVER_NAME), List.of());
    }

    /// NVRTC: the property, the loader's path, CUDA_HOME, /usr/local/cuda, pip's and conda's folders, and what JavaCPP
    /// has extracted.
    static Optional<SymbolLookup> nvrtc() {
        return open(NVRTC_NAMES, folders());
    }

    private static Optional<SymbolLookup> open(List<String> names, List<Path> folders) {
        List<Path> named = new ArrayList<>();
        String property = System.getProperty(FOLDERS_PROPERTY, "");
        for (String folder : property.split(File.pathSeparator)) {
            if (!folder.isBlank()) {
                named.add(Path.of(folder));
            }
        }
        return openIn(named, names).or(() -> openByLoader(names)).or(() -> openIn(folders, names));
    }

    private static Optional<SymbolLookup> openIn(List<Path> folders, List<String> names) {
        for (String name : names) {
            for (Path folder : folders) {
                Path library = folder.resolve(name);
                if (Files.isReadable(library)) {
                    try {
                        openBuiltins(folder);
                        return Optional.of(SymbolLookup.libraryLookup(library.toAbsolutePath(), Arena.global()));
                    } catch (IllegalArgumentException e) {
                        // not a library of this platform, or one that needs another: the next folder may do
                        continue;
                    }
                }
            }
        }
        return Optional.empty();
    }

    /// NVRTC opens its builtins by name, which the loader finds in such a folder only if they are open already.
    private static void openBuiltins(Path folder) {
        List<Path> builtins = new ArrayList<>();
        addMatches(builtins, folder, "libnvrtc-builtins.so.*", "");
        for (Path library : builtins) {
            SymbolLookup.libraryLookup(library.toAbsolutePath(), Arena.global());
        }
    }

    private static Optional<SymbolLookup> openByLoader(List<String> names) {
        for (String name : names) {
            try {
                return Optional.of(SymbolLookup.libraryLookup(name, Arena.global()));
            } catch (IllegalArgumentException e) {
                continue;
            }
        }
        return Optional.empty();
    }

    private static List<Path> folders() {
        List<Path> folders = new ArrayList<>();
        for (String variable : List.of("CUDA_HOME", "CUDA_PATH")) {
            environment(variable).ifPresent(home -> addCuda(folders, home));
        }
        addCuda(folders, Path.of("/usr/local/cuda"));
        environment("VIRTUAL_ENV").ifPresent(home -> addPython(folders, home));
        environment("CONDA_PREFIX").ifPresent(home -> {
            folders.add(home.resolve("lib"));
            addPython(folders, home);
        });
        for (String bin : System.getenv().getOrDefault("PATH", "").split(File.pathSeparator)) {
            if (!bin.isBlank() && Files.exists(Path.of(bin, "python3"))) {
                Optional.ofNullable(Path.of(bin).toAbsolutePath().getParent())
                        .ifPresent(home -> addPython(folders, home));
            }
        }
        Path home = Path.of(System.getProperty("user.home", "."));
        addPython(folders, home.resolve(".local"));
        addMatches(folders, home.resolve(".javacpp/cache"), "cuda-*", "org/bytedeco/cuda/linux-x86_64");
        return folders;
    }

    private static Optional<Path> environment(String variable) {
        return Optional.ofNullable(System.getenv(variable))
                .filter(value -> !value.isBlank())
                .map(Path::of);
    }

    private static void addCuda(List<Path> folders, Path home) {
        folders.add(home.resolve("lib64"));
        folders.add(home.resolve("targets/x86_64-linux/lib"));
    }

    /// `HOME/lib/python3.x/{site,dist}-packages/nvidia/*/lib`, where pip puts CUDA's wheels.
    private static void addPython(List<Path> folders, Path home) {
        List<Path> pythons = new ArrayList<>();
        addMatches(pythons, home.resolve("lib"), "python3*", "");
        for (Path python : pythons) {
            for (String packages : List.of("site-packages", "dist-packages")) {
                addMatches(folders, python.resolve(packages).resolve("nvidia"), "*", "lib");
            }
        }
    }

    private static void addMatches(List<Path> found, Path parent, String glob, String below) {
        if (!Files.isDirectory(parent)) {
            return;
        }
        try (DirectoryStream<Path> matches = Files.newDirectoryStream(parent, glob)) {
            for (Path match : matches) {
                found.add(match.resolve(below));
            }
        } catch (IOException e) {
            // an unreadable folder holds nothing for us
        }
    }
}
