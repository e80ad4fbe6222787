package org.sftnative.io;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.io.SafetensorsBytes.file;
import static org.sftnative.io.SafetensorsBytes.prefixed;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sftnative.InputException;

/// Every way that a safetensors file can be wrong, and what is said of it: always the file, the tensor where there
/// is one, and the reason.
class SafetensorsMalformedTest {
    private record Malformed(String claim, byte[] bytes, String... said) {
        @Override
        public String toString() {
            return claim;
        }
    }

    @TempDir
    Path folder;

    private static final String T = "tensor 't'";
    /// A tensor of 4 bytes, without its braces.
    private static final String SOUND = "'dtype':'F32','shape':[1],'data_offsets':[0,4]";

    static Stream<Malformed> lengths() {
        List<Malformed> cases = new ArrayList<>();
        byte[] sound = file(one(SOUND), 4);
        for (int n = 0; n < 8; n++) {
            cases.add(new Malformed("fileOf" + n + "Bytes", Arrays.copyOf(sound, n), "has " + n + " bytes"));
        }
        byte[] oneShort = Arrays.copyOf(sound, sound.length - 1);
        byte[] oneLong = Arrays.copyOf(sound, sound.length + 1);
        cases.add(new Malformed("headerOfNoBytes", prefixed(0, new byte[0]), "said to have 0 bytes"));
        cases.add(new Malformed("headerLongerThanTheFile", prefixed(1000, "{}".getBytes()), "1000 bytes, 2 follow"));
        cases.add(new Malformed("headerOneByteLongerThanTheFile", prefixed(3, "{}".getBytes()), "3 bytes, 2 follow"));
        cases.add(new Malformed("headerBeyondTheLimit", prefixed(100_000_001, "{}".getBytes()), "1 to 100000000"));
        cases.add(new Malformed(
                "headerOf2To63Bytes", prefixed(Long.MIN_VALUE, "{}".getBytes()), "said to have 9223372036854775808"));
        cases.add(new Malformed(
                "headerOfMostBytes", prefixed(-1L, "{}".getBytes()), "said to have 18446744073709551615"));
        cases.add(new Malformed("fileOneByteShort", oneShort, T, "the file is cut short"));
        cases.add(new Malformed("fileOneByteLong", oneLong, "1 bytes follow " + T));
        cases.add(new Malformed("bufferWithoutTensors", file("{}", 1), "1 bytes follow the start of the buffer"));
        return cases.stream();
    }

    static Stream<Malformed> documents() {
        String sound = one(SOUND);
        return Stream.of(
                of("headerIsAnArray", "[]", "an object was expected, found '['"),
                of("headerIsAString", "'t'", "an object was expected"),
                of("headerIsOnlySpace", "   ", "an object was expected, found the end"),
                of("headerIsCutShort", sound.substring(0, sound.length() - 1), "found the end"),
                of("headerPaddedWithNul", sound + "\0\0", "follows the end of the JSON document, found byte 0x00"),
                of("headerWithByteOrderMark", "\ufeff" + sound, "an object was expected, found byte 0xef"),
                of("garbageAfterTheHeader", sound + "x", "follows the end", "found 'x'"),
                of("secondDocument", sound + "{}", "follows the end"),
                of("lineComment", "{// c\n" + sound.substring(1), "a name in double quotes was expected, found '/'"),
                of("blockComment", "{/* c */" + sound.substring(1), "found '/'"),
                of("trailingComma", sound.substring(0, sound.length() - 1) + ",}", "found '}'"),
                of("trailingCommaInTheTensor", one(SOUND + ","), T, "found '}'"),
                of("trailingCommaInTheShape", one(SOUND.replace("[1]", "[1,]")), T, "a number of shape is not a plain"),
                of("twoCommas", one(SOUND.replace(",'shape'", ",,'shape'")), T, "found ','"),
                of("missingColon", one(SOUND.replace("'shape':", "'shape'")), T, "':' was expected"),
                of("nameWithoutQuotes", "{t:{" + SOUND + "}}", "a name in double quotes"),
                of("nanInAnExtraField", one(SOUND + ",'x':NaN"), T, "a JSON value was expected, found 'N'"),
                of("nanInTheShape", one(SOUND.replace("[1]", "[NaN]")), T, "not a plain non-negative integer"),
                of("infinityInAnExtraField", one(SOUND + ",'x':-Infinity"), T, "a JSON value was expected"),
                of("hexadecimalInAnExtraField", one(SOUND + ",'x':0x1"), T, "found 'x'"),
                of("arraysNestedDeep", one(SOUND + ",'x':" + "[".repeat(100_000)), T, "nested deeper than 32"),
                of("objectsNestedDeep", one(SOUND + ",'x':" + "{'a':".repeat(100_000)), T, "nested deeper than 32"),
                of("headerNestedDeep", "[".repeat(1_000_000), "an object was expected"),
                raw("nameOfBadUtf8", "{'t\u00ff':{" + SOUND + "}}", "a string is not UTF-8"),
                raw("nameOfOverlongUtf8", "{'t\u00c0\u00af':{" + SOUND + "}}", "a string is not UTF-8"),
                raw("nameOfUtf8Surrogate", "{'t\u00ed\u00a0\u0080':{" + SOUND + "}}", "a string is not UTF-8"),
                raw("nameOfCutUtf8", "{'t\u00e4\u00b8':{" + SOUND + "}}", "a string is not UTF-8"),
                of("loneHighSurrogate", "{'t\\ud83d':{" + SOUND + "}}", "a lone surrogate, \\ud83d"),
                of("loneLowSurrogate", "{'\\ude00':{" + SOUND + "}}", "a lone surrogate, \\ude00"),
                of("highSurrogateTwice", "{'\\ud83d\\ud83d':{" + SOUND + "}}", "a lone surrogate"),
                of("surrogateInTheMetadata", "{'__metadata__':{'a':'\\udc00'}}", "__metadata__", "a lone surrogate"),
                of("surrogateInAnExtraField", one(SOUND + ",'x':'\\ud800'"), T, "a lone surrogate"),
                of("rawNewlineInAName", "{'a\nb':{" + SOUND + "}}", "the raw control character 0x0a"),
                of("rawNulInAName", "{'a\0b':{" + SOUND + "}}", "the raw control character 0x00"),
                of("unknownEscape", "{'a\\x':{" + SOUND + "}}", "an escape that JSON does not have"),
                of("shortUnicodeEscape", "{'a\\u12':{" + SOUND + "}}", "not four hexadecimal digits"),
                of("endlessString", "{'a", "a string has no end"));
    }

    static Stream<Malformed> fields() {
        return Stream.of(
                of("dtypeIsMissing", one("'shape':[1],'data_offsets':[0,4]"), T, "the field 'dtype' is missing"),
                of("shapeIsMissing", one("'dtype':'F32','data_offsets':[0,4]"), T, "the field 'shape' is missing"),
                of("offsetsAreMissing", one("'dtype':'F32','shape':[1]"), T, "the field 'data_offsets' is missing"),
                of("dtypeTwice", one(SOUND + ",'dtype':'F32'"), T, "field 'dtype' is given twice"),
                of("shapeTwice", one(SOUND + ",'shape':[1]"), T, "field 'shape' is given twice"),
                of("offsetsTwice", one(SOUND + ",'data_offsets':[0,4]"), T, "field 'data_offsets' is given twice"),
                of("fieldTwiceByEscape", one(SOUND + ",'sh\\u0061pe':[1]"), T, "field 'shape' is given twice"),
                of("extraFieldTwice", one(SOUND + ",'x':1,'x':2"), T, "field 'x' is given twice"),
                of("tensorTwice", "{'t':{" + SOUND + "},'t':{" + SOUND + "}}", T + " is given twice"),
                of("tensorTwiceByEscape", "{'t':{" + SOUND + "},'\\u0074':{" + SOUND + "}}", T + " is given twice"),
                of(
                        "metadataTwice",
                        "{'__metadata__':{},'__metadata__':{},'t':{" + SOUND + "}}",
                        "'__metadata__' is given twice"),
                of(
                        "metadataTwiceByEscape",
                        "{'__metadata__':{},'\\u005f_metadata__':{},'t':{" + SOUND + "}}",
                        "'__metadata__' is given twice"),
                of("metadataKeyTwice", "{'__metadata__':{'a':'1','a':'2'}}", "__metadata__", "key 'a' is given twice"),
                of("metadataIsANumber", "{'__metadata__':1}", "__metadata__", "an object was expected"),
                of("metadataIsNull", "{'__metadata__':null}", "__metadata__", "an object was expected"),
                of("metadataOfANumber", "{'__metadata__':{'a':1}}", "__metadata__", "a string was expected, found '1'"),
                of("metadataOfAnObject", "{'__metadata__':{'a':{}}}", "__metadata__", "a string was expected"),
                of("metadataOfNull", "{'__metadata__':{'a':null}}", "__metadata__", "a string was expected"),
                of("unknownDtype", one(SOUND.replace("F32", "F31")), T, "dtype 'F31' is not one of the format's"),
                of("lowerCaseDtype", one(SOUND.replace("F32", "f32")), T, "dtype 'f32' is not one"),
                of("emptyDtype", one(SOUND.replace("F32", "")), T, "dtype '' is not one"),
                of("dtypeIsANumber", one(SOUND.replace("'F32'", "32")), T, "a string was expected"),
                of("tensorIsAnArray", "{'t':['F32',[1],[0,4]]}", T, "an object was expected, found '['"),
                of("tensorIsNull", "{'t':null}", T, "an object was expected"),
                of("shapeIsANumber", one(SOUND.replace("[1]", "1")), T, "an array was expected"),
                of("shapeIsNested", one(SOUND.replace("[1]", "[[1]]")), T, "a number of shape is not a plain"),
                of("shapeOfTooManyNumbers", one(SOUND.replace("[1]", shape(65))), T, "shape has more than 64 numbers"),
                of("offsetsOfOne", one(SOUND.replace("[0,4]", "[0]")), T, "data_offsets has 1 numbers, must have 2"),
                of("offsetsOfNone", one(SOUND.replace("[0,4]", "[]")), T, "data_offsets has 0 numbers"),
                of("offsetsOfThree", one(SOUND.replace("[0,4]", "[0,4,4]")), T, "data_offsets has more than 2"),
                of("offsetsAreAnObject", one(SOUND.replace("[0,4]", "{}")), T, "an array was expected"));
    }

    static Stream<Malformed> integers() {
        List<Malformed> cases = new ArrayList<>();
        for (String[] wrong : new String[][] {
            {"negative", "-1"},
            {"minusZero", "-0"},
            {"fractional", "1.0"},
            {"exponent", "1e0"},
            {"upperExponent", "1E0"},
            {"string", "'1'"},
            {"leadingZero", "01"},
            {"twoZeros", "00"},
            {"plus", "+1"},
            {"null", "null"},
            {"true", "true"}
        }) {
            cases.add(
                    of(wrong[0] + "Dimension", one(SOUND.replace("[1]", "[" + wrong[1] + "]")), T, "of shape is not"));
            cases.add(of(
                    wrong[0] + "Offset", one(SOUND.replace("[0,", "[" + wrong[1] + ",")), T, "of data_offsets is not"));
        }
        for (String beyond : List.of("9223372036854775808", "18446744073709551616", "1" + "0".repeat(400))) {
            cases.add(of(
                    "dimension" + beyond.length() + "Digits",
                    one(SOUND.replace("[1]", "[" + beyond + "]")),
                    T,
                    "2^63"));
            cases.add(of("offset" + beyond.length() + "Digits", one(SOUND.replace("4]", beyond + "]")), T, "2^63"));
        }
        return cases.stream();
    }

    static Stream<Malformed> layouts() {
        return Stream.of(
                of("beginAfterEnd", one(SOUND.replace("[0,4]", "[4,0]")), T, "[4, 0] begin after they end"),
                of("sizeTooSmall", one(SOUND.replace("[1]", "[2]")), T, "[2] of F32 is 8 bytes", "hold 4"),
                of("sizeTooLarge", one(SOUND.replace("F32", "U8")), T, "[1] of U8 is 1 bytes", "hold 4"),
                of("elementsWithinAByteF4", one("'dtype':'F4','shape':[7],'data_offsets':[0,4]"), T, "within a byte"),
                of(
                        "elementsWithinAByteF6",
                        one("'dtype':'F6_E2M3','shape':[5],'data_offsets':[0,4]"),
                        T,
                        "within a byte"),
                of("rangePastTheEnd", one("'dtype':'F32','shape':[2],'data_offsets':[0,8]"), T, "beyond the 4 bytes"),
                of(
                        "rangeFarPastTheEnd",
                        one("'dtype':'U8','shape':[0],'data_offsets':[9223372036854775807,9223372036854775807]"),
                        T,
                        "beyond the 4 bytes"),
                of("holeAtTheStart", one("'dtype':'U8','shape':[3],'data_offsets':[1,4]"), T, "a hole of 1 bytes"),
                of(
                        "holeInTheMiddle",
                        two("[0,1]", 1, "[2,4]", 2),
                        "tensor 'u'",
                        "a hole of 1 bytes before it, after " + T),
                of("holeAtTheEnd", two("[0,1]", 1, "[1,3]", 2), "1 bytes follow tensor 'u'"),
                of("overlap", two("[0,3]", 3, "[2,4]", 2), "tensor 'u'", "overlaps " + T + " by 1 bytes"),
                of("oneWithinTheOther", two("[0,4]", 4, "[1,2]", 1), "tensor 'u'", "overlaps " + T + " by 3 bytes"),
                of("identicalRanges", two("[0,4]", 4, "[0,4]", 4), "tensor 'u'", "overlaps " + T + " by 4 bytes"),
                overflow("shapeOverflows", "[4294967296,4294967296]"),
                overflow("shapeTimesBitsOverflows", "[576460752303423488]"),
                overflow("shapeOverflowHiddenByAZeroAfter", "[4294967296,4294967296,0]"),
                overflow("shapeOverflowHiddenByAZeroBefore", "[0,4294967296,4294967296]"),
                overflow("bitsOverflowHiddenByAZero", "[0,9223372036854775807]"),
                overflow("shapeOverflowsBackToItsSize", "[9223372036854775807,9223372036854775807]"));
    }

    @ParameterizedTest
    @MethodSource({"lengths", "documents", "fields", "integers", "layouts"})
    void isRefusedNamingFileTensorAndReason(Malformed malformed) throws IOException {
        Path path = folder.resolve(malformed.claim() + ".safetensors");
        Files.write(path, malformed.bytes());
        var refused = assertThrows(
                InputException.class, () -> SafetensorsFile.open(path).close());
        assertTrue(refused.getMessage().startsWith(path + ": "), refused.getMessage());
        for (String said : malformed.said()) {
            assertTrue(refused.getMessage().contains(said), () -> "'" + said + "' not in: " + refused.getMessage());
        }
        assertTrue(refused.getMessage().length() < 1000, refused.getMessage());
    }

    /// What the cases above are variations of is sound, so that each is refused for its own fault only.
    @Test
    void theSoundFilesThatTheCasesSpoilAreRead() throws IOException {
        for (String sound : List.of(
                one(SOUND),
                one(SOUND + ",'x':[1,-2.5e+3,{'a':null,'b':[true,false,'\\ud83d\\ude00']}]"),
                "{'__metadata__':{'a':'1'},'t':{" + SOUND + "}}",
                two("[0,1]", 1, "[1,4]", 3),
                two("[1,4]", 3, "[0,1]", 1),
                " \n\r\t" + one(SOUND) + "\t\r\n ",
                "{'t\\u00e9\\/':{" + SOUND + "}}",
                one(SOUND.replace("[1]", shape(64))),
                "{'e':{'dtype':'F32','shape':[0,7],'data_offsets':[4,4]},'t':{" + SOUND
                        + "},'z':{'dtype':'F32','shape':[0],'data_offsets':[0,0]}}")) {
            Path path = folder.resolve("sound.safetensors");
            Files.write(path, file(sound, 4));
            try (SafetensorsFile file = SafetensorsFile.open(path)) {
                assertEquals(
                        4,
                        file.tensors().values().stream()
                                .mapToLong(TensorInfo::byteSize)
                                .sum(),
                        sound);
            }
        }
    }

    @Test
    void directoryAndMissingFileAreRefused() {
        var directory = assertThrows(InputException.class, () -> SafetensorsFile.open(folder));
        assertEquals(folder + " is not a file", directory.getMessage());
        Path missing = folder.resolve("missing.safetensors");
        var none = assertThrows(InputException.class, () -> SafetensorsFile.open(missing));
        assertEquals(missing + " does not exist", none.getMessage());
    }

    @Test
    void terminalControlInANameIsShownAsAnEscape() throws IOException {
        Path path = folder.resolve("control.safetensors");
        Files.write(path, file("{'\\u001b[2J\\u202e" + "n".repeat(500) + "':{}}", 0));
        var refused = assertThrows(InputException.class, () -> SafetensorsFile.open(path));
        assertTrue(refused.getMessage().contains("tensor '\\u001b[2J\\u202enn"), refused.getMessage());
        assertTrue(refused.getMessage().contains("n...'"), refused.getMessage());
    }

    private static String one(String fields) {
        return "{'t':{" + fields + "}}";
    }

    private static String two(String first, int n, String second, int m) {
        return "{'t':{'dtype':'U8','shape':[" + n + "],'data_offsets':" + first + "}," + "'u':{'dtype':'U8','shape':["
                + m + "],'data_offsets':" + second + "}}";
    }

    private static String shape(int ones) {
        return "[1" + ",1".repeat(ones - 1) + "]";
    }

    private static Malformed overflow(String claim, String shape) {
        return of(claim, one("'dtype':'F32','shape':" + shape + ",'data_offsets':[0,4]"), T, "overflows");
    }

    /// A header with ' for ", before a buffer of 4 bytes.
    private static Malformed of(String claim, String header, String... said) {
        return new Malformed(claim, file(header, 4), said);
    }

    /// As [#of], each character of the header being one byte.
    private static Malformed raw(String claim, String header, String... said) {
        byte[] bytes = header.replace('\'', '"').getBytes(StandardCharsets.ISO_8859_1);
        byte[] all = Arrays.copyOf(bytes, bytes.length + 4);
        return new Malformed(claim, prefixed(bytes.length, all), said);
    }
}
