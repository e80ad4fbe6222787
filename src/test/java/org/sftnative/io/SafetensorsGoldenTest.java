package org.sftnative.io;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/// Against files of the Python library, made by `scripts/golden/safetensors_golden.py`. Each case repeats that
/// script's tensors in its order; their bytes follow the rule that is written there.
class SafetensorsGoldenTest {
    private record Golden(String file, Map<String, String> metadata, List<TensorSource> tensors) {
        @Override
        public String toString() {
            return file;
        }
    }

    @TempDir
    Path folder;

    static Stream<Golden> goldens() {
        return Stream.of(
                pt("all_dtypes", allDtypes()),
                pt(
                        "names",
                        Stream.of(
                                        "b",
                                        "a",
                                        "B",
                                        "a.b",
                                        "",
                                        "quote\" back\\slash /",
                                        "tab\t newline\n bell\u0007 return\r form\f back\b nul\0 del\u007f",
                                        "\u00e9",
                                        "\u4e2d\u6587",
                                        "\ue000 private",
                                        "\ud83d\ude00 beyond the first plane",
                                        "\u2028 line",
                                        "\uffff")
                                .map(name -> shaped(name, StoredDtype.F32, 1L))
                                .toList()),
                pt(
                        "shapes",
                        List.of(
                                shaped("scalar", StoredDtype.F32),
                                shaped("none", StoredDtype.F32, 0L),
                                shaped("flat", StoredDtype.BF16, 0L, 5L),
                                shaped("odd", StoredDtype.U8, 3L),
                                shaped("deep", StoredDtype.BF16, 1L, 2L, 1L, 3L),
                                shaped("wide", StoredDtype.F32, 7L))),
                pt("empty", List.of()),
                new Golden("bare", Map.of(), filled(List.of(shaped("w", StoredDtype.F32, 2L)))),
                pt("llama_layer", llamaLayers()));
    }

    @ParameterizedTest
    @MethodSource("goldens")
    void writesTheBytesOfThePythonLibrary(Golden golden) throws IOException, URISyntaxException {
        Path written = folder.resolve("written.safetensors");
        SafetensorsWriter.write(written, golden.metadata(), golden.tensors());
        assertArrayEquals(Files.readAllBytes(resource(golden.file())), Files.readAllBytes(written));
    }

    @ParameterizedTest
    @MethodSource("goldens")
    void readsWhatThePythonLibraryWrote(Golden golden) throws URISyntaxException, IOException {
        try (SafetensorsFile file = SafetensorsFile.open(resource(golden.file()))) {
            assertEquals(golden.metadata(), file.metadata());
            assertEquals(golden.tensors().size(), file.tensors().size());
            for (TensorSource expected : golden.tensors()) {
                TensorInfo info = file.info(expected.name());
                assertEquals(expected.dtype(), info.dtype());
                assertEquals(expected.shape(), info.shape());
                assertEquals(expected.elements(), info.elements());
                expected.content()
                        .writeTo(
                                bytes -> assertEquals(-1, bytes.mismatch(file.bytes(expected.name())), info::toString));
            }
        }
    }

    @Test
    void versionsOfTheGoldensAreRecorded() throws IOException, URISyntaxException {
        Path versions = resource("all_dtypes").resolveSibling("versions.json");
        assertTrue(Files.readString(versions).contains("\"safetensors\": \"0.8.0\""));
    }

    private static List<TensorSource> allDtypes() {
        List<TensorSource> tensors = new ArrayList<>();
        for (String pair : """
                bool:BOOL float4_e2m1fn_x2:F4 uint8:U8 int8:I8 float8_e5m2:F8_E5M2 float8_e4m3fn:F8_E4M3 \
                float8_e8m0fnu:F8_E8M0 int16:I16 uint16:U16 float16:F16 bfloat16:BF16 int32:I32 uint32:U32 \
                float32:F32 complex64:C64 float64:F64 int64:I64 uint64:U64""".split("\\s+")) {
            StoredDtype dtype = StoredDtype.valueOf(pair.split(":")[1]);
            // torch counts pairs of F4, the file elements
            tensors.add(shaped("t." + pair.split(":")[0], dtype, 2L, dtype == StoredDtype.F4 ? 6L : 3L));
        }
        return tensors;
    }

    private static List<TensorSource> llamaLayers() {
        List<TensorSource> tensors = new ArrayList<>();
        for (int i : new int[] {0, 1, 10, 2}) {
            String layer = "model.layers." + i + ".";
            tensors.add(shaped(layer + "self_attn.q_proj.weight", StoredDtype.BF16, 8L, 4L));
            tensors.add(shaped(layer + "input_layernorm.weight", StoredDtype.BF16, 4L));
            tensors.add(shaped(layer + "mlp.down_proj.weight", StoredDtype.BF16, 4L, 6L));
        }
        return tensors;
    }

    private static Golden pt(String file, List<TensorSource> tensors) {
        return new Golden(file, SafetensorsWriter.PYTORCH, filled(tensors));
    }

    private static TensorSource shaped(String name, StoredDtype dtype, Long... shape) {
        return new TensorSource(name, dtype, List.of(shape), sink -> {});
    }

    /// The script's rule: byte i of the tensor at place k.
    private static List<TensorSource> filled(List<TensorSource> tensors) {
        List<TensorSource> filled = new ArrayList<>();
        for (int place = 0; place < tensors.size(); place++) {
            TensorSource tensor = tensors.get(place);
            MemorySegment bytes = MemorySegment.ofArray(new byte[(int) tensor.byteSize()]);
            for (int i = 0; i < tensor.byteSize(); i++) {
                int value = (31 * place + 7 * i) % (tensor.dtype() == StoredDtype.BOOL ? 2 : 256);
                bytes.set(ValueLayout.JAVA_BYTE, i, (byte) value);
            }
            filled.add(TensorSource.of(tensor.name(), tensor.dtype(), tensor.shape(), bytes));
        }
        return filled;
    }

    private static Path resource(String name) throws URISyntaxException {
        return Path.of(SafetensorsGoldenTest.class
                .getResource("/golden/safetensors/" + name + ".safetensors")
                .toURI());
    }
}
