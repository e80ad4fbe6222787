package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.InputException;
import org.sftnative.fuzz.Mutator;
import tools.jackson.databind.node.ObjectNode;

class TokenizerTrialTest {
    private static final Path FILE = Fixtures.TOKENIZERS.resolve("metaspace/tokenizer.json");
    private static final int MUTATED = Integer.getInteger("fuzz.tokenizers", 20_000);
    private static final int PER_CHILD = 500;

    @TempDir
    Path folder;

    @Test
    void aTokenizerThatOpensIsRememberedByItsContent() throws IOException {
        String json = Files.readString(FILE);
        TokenizerTrial.check(FILE, json, json, folder);
        assertEquals(1, remembered());
        TokenizerTrial.check(FILE, json, json, folder);
        assertEquals(1, remembered());
        TokenizerTrial.check(FILE, json + " ", json, folder);
        assertEquals(2, remembered());
    }

    /// On a machine with a card the library lies a folder deeper; a child, which sees no card, cannot unpack its own
    /// where that folder is.
    @Test
    void aChildTakesTheLibraryThatThisProcessHas() throws Exception {
        String json = Files.readString(FILE);
        NativeTokenizer.loaded();
        Path taken = folder.resolve("tokenizers")
                .resolve(NativeTokenizer.unpacked().getParent().getFileName());
        Files.createDirectories(taken.resolve("90/libtokenizers.so"));
        List<String> command = new ArrayList<>(TokenizerTrial.Child.command());
        assertEquals(TokenizerTrialMain.ANSWER + TokenizerTrialMain.OPENED, answer(command, json));
        assertTrue(command.removeIf(argument -> argument.startsWith("-DRUST_LIBRARY_PATH=")));
        assertTrue(answer(command, json).contains("Can't load library"), "and would fail by itself");
    }

    private String answer(List<String> command, String json) throws Exception {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.environment().put("DJL_CACHE_DIR", folder.toString());
        Process child = builder.start();
        try (DataOutputStream to = new DataOutputStream(child.getOutputStream())) {
            for (int i = 0; i < 2; i++) {
                byte[] bytes = json.getBytes(StandardCharsets.UTF_8);
                to.writeInt(bytes.length);
                to.write(bytes);
            }
        }
        String said = new String(child.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        return said.lines()
                .filter(line -> line.startsWith(TokenizerTrialMain.ANSWER))
                .findFirst()
                .orElse(said);
    }

    /// The check in Java refuses this one: past it, the library panics, and its process ends.
    @Test
    void aTokenizerThatKillsItsProcessIsATypedErrorEachTime() throws IOException {
        ObjectNode json = Json.object(FILE);
        ((ObjectNode) json.path("post_processor")).putObject("special_tokens");
        for (int time = 0; time < 2; time++) {
            InputException e = assertThrows(
                    InputException.class, () -> TokenizerTrial.check(FILE, json.toString(), json.toString(), folder));
            assertTrue(e.getMessage().startsWith(FILE + " makes the tokenizers library fail: "), e.getMessage());
            assertTrue(e.getMessage().contains("no entry found for key"), e.getMessage());
            assertEquals(2, e.getMessage().lines().count(), e.getMessage());
        }
        assertEquals(0, remembered());
        assertFalse(Files.exists(Path.of("core")));
    }

    @Test
    void aTokenizerThatTheLibraryRefusesIsATypedErrorWithItsReason() throws IOException {
        ObjectNode json = Json.object(FILE);
        ((ObjectNode) json.path("model")).put("type", "Oracle");
        InputException e = assertThrows(
                InputException.class, () -> TokenizerTrial.check(FILE, json.toString(), json.toString(), folder));
        assertTrue(e.getMessage().startsWith(FILE + " is refused by the tokenizers library: "), e.getMessage());
        assertEquals(0, remembered());
    }

    @Test
    void aFolderThatCannotBeWrittenToOnlyCostsTheNextTrial() throws IOException {
        String json = Files.readString(FILE);
        Path inTheWay = Files.writeString(folder.resolve("file"), "");
        TokenizerTrial.check(FILE, json, json, inTheWay.resolve("deeper"));
    }

    /// What passes the check in Java opens, is refused, or kills a child; never this process.
    @Test
    @Tag("slow")
    void mutatedTokenizersNeverHarmThisProcess() throws IOException {
        List<byte[]> corpus = new ArrayList<>();
        DataFuzzTargets.all().stream().filter(t -> t.name().equals("tokenizer")).forEach(t -> corpus.addAll(t.seeds()));
        int opened = 0;
        int refused = 0;
        int deaths = 0;
        long tried = 0;
        long start = System.nanoTime();
        Optional<TokenizerTrial.Child> child = Optional.empty();
        try {
            for (long seed = 0; opened + refused + deaths < MUTATED; seed++) {
                tried++;
                byte[] input = new Mutator(seed).mutated(corpus);
                Path file = Files.write(folder.resolve("tokenizer.json"), input);
                String whole;
                String plain;
                try {
                    TokenizerJson json = new TokenizerJson(file);
                    whole = json.whole();
                    plain = json.withoutSpecial();
                } catch (InputException _) {
                    continue;
                }
                if (child.isEmpty() || (opened + refused) % PER_CHILD == 0) {
                    child.ifPresent(TokenizerTrial.Child::close);
                    child = Optional.of(new TokenizerTrial.Child());
                }
                child.get().send(whole, plain);
                Optional<String> answer = child.get().answer();
                if (answer.isEmpty()) {
                    deaths++;
                    Path kept = Files.createDirectories(Path.of("target/fuzz/tokenizer-deaths"));
                    Files.write(kept.resolve("seed-" + seed), input);
                    child.get().close();
                    child = Optional.empty();
                } else if (answer.get().equals(TokenizerTrialMain.OPENED)) {
                    opened++;
                } else {
                    refused++;
                }
            }
        } finally {
            child.ifPresent(TokenizerTrial.Child::close);
        }
        System.out.printf(
                Locale.ROOT,
                "%d mutated tokenizers: %d refused in Java; of %d in the child %d opened, %d refused, %d killed it; %.0f s%n",
                tried,
                tried - opened - refused - deaths,
                opened + refused + deaths,
                opened,
                refused,
                deaths,
                (System.nanoTime() - start) / 1e9);
        assertTrue(opened > MUTATED / 20 && refused > MUTATED / 20, opened + " opened, " + refused + " refused");
        assertEquals(
                0, deaths, "the check in Java lets through what kills the library: see target/fuzz/tokenizer-deaths");
    }

    private long remembered() throws IOException {
        try (Stream<Path> files = Files.list(folder)) {
            return files.filter(f -> f.toString().endsWith(".opens")).count();
        }
    }
}
