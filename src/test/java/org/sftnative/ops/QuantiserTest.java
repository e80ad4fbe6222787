package org.sftnative.ops;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.foreign.ValueLayout;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestInstance;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.support.LivePointers;
import org.sftnative.support.TensorAssert;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Dtype;
import org.sftnative.tensor.Tensors;

/// Quantised matrices against those of `scripts/golden/quantised.py`, which works them out in numpy.
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
class QuantiserTest {
    private SafetensorsFile golden;

    @BeforeAll
    void open() {
        golden = SafetensorsFile.open(Path.of("src/test/resources/golden/quantised/golden.safetensors"));
    }

    @AfterAll
    void close() {
        golden.close();
    }

    static Stream<Arguments> cases() {
        return Stream.of("whole", "across", "odd")
                .flatMap(name -> Stream.of(Quantiser.Kind.values()).map(kind -> Arguments.of(name, kind)));
    }

    /// The 16 values as the paper prints them.
    @Test
    void valuesAreThoseOfThePaper() {
        float[] values = {
            -1.0f,
            -0.6961928009986877f,
            -0.5250730514526367f,
            -0.39491748809814453f,
            -0.28444138169288635f,
            -0.18477343022823334f,
            -0.09105003625154495f,
            0.0f,
            0.07958029955625534f,
            0.16093020141124725f,
            0.24611230194568634f,
            0.33791524171829224f,
            0.44070982933044434f,
            0.5626170039176941f,
            0.7229568362236023f,
            1.0f
        };
        assertArrayEquals(values, NormalFloat4.values());
        assertArrayEquals(values, floats("values"));
    }

    @ParameterizedTest(name = "{0} {1}")
    @MethodSource("cases")
    void codesAndScalesAreTheReferences(String name, Quantiser.Kind kind) {
        try (PointerScope _ = new PointerScope();
                Quantiser quantiser = new Quantiser(kind, Devices.cpu());
                QuantisedMatrix matrix = quantiser.quantise(weight(name))) {
            named(matrix).forEach((key, tensor) -> {
                String reference = name + "." + kind + "." + key;
                byte[] bytes = golden.bytes(reference).toArray(ValueLayout.JAVA_BYTE);
                assertArrayEquals(bytes, Tensors.memory(tensor).toArray(ValueLayout.JAVA_BYTE), reference);
            });
            assertEquals(matrix.bytes(), Quantiser.plannedBytes(kind, matrix.rows(), matrix.columns()));
        }
    }

    @ParameterizedTest(name = "{0} {1}")
    @MethodSource("cases")
    void weightsReadBackAreTheReferences(String name, Quantiser.Kind kind) {
        String reference = name + "." + kind + ".read";
        if (!golden.tensors().containsKey(reference)) {
            return; // its codes and scales are compared above
        }
        try (PointerScope _ = new PointerScope();
                Quantiser quantiser = new Quantiser(kind, Devices.cpu());
                QuantisedMatrix matrix = quantiser.quantise(weight(name))) {
            assertArrayEquals(floats(reference), Tensors.floats(read(matrix, ScalarType.Float)), reference);
        }
    }

    /// More weights than one chunk of the writer and many of the reader, a last chunk that is cut, rows that end within
    /// blocks: what a chunk gives must not depend on where it begins.
    @ParameterizedTest
    @EnumSource
    void chunksDoNotShow(Quantiser.Kind kind) {
        try (PointerScope _ = new PointerScope();
                Quantiser quantiser = new Quantiser(kind, Devices.cpu())) {
            Tensor weight = random(4300, 1000, 0.02);
            try (QuantisedMatrix matrix = quantiser.quantise(weight)) {
                Tensor read = read(matrix, ScalarType.Float);
                double error =
                        read.sub(weight).norm().item_double() / weight.norm().item_double();
                double expected = kind == Quantiser.Kind.INT8 ? 0.00784 : 0.0920; // measured; of normal weights
                assertEquals(expected, error, 0.02 * expected);
                // the last rows, quantised alone, are the same: 4288 * 1000 is a multiple of 64
                if (kind != Quantiser.Kind.NF4_DOUBLE) {
                    try (QuantisedMatrix end =
                            quantiser.quantise(weight.narrow(0, 4288, 12).contiguous())) {
                        TensorAssert.assertBitEqual("end", read.narrow(0, 4288, 12), read(end, ScalarType.Float));
                    }
                }
            }
        }
    }

    /// No weight is off by more than half the widest step between two values (1 - 0.6962) of its block's scale; of
    /// int8, half of 1/127.
    @ParameterizedTest
    @EnumSource(names = {"NF4", "INT8"})
    void noWeightIsOffByMoreThanHalfAStep(Quantiser.Kind kind) {
        try (PointerScope _ = new PointerScope();
                Quantiser quantiser = new Quantiser(kind, Devices.cpu())) {
            Tensor weight = random(64, 64, 1);
            try (QuantisedMatrix matrix = quantiser.quantise(weight)) {
                float[] w = Tensors.floats(weight);
                float[] read = Tensors.floats(read(matrix, ScalarType.Float));
                double step = kind == Quantiser.Kind.INT8 ? 1 / 127.0 : 1 - 0.6961928009986877;
                for (int row = 0; row < 64; row++) { // rows are blocks here
                    double largest = 0;
                    for (int i = 0; i < 64; i++) {
                        largest = Math.max(largest, Math.abs(w[64 * row + i]));
                    }
                    for (int i = 0; i < 64; i++) {
                        double off = Math.abs(w[64 * row + i] - read[64 * row + i]);
                        assertTrue(off <= step / 2 * largest * (1 + 1e-5), off + " of " + largest);
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void zerosStayZeros(Quantiser.Kind kind) {
        try (PointerScope _ = new PointerScope();
                Quantiser quantiser = new Quantiser(kind, Devices.cpu());
                QuantisedMatrix matrix = quantiser.quantise(Tensors.zeros(ScalarType.Float, Devices.cpu(), 3, 50))) {
            assertArrayEquals(new float[150], Tensors.floats(read(matrix, ScalarType.Float)));
        }
    }

    /// The buffer is a view into a wider one, as engines have it.
    @ParameterizedTest
    @EnumSource
    void rowsOfTheBufferMayLieApart(Quantiser.Kind kind) {
        try (PointerScope _ = new PointerScope();
                Quantiser quantiser = new Quantiser(kind, Devices.cpu());
                QuantisedMatrix matrix = quantiser.quantise(random(130, 36, 1))) {
            Tensor wide = Tensors.zeros(ScalarType.BFloat16, Devices.cpu(), 131, 40);
            new AtenOps().dequantise(matrix, wide.narrow(0, 1, 130).narrow(1, 2, 36));
            TensorAssert.assertBitEqual(
                    "view",
                    read(matrix, ScalarType.BFloat16),
                    wide.narrow(0, 1, 130).narrow(1, 2, 36).contiguous());
            assertEquals(0, wide.narrow(0, 0, 1).abs().sum().item_double());
            assertEquals(0, wide.narrow(1, 38, 2).abs().sum().item_double());
            assertEquals(0, wide.narrow(1, 0, 2).abs().sum().item_double());
        }
    }

    @ParameterizedTest
    @EnumSource
    void nothingIsLeftBehind(Quantiser.Kind kind) {
        try (PointerScope _ = new PointerScope()) {
            Tensor weight = random(70, 100, 1);
            Tensor to = Tensors.empty(ScalarType.Float, Devices.cpu(), 70, 100);
            round(kind, weight, to);
            long before = LivePointers.settled();
            for (int i = 0; i < 5; i++) {
                round(kind, weight, to);
            }
            assertEquals(before, LivePointers.count());
        }
    }

    private static void round(Quantiser.Kind kind, Tensor weight, Tensor to) {
        try (PointerScope _ = new PointerScope();
                Quantiser quantiser = new Quantiser(kind, Devices.cpu());
                QuantisedMatrix matrix = quantiser.quantise(weight)) {
            new AtenOps().dequantise(matrix, to);
        }
    }

    private static Map<String, Tensor> named(QuantisedMatrix matrix) {
        Map<String, Tensor> named = new LinkedHashMap<>();
        switch (matrix) {
            case QuantisedMatrix.Int8 m -> {
                named.put("codes", m.codes());
                named.put("absmax", m.absmax());
            }
            case QuantisedMatrix.Nf4 m -> {
                named.put("codes", m.codes());
                switch (m.scales()) {
                    case QuantisedMatrix.Scales.Plain s -> named.put("absmax", s.absmax());
                    case QuantisedMatrix.Scales.Quantised s -> {
                        named.put("scale_codes", s.codes());
                        named.put("absmax", s.absmax());
                        named.put("offset", s.offset());
                    }
                }
            }
        }
        return named;
    }

    private static Tensor read(QuantisedMatrix matrix, ScalarType as) {
        Tensor to = Tensors.empty(as, Devices.cpu(), matrix.rows(), matrix.columns());
        new AtenOps().dequantise(matrix, to);
        return to;
    }

    private Tensor weight(String name) {
        var shape = golden.info(name + ".weight").shape();
        Tensor weight = Tensors.empty(ScalarType.Float, Devices.cpu(), shape.get(0), shape.get(1));
        golden.read(name + ".weight", Dtype.F32, Tensors.memory(weight));
        return weight;
    }

    private float[] floats(String name) {
        return golden.bytes(name).toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
    }

    private static Tensor random(int rows, int columns, double scale) {
        Random random = new Random(11);
        float[] values = new float[rows * columns];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) (scale * random.nextGaussian());
        }
        return Tensors.ofFloats(values, Devices.cpu(), rows, columns);
    }
}
