package org.sftnative.train;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.InputException;
import org.sftnative.config.ShardingChoice;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.Recompute;
import org.sftnative.ops.AdamWState.Masters;
import org.sftnative.ops.AdamWState.Moments;
import org.sftnative.tensor.Devices;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ObjectNode;

/// The plan of a card of 80 GB (85.0e9 bytes), for shapes that people train.
class CardMemoryTest {
    private static final double CARD = 85.0e9;
    private static final double HOST = 64.0e9;
    private static final LlamaConfig SEVEN = config(4096, 11008, 32, 32, 32000);
    private static final LlamaConfig EIGHT = config(4096, 14336, 32, 8, 128256);
    private static final LlamaConfig THIRTEEN = config(5120, 13824, 40, 40, 32000);
    private static final LlamaConfig SMALL = config(576, 1536, 9, 3, 49152);

    @Test
    void sevenBillionHaveMomentsInBf16AndEightInEightBits() {
        assertEquals(Moments.BF16, memory(SEVEN, CARD).moments());
        assertEquals(Moments.BLOCK8, memory(EIGHT, CARD).moments());
        assertEquals(Moments.FP32, memory(SMALL, CARD).moments());
    }

    @Test
    void whatRanksShareOutLeavesRoom() {
        assertEquals(Moments.FP32, memory(SEVEN, CARD, ShardingChoice.ZERO1, 8).moments());
        assertEquals(
                Moments.FP32, memory(THIRTEEN, CARD, ShardingChoice.ZERO2, 8).moments());
        double one = memory(THIRTEEN, CARD, ShardingChoice.ZERO1, 8).need().fixed();
        double two = memory(THIRTEEN, CARD, ShardingChoice.ZERO2, 8).need().fixed();
        // 13.02e9 weights; of gradients in bf16 an eighth, and in fp32 two blocks, head and norms, for the head alone
        assertEquals(2 * 13.02e9 * 7 / 8 - 4 * 2 * 317.2e6, one - two, 0.01e9);
        // of weights an eighth, and in bf16 two blocks, head and norms
        double three = memory(THIRTEEN, CARD, ShardingChoice.ZERO3, 8).need().fixed();
        assertEquals(2 * 13.02e9 * 7 / 8 - 2 * (2 * 317.2e6 + 163.8e6), two - three, 0.01e9);
    }

    /// 6.74e9 weights: their state is on the host, two pieces of 2^23 elements are not.
    @Test
    void whatIsOnTheHostLeavesRoom() {
        CardMemory.Need resident = CardMemory.Need.ofAll(SEVEN, Masters.SPLIT, ShardingChoice.NONE, 1);
        CardMemory.Need offloaded = resident.offloaded(Masters.SPLIT);
        assertEquals(2 * (6.738e9 - (1 << 24)), resident.fixed() - offloaded.fixed(), 0.001e9);
        assertEquals(1 << 24, offloaded.updated());
        CardMemory before = new CardMemory(SEVEN, resident, Devices.cpu(), CARD, 0);
        CardMemory memory = new CardMemory(SEVEN, offloaded, Devices.cpu(), CARD, 0);
        assertEquals(Moments.FP32, memory.moments());
        assertTrue(memory.tokens(Moments.FP32, Recompute.SELECTIVE.everywhere(32))
                > before.tokens(Moments.BLOCK8, Recompute.SELECTIVE.everywhere(32)));
        double small = CardMemory.Need.ofAll(SMALL, Masters.NONE, ShardingChoice.ZERO1, 64)
                .offloaded(Masters.NONE)
                .updated();
        assertEquals(2 * 162.8e6 / 64, small, 0.1e6); // less than a piece: two buffers all the same
    }

    @Test
    void aHostWithoutRoomIsRefusedWithBothNumbers() {
        long gib = 1L << 30;
        CardMemory.checkHost(Masters.SPLIT, Moments.FP32, gib, 10 * gib);
        String said = assertThrows(
                        InputException.class,
                        () -> CardMemory.checkHost(Masters.SPLIT, Moments.FP32, gib, 10 * gib - 1))
                .getMessage();
        assertTrue(said.startsWith("offload_optimizer: the optimizer's state takes 10.0 GiB of"), said);
        CardMemory.checkHost(Masters.NONE, Moments.BF16, gib, 4 * gib);
    }

    @Test
    void aHostWithoutRoomForTheGatheredWeightsIsRefusedWithBothNumbers() {
        long gib = 1L << 30;
        CardMemory.checkGathering(10 * gib, 10 * gib);
        assertEquals(
                "sharding zero3: rank 0 gathers the weights to save them, which takes 10.0 GiB of its host's memory,"
                        + " which has 9.0 GiB free\n  start rank 0 on a host with more, or train adapters (--lora-r)",
                assertThrows(InputException.class, () -> CardMemory.checkGathering(10 * gib, 9 * gib))
                        .getMessage());
    }

    @Test
    void whatFitsIsNotComputedAgain() {
        CardMemory memory = memory(SMALL, CARD);
        List<Recompute> policies = memory.policies(Moments.FP32, CardMemory.ENOUGH_TOKENS);
        assertEquals("none", Recompute.describe(policies));
        assertEquals(16_384, memory.tokens(Moments.FP32, policies));
    }

    @ParameterizedTest
    @ValueSource(ints = {4096, 8192, 16_384})
    void noBlockIsComputedAgainThatNeedNotBe(int tokens) {
        CardMemory memory = memory(SEVEN, CARD);
        List<Recompute> policies = memory.policies(Moments.BF16, tokens);
        int rung = policies.stream().mapToInt(Enum::ordinal).sum();
        assertEquals(policies, Recompute.rung(SEVEN.nLayer(), rung));
        assertTrue(memory.fits(Moments.BF16, policies, tokens), () -> Recompute.describe(policies));
        assertFalse(memory.fits(Moments.BF16, Recompute.rung(SEVEN.nLayer(), rung - 1), tokens));
        assertTrue(memory.tokens(Moments.BF16, policies) >= tokens);
    }

    @Test
    void whereNothingFitsEverythingIsComputedAgainAndOffloaded() {
        CardMemory memory = memory(SEVEN, 40e9);
        List<Recompute> policies = memory.policies(Moments.BLOCK8, 4096);
        assertEquals("offload", Recompute.describe(policies));
        assertEquals(256, memory.tokens(Moments.BLOCK8, policies));
        assertEquals("full", Recompute.describe(with(memory, 0).policies(Moments.BLOCK8, 4096)));
    }

    /// A card that lacks the inputs of 10 of 32 blocks: 12 are offloaded, two of which take turns on it.
    @Test
    void inputsAreOffloadedWhereFullDoesNotFitAndTheHostHasRoom() {
        double input = 16_384.0 * 4096 * 2;
        List<Recompute> full = Recompute.FULL.everywhere(32);
        double enough = 0;
        while (!memory(SEVEN, enough).fits(Moments.BF16, full, 16_384)) {
            enough += input / 2;
        }
        CardMemory memory = memory(SEVEN, enough - 10 * input);
        List<Recompute> policies = memory.policies(Moments.BF16, 16_384);
        assertEquals("20 blocks full, 12 offload", Recompute.describe(policies));
        assertTrue(memory.fits(Moments.BF16, policies, 16_384));
        double needed = 10 * input;
        assertEquals(policies, with(memory, needed).policies(Moments.BF16, 16_384));
        CardMemory poor = with(memory, needed - 1);
        assertEquals(full, poor.policies(Moments.BF16, 16_384));
        assertTrue(poor.tokens(Moments.BF16, full) < 16_384);
    }

    /// What is offloaded by request is no more than the host has room for.
    @Test
    void theHostsMemoryBoundsTheMicroBatch() {
        List<Recompute> offload = Recompute.OFFLOAD.everywhere(32);
        CardMemory memory = memory(SEVEN, CARD);
        assertEquals(16_384, memory.tokens(Moments.BF16, offload));
        assertEquals(2048, with(memory, 30 * 2100.0 * 4096 * 2).tokens(Moments.BF16, offload));
    }

    /// 30 of 32 blocks have their input there, 4,096 numbers of 2 bytes a token.
    @Test
    void moreThanTheHostMayPinIsRefusedWithWhatToUse() {
        List<Recompute> offload = Recompute.OFFLOAD.everywhere(32);
        double needed = 30 * 8192.0 * 4096 * 2;
        CardMemory memory = memory(SEVEN, CARD);
        with(memory, needed).checkHost(offload, 8192);
        with(memory, 0).checkHost(Recompute.FULL.everywhere(32), 8192);
        assertEquals(
                "recompute 'offload': micro-batches of 8192 tokens take 1.9 GiB of the host's memory, of which 1.9 GiB"
                        + " may be pinned\n  use --micro-batch-tokens 7936, or --recompute full",
                refused(with(memory, needed - 1), offload));
        String none = refused(with(memory, 30 * 255.0 * 4096 * 2), offload);
        assertTrue(none.endsWith(" may be pinned\n  use --recompute full"), none);
    }

    private static String refused(CardMemory memory, List<Recompute> policies) {
        return assertThrows(InputException.class, () -> memory.checkHost(policies, 8192))
                .getMessage();
    }

    private static CardMemory with(CardMemory memory, double hostBytes) {
        return new CardMemory(memory.config(), memory.need(), memory.device(), memory.bytes(), hostBytes);
    }

    @Test
    void aPlanIsDescribedInAFewWords() {
        assertEquals("none", Recompute.describe(Recompute.rung(4, 0)));
        assertEquals("3 blocks none, 1 selective", Recompute.describe(Recompute.rung(4, 1)));
        assertEquals("selective", Recompute.describe(Recompute.rung(4, 4)));
        assertEquals("2 blocks full-keep-attention, 2 full", Recompute.describe(Recompute.rung(4, 10)));
        assertEquals("full", Recompute.describe(Recompute.rung(4, 12)));
        assertEquals("3 blocks full, 1 offload", Recompute.describe(Recompute.rung(4, 13)));
        assertEquals("offload", Recompute.describe(Recompute.rung(4, 16)));
    }

    private static CardMemory memory(LlamaConfig config, double bytes) {
        return memory(config, bytes, ShardingChoice.NONE, 1);
    }

    private static CardMemory memory(LlamaConfig config, double bytes, ShardingChoice sharding, int ranks) {
        return new CardMemory(
                config, CardMemory.Need.ofAll(config, Masters.SPLIT, sharding, ranks), Devices.cpu(), bytes, HOST);
    }

    private static LlamaConfig config(int hidden, int ffn, int heads, int kv, int vocabulary) {
        return LlamaConfig.of((ObjectNode) new JsonMapper().readTree("""
                {"model_type": "llama", "hidden_size": %d, "intermediate_size": %d, "num_hidden_layers": %d,
                 "num_attention_heads": %d, "num_key_value_heads": %d, "vocab_size": %d, "rms_norm_eps": 1e-5,
                 "tie_word_embeddings": false, "max_position_embeddings": 8192}
                """.formatted(
                        hidden, ffn, hidden == 576 ? 30 : hidden == 5120 ? 40 : 32, heads, kv, vocabulary)));
    }
}
