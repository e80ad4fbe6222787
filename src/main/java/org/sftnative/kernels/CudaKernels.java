package org.sftnative.kernels;

import java.util.Optional;

/// The kernels of one card, loaded into its primary context. All of them queue work on a stream of the caller (0 is the
/// default stream) and return at once; what they are given must stay alive and unchanged until that stream has passed
/// it. Addresses are device memory; activations are bf16 unless said otherwise, sums fp32. A size of 0 queues nothing.
///
/// Legend: T tokens, C hidden size, H query heads, K kv heads, D head size, F ffn size, V vocabulary.
public final class CudaKernels {
    private static final int OLDEST_MAJOR = 8;

    private final KernelModule.Card card;
    private final long context;
    private final RmsNorm rmsNorm;
    private final Columns columns;
    private final Rope rope;
    private final SwiGlu swiGlu;
    private final CrossEntropy crossEntropy;
    private final Embedding embedding;
    private final GradientNorm gradientNorm;
    private final Elementwise elementwise;
    private final Dequantise dequantise;

    private CudaKernels(KernelModule.Card card, long context) {
        this.card = card;
        this.context = context;
        columns = new Columns(card);
        rmsNorm = new RmsNorm(card, columns);
        rope = new Rope(card);
        swiGlu = new SwiGlu(card);
        crossEntropy = new CrossEntropy(card);
        embedding = new Embedding(card);
        gradientNorm = new GradientNorm(card);
        elementwise = new Elementwise(card);
        dequantise = new Dequantise(card);
    }

    static CudaKernels open(int ordinal, CubinCache cache) throws KernelsMissingException {
        if (CudaLibraries.driver().isEmpty()) {
            throw new KernelsMissingException("no CUDA driver: libcuda.so.1 was not found");
        }
        int count = CudaDriver.deviceCount();
        if (ordinal < 0 || ordinal >= count) {
            throw new KernelsMissingException("no CUDA device " + ordinal + ": the driver sees " + count);
        }
        int device = CudaDriver.device(ordinal);
        int major = CudaDriver.attribute(CudaDriver.COMPUTE_MAJOR, device);
        int minor = CudaDriver.attribute(CudaDriver.COMPUTE_MINOR, device);
        if (major < OLDEST_MAJOR) {
            throw new KernelsMissingException(
                    "CUDA device " + ordinal + " is sm_" + major + minor + ": the kernels need sm_80 or newer");
        }
        Optional<Nvrtc> nvrtc = Nvrtc.find();
        if (nvrtc.isEmpty()) {
            throw new KernelsMissingException("no NVRTC: libnvrtc.so.13 and .12 were not found by the loader, under"
                    + " CUDA_HOME, /usr/local/cuda or Python's nvidia packages; -D" + CudaLibraries.FOLDERS_PROPERTY
                    + "=FOLDER names its folder");
        }
        long context = CudaDriver.primaryContext(device);
        CudaDriver.setCurrent(context);
        int multiprocessors = CudaDriver.attribute(CudaDriver.MULTIPROCESSOR_COUNT, device);
        return new CudaKernels(new KernelModule.Card(major, minor, multiprocessors, nvrtc.get(), cache), context);
    }

    /// Makes the card's context current on the calling thread: needed once on a thread that has called no CUDA yet.
    public void bindThread() {
        CudaDriver.setCurrent(context);
    }

    /// What the kernels were compiled for, `sm_90`.
    public String arch() {
        return card.arch();
    }

    public RmsNorm rmsNorm() {
        return rmsNorm;
    }

    public Columns columns() {
        return columns;
    }

    public Rope rope() {
        return rope;
    }

    public SwiGlu swiGlu() {
        return swiGlu;
    }

    public CrossEntropy crossEntropy() {
        return crossEntropy;
    }

    public Embedding embedding() {
        return embedding;
    }

    public GradientNorm gradientNorm() {
        return gradientNorm;
    }

    public Elementwise elementwise() {
        return elementwise;
    }

    public Dequantise dequantise() {
        return dequantise;
    }

    /// The optimizer for one way of keeping weights, moments and gradients; compiled when it is asked for.
    public AdamW adamW(AdamW.Weights weights, AdamW.Moments moments, GradientType gradients) {
        return new AdamW(card, weights, moments, gradients);
    }
}
