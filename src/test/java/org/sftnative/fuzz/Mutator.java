package org.sftnative.fuzz;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/// Changes inputs as an attacker would: bytes, numbers in headers, tokens of text (JSON, YAML, templates: words,
/// numbers, strings and signs are told apart well enough in all of them), pieces of other inputs, odd Unicode. What it
/// does follows from the seed alone.
public final class Mutator {
    private static final int LONGEST = 1 << 16;
    private static final String[] TOKENS = {
        "null",
        "true",
        "{}",
        "[]",
        "\"\"",
        "0",
        "-1",
        "1",
        "0.5",
        "-0",
        "1e999",
        "-1e999",
        "1e-999",
        "1E400",
        "NaN",
        "2147483647",
        "2147483648",
        "4294967296",
        "9223372036854775807",
        "9223372036854775808",
        "-2147483648",
        "1" + "0".repeat(400),
        "\"\\ud800\"",
        "\"\\u0000\"",
        "\"..\"",
        "\"/\"",
        "\"../../etc/passwd\"",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\\",
        "\n",
        " ",
        "[".repeat(2000),
        "{\"a\":".repeat(1500),
        "<|endoftext|>",
        "*",
        "&a",
        "!!int",
        "|",
        "---",
        "{{",
        "}}",
        "{%",
        "%}",
        "(",
        ")",
        "~",
        "#",
    };
    private static final String[] LETTERS = {
        "\uFEFF",
        "\u2028",
        "\u0000",
        "\u202E",
        "\uFDD0",
        "\uFFFF",
        "\uE000",
        "e\u0301",
        "\u00A0",
        "\u0085",
        "🙂",
        "天",
        "\u0130",
        "\u2581",
        "\u00DF",
        "\u001B[31m",
    };
    private static final long[] NUMBERS = {
        0,
        -1,
        1,
        7,
        8,
        127,
        128,
        255,
        65_535,
        65_536,
        Integer.MAX_VALUE,
        Integer.MIN_VALUE,
        1L << 32,
        100_000_000,
        100_000_001,
        Long.MAX_VALUE,
        Long.MIN_VALUE,
        Long.MAX_VALUE - 7,
    };
    private static final byte[][] NOT_UTF_8 = {
        {(byte) 0xC0, (byte) 0x80}, {(byte) 0xED, (byte) 0xA0, (byte) 0x80}, {(byte) 0xFF}, {(byte) 0xF4, (byte) 0x90},
    };

    private final Random random;

    public Mutator(long seed) {
        random = new Random(seed);
    }

    /// One to eight changes of one of the inputs.
    public byte[] mutated(List<byte[]> inputs) {
        byte[] bytes = pick(inputs);
        int changes = 1 + (random.nextInt(3) == 0 ? random.nextInt(8) : random.nextInt(2));
        for (int i = 0; i < changes; i++) {
            bytes = random.nextBoolean() ? tokens(bytes, pick(inputs)) : bytes(bytes, pick(inputs));
            if (bytes.length > LONGEST) {
                bytes = Arrays.copyOf(bytes, LONGEST);
            }
        }
        return bytes;
    }

    private byte[] pick(List<byte[]> inputs) {
        return inputs.get(random.nextInt(inputs.size()));
    }

    private byte[] bytes(byte[] in, byte[] other) {
        int at = in.length == 0 ? 0 : random.nextInt(in.length);
        int length = Math.min(in.length - at, 1 + random.nextInt(random.nextBoolean() ? 4 : 64));
        byte[] whole = in.clone();
        switch (random.nextInt(10)) {
            case 0 -> {
                if (length > 0) {
                    whole[at] ^= (byte) (1 << random.nextInt(8));
                }
                return whole;
            }
            case 1 -> {
                if (length > 0) {
                    whole[at] = (byte) random.nextInt(256);
                }
                return whole;
            }
            case 2 -> {
                return joined(in, at, new byte[0], at + length);
            }
            case 3 -> {
                return joined(in, at, Arrays.copyOfRange(in, at, at + length), at);
            }
            case 4 -> {
                return Arrays.copyOf(in, at);
            }
            case 5 -> {
                int from = other.length == 0 ? 0 : random.nextInt(other.length);
                int to = from + random.nextInt(other.length - from + 1);
                return joined(in, at, Arrays.copyOfRange(other, from, to), at + (random.nextBoolean() ? length : 0));
            }
            case 6 -> {
                return joined(in, at, random.nextBoolean() ? letter() : NOT_UTF_8[random.nextInt(4)], at);
            }
            case 7 -> {
                return joined(in, at, new byte[random.nextInt(64)], at);
            }
            default -> {
                return number(whole, random.nextInt(4) == 0 ? 0 : at);
            }
        }
    }

    /// A number of 1, 4 or 8 bytes, as headers have them.
    private byte[] number(byte[] whole, int at) {
        long number = random.nextInt(4) == 0
                ? whole.length + random.nextInt(17) - 8
                : NUMBERS[random.nextInt(NUMBERS.length)];
        ByteOrder order = random.nextBoolean() ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN;
        ByteBuffer to = ByteBuffer.wrap(whole).order(order);
        if (random.nextBoolean() && at + 8 <= whole.length) {
            to.putLong(at, number);
        } else if (at + 4 <= whole.length) {
            to.putInt(at, (int) number);
        } else if (at < whole.length) {
            whole[at] = (byte) number;
        }
        return whole;
    }

    /// A token replaced, removed, doubled, exchanged, or followed by one from elsewhere.
    private byte[] tokens(byte[] in, byte[] other) {
        List<byte[]> tokens = split(in);
        if (tokens.isEmpty()) {
            return TOKENS[random.nextInt(TOKENS.length)].getBytes(StandardCharsets.UTF_8);
        }
        int at = random.nextInt(tokens.size());
        int second = random.nextInt(tokens.size());
        switch (random.nextInt(8)) {
            case 0 -> tokens.remove(at);
            case 1 -> tokens.add(at, tokens.get(second));
            case 2 -> tokens.set(at, tokens.get(second));
            case 3 -> {
                byte[] first = tokens.set(at, tokens.get(second));
                tokens.set(second, first);
            }
            case 4 -> {
                List<byte[]> others = split(other);
                if (!others.isEmpty()) {
                    int from = random.nextInt(others.size());
                    int count = 1 + random.nextInt(Math.min(12, others.size() - from));
                    tokens.addAll(at, others.subList(from, from + count));
                }
            }
            case 5 -> {
                int count = Math.min(tokens.size() - at, 1 + random.nextInt(12));
                tokens.addAll(second, new ArrayList<>(tokens.subList(at, at + count)));
            }
            default -> tokens.set(at, TOKENS[random.nextInt(TOKENS.length)].getBytes(StandardCharsets.UTF_8));
        }
        return joined(tokens);
    }

    private static List<byte[]> split(byte[] in) {
        List<byte[]> tokens = new ArrayList<>();
        int start = 0;
        while (start < in.length) {
            int end = start + 1;
            if (in[start] == '"') {
                while (end < in.length && in[end] != '"') {
                    end += in[end] == '\\' ? 2 : 1;
                }
                end = Math.min(in.length, end + 1);
            } else if (isWord(in[start])) {
                while (end < in.length && isWord(in[end])) {
                    end++;
                }
            }
            tokens.add(Arrays.copyOfRange(in, start, end));
            start = end;
        }
        return tokens;
    }

    private static boolean isWord(byte b) {
        return b < 0 || Character.isLetterOrDigit(b) || b == '_' || b == '-' || b == '+' || b == '.';
    }

    private byte[] letter() {
        return LETTERS[random.nextInt(LETTERS.length)].getBytes(StandardCharsets.UTF_8);
    }

    private static byte[] joined(byte[] in, int to, byte[] middle, int from) {
        byte[] out = Arrays.copyOf(in, to + middle.length + in.length - from);
        System.arraycopy(middle, 0, out, to, middle.length);
        System.arraycopy(in, from, out, to + middle.length, in.length - from);
        return out;
    }

    private static byte[] joined(List<byte[]> tokens) {
        byte[] out = new byte[tokens.stream().mapToInt(token -> token.length).sum()];
        int at = 0;
        for (byte[] token : tokens) {
            System.arraycopy(token, 0, out, at, token.length);
            at += token.length;
        }
        return out;
    }
}
