package org.sftnative.ops;

import static org.junit.jupiter.api.Assertions.assertInstanceOf;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Device;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.sftnative.support.TensorAssert;
import org.sftnative.tensor.Devices;
import org.sftnative.tensor.Tensors;

/// A matrix quantised on a card is the one that the CPU makes, and the kernel reads from it what libtorch reads.
@Tag("gpu")
class QuantisedGpuTest {
    @ParameterizedTest
    @EnumSource
    void cardAndCpuAgree(Quantiser.Kind kind) {
        Device cuda = Devices.parse("cuda");
        CudaOps ops =
                assertInstanceOf(CudaOps.Probe.Ready.class, CudaOps.probe(cuda)).ops();
        try (PointerScope _ = new PointerScope();
                Quantiser there = new Quantiser(kind, cuda);
                Quantiser here = new Quantiser(kind, Devices.cpu())) {
            Tensor weight = torch.randn(new long[] {1536, 4096}, Tensors.options(ScalarType.Float, Devices.cpu()))
                    .to(ScalarType.BFloat16);
            try (QuantisedMatrix onCard = there.quantise(Tensors.to(weight, cuda));
                    QuantisedMatrix onCpu = here.quantise(weight)) {
                for (int i = 0; i < onCpu.tensors().size(); i++) {
                    Tensor card = Tensors.to(onCard.tensors().get(i), Devices.cpu());
                    TensorAssert.assertClose(
                            "part " + i, Tensors.floats(onCpu.tensors().get(i)), Tensors.floats(card), 0);
                }
                Tensor kernel = Tensors.zeros(ScalarType.BFloat16, cuda, 1536, 4112);
                ops.dequantise(onCard, kernel.narrow(1, 0, 4096));
                Tensor plain = Tensors.empty(ScalarType.BFloat16, Devices.cpu(), 1536, 4096);
                new AtenOps().dequantise(onCpu, plain);
                TensorAssert.assertBitEqual(
                        "read", plain, Tensors.to(kernel.narrow(1, 0, 4096).contiguous(), Devices.cpu()));
            }
        }
    }
}
