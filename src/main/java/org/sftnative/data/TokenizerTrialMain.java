package org.sftnative.data;

import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.PrintStream;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.charset.StandardCharsets;
import org.sftnative.InputException;

/// The process that opens tokenizers on trial: reads pairs of JSON texts behind their lengths until there are no
/// more, and answers each with a line. It gives itself limits of memory and CPU time, so that it ends whatever happens
/// to the process that started it.
final class TokenizerTrialMain {
    /// How the line of an answer begins; before it, the library may say what it likes.
    static final String ANSWER = "trial: ";
    /// The answer to a pair that opens; any other is why the library refuses it.
    static final String OPENED = "opened";

    /// Of Linux on x86-64.
    private static final int RLIMIT_CPU = 0;

    private static final int RLIMIT_AS = 9;

    private static final long CPU_SECONDS = 110;
    private static final long ADDRESS_SPACE = 16L << 30;

    /// Letters of every kind that tokenizers treat in ways of their own.
    private static final String PROBE =
            "a  Hello, World's 12345\t\r\n\n {\"x\": [1.5e-3]}  \u00E9e\u0301\u00DF\u0130\uFB01"
                    + "天空。\u3042\uD55C\u0E01\u0E33\u0627\u0644\u200D\u200B\u202E\uFEFF\uFFFD\u0000\u0007\u007F\u0085\u2028\u2581"
                    + "🙂👩\u200D👩\u200D👧🇩🇪\uDBFF\uDFFD <s></s><|endoftext|>";

    private TokenizerTrialMain() {}

    /// @param args none
    public static void main(String[] args) throws IOException {
        limit(RLIMIT_CPU, CPU_SECONDS);
        limit(RLIMIT_AS, ADDRESS_SPACE);
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        DataInputStream in = new DataInputStream(System.in);
        while (true) {
            String whole;
            try {
                whole = new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8);
            } catch (EOFException _) {
                return;
            }
            String plain = new String(in.readNBytes(in.readInt()), StandardCharsets.UTF_8);
            String answer;
            try {
                use(whole);
                use(plain);
                answer = OPENED;
            } catch (InputException e) {
                answer = "" + e.getCause().getMessage();
            } catch (RuntimeException | Error e) {
                answer = "" + e;
            }
            out.println(ANSWER + answer.replace('\n', ' '));
        }
    }

    /// What loading a model and its rows does with a tokenizer.
    private static void use(String json) {
        NativeTokenizer tokenizer = new NativeTokenizer(json, "");
        for (String text : new String[] {"", "a", PROBE}) {
            tokenizer.decode(tokenizer.ids(text, true), false);
            tokenizer.decode(tokenizer.encode(text).ids(), true);
        }
    }

    private static void limit(int resource, long most) {
        Linker linker = Linker.nativeLinker();
        MethodHandle setrlimit = linker.downcallHandle(
                linker.defaultLookup().findOrThrow("setrlimit"),
                FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.ADDRESS));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment both = arena.allocateFrom(ValueLayout.JAVA_LONG, most, most); // soft and hard
            int _ = (int) setrlimit.invokeExact(resource, both);
        } catch (Throwable e) {
            throw new IllegalStateException("setrlimit", e);
        }
    }
}
