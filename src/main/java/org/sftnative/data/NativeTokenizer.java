package org.sftnative.data;

import ai.djl.huggingface.tokenizers.jni.CharSpan;
import ai.djl.huggingface.tokenizers.jni.LibUtils;
import ai.djl.huggingface.tokenizers.jni.TokenizersLibrary;
import ai.djl.util.Platform;
import ai.djl.util.Utils;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.ref.Cleaner;
import java.lang.ref.Reference;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import org.sftnative.InputException;

/// One tokenizer of the tokenizers library, by its handle. Calls the library's binding directly: its Java layer
/// truncates at 512 tokens and pads unless told otherwise, calls home, and makes nine arrays a text where we want
/// one. Safe for use by several threads; freed when it is no longer reachable.
final class NativeTokenizer {
    private static final Cleaner CLEANER = Cleaner.create();
    private static final TokenizersLibrary LIBRARY = load();

    private final long handle;

    /// @param json a checked tokenizer.json; what it says of truncation and padding holds
    /// @param name what to call it in a message
    /// @throws InputException if the library refuses it
    NativeTokenizer(String json, String name) {
        try {
            handle = LIBRARY.createTokenizerFromString(json);
        } catch (RuntimeException e) {
            throw new InputException(name + " is refused by the tokenizers library: " + e.getMessage(), e);
        }
        long owned = handle;
        CLEANER.register(this, () -> LIBRARY.deleteTokenizer(owned));
    }

    /// Token ids of a text.
    ///
    /// @param post whether its post-processor adds what it adds (BOS, EOS)
    int[] ids(String text, boolean post) {
        try {
            long encoding = LIBRARY.encode(handle, text, post);
            try {
                return narrow(LIBRARY.getTokenIds(encoding));
            } finally {
                LIBRARY.deleteEncoding(encoding);
            }
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    /// Token ids and where they lie in a text, in UTF-16 offsets; what a post-processor adds is left out.
    Encoding encode(String text) {
        try {
            long encoding = LIBRARY.encode(handle, text, false);
            try {
                int[] offset = text.codePointCount(0, text.length()) == text.length()
                        ? new int[0]
                        : offsets(text); // the library counts code points
                int[] ids = narrow(LIBRARY.getTokenIds(encoding));
                CharSpan[] spans = LIBRARY.getTokenCharSpans(encoding);
                int[] starts = new int[ids.length];
                int[] ends = new int[ids.length];
                for (int i = 0; i < ids.length; i++) {
                    starts[i] = offset.length == 0 ? spans[i].getStart() : offset[spans[i].getStart()];
                    ends[i] = offset.length == 0 ? spans[i].getEnd() : offset[spans[i].getEnd()];
                }
                return new Encoding(ids, starts, ends);
            } finally {
                LIBRARY.deleteEncoding(encoding);
            }
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    private static int[] offsets(String text) {
        int[] offsets = new int[text.codePointCount(0, text.length()) + 1];
        for (int i = 1; i < offsets.length; i++) {
            offsets[i] = text.offsetByCodePoints(offsets[i - 1], 1);
        }
        return offsets;
    }

    String decode(int[] ids, boolean skipSpecial) {
        long[] wide = new long[ids.length];
        for (int i = 0; i < ids.length; i++) {
            wide[i] = ids[i];
        }
        try {
            return LIBRARY.decode(handle, wide, skipSpecial);
        } finally {
            Reference.reachabilityFence(this);
        }
    }

    private static int[] narrow(long[] ids) {
        int[] narrow = new int[ids.length];
        for (int i = 0; i < ids.length; i++) {
            narrow[i] = (int) ids[i]; // the library's ids are 32 bits wide
        }
        return narrow;
    }

    /// Loads the library, if it is not.
    ///
    /// @throws LinkageError if it cannot be unpacked or loaded: that is no tokenizer's fault
    static void loaded() {
        LIBRARY.hashCode();
    }

    private static TokenizersLibrary load() {
        System.setProperty("OPT_OUT_TRACKING", "true"); // it calls home otherwise
        System.setProperty("RUST_FLAVOR", "cpu"); // else a machine with CUDA makes it look for another build
        System.setProperty("ai.djl.offline", "true"); // and download it
        deleteCut();
        LibUtils.checkStatus();
        return TokenizersLibrary.LIB;
    }

    /// Where the library is unpacked to: on a machine with a card, below a folder named after that.
    static Path unpacked() {
        Platform platform = Platform.detectPlatform("tokenizers");
        Path folder = Utils.getEngineCacheDir("tokenizers")
                .resolve(platform.getVersion() + "-cpu-" + platform.getClassifier());
        String card = platform.getCudaArch();
        return (card == null ? folder : folder.resolve(card)).resolve(System.mapLibraryName("tokenizers"));
    }

    /// The library takes a file that an earlier start unpacked as it is; a cut one kills the process.
    private static void deleteCut() {
        Path file = unpacked();
        String classifier = Platform.detectPlatform("tokenizers").getClassifier();
        URL whole = LibUtils.class.getResource("/native/lib/" + classifier + "/cpu/" + file.getFileName());
        try {
            if (whole != null
                    && Files.exists(file)
                    && Files.size(file) != whole.openConnection().getContentLengthLong()) {
                Files.delete(file);
                Files.delete(file.getParent()); // it is moved into place as a whole
            }
        } catch (NoSuchFileException _) {
            // another start has found it too
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
