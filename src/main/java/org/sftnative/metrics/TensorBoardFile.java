package org.sftnative.metrics;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.time.Clock;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Consumer;
import java.util.zip.CRC32C;

/// Scalars as TensorBoard reads them: one `events.out.tfevents.*` file each time that a run begins, is resumed, or
/// goes back to a checkpoint, in a folder that `tensorboard --logdir` takes.
///
/// A file is TFRecords (length, its masked CRC-32C, bytes, theirs) of `Event` messages (tensorflow's event.proto):
/// wall_time = 1 (double), step = 2 (int64), file_version = 3 (string), summary = 5; a summary's value = 1 with tag = 1
/// and simple_value = 2 (float). A resumed run's first event is a session log START (7), which tells TensorBoard to
/// forget what the run before it logged beyond that step. `train/mfu` is there where the card's rate is known.
public final class TensorBoardFile implements RunListener {
    private static final int MASK_DELTA = 0xa282ead8;
    private static final int SESSION_START = 1;

    private final Path folder;
    private final Clock clock;
    private final Consumer<String> complain;
    private double flopsPerToken;
    private double peakFlops;
    private Path file;
    private int files;
    private long tokens;
    private boolean broken;

    /// @param folder usually `runs` of the output directory; made when the run starts
    /// @param complain told, once, that scalars are being lost; the run goes on
    public TensorBoardFile(Path folder, Clock clock, Consumer<String> complain) {
        this.folder = folder;
        this.clock = clock;
        this.complain = complain;
        this.file = folder;
    }

    @Override
    public void on(RunEvent event) {
        switch (event) {
            case RunEvent.Started started -> {
                if (started.flopsPerToken() > 0) {
                    flopsPerToken = started.flopsPerToken();
                    peakFlops = started.peakFlops();
                }
                start(started.firstStep());
            }
            case RunEvent.StepDone step -> {
                if (step.logged()) {
                    logged(step);
                }
            }
            case RunEvent.Evaluated e -> scalars(e.step(), Map.of("eval/loss", e.loss(), "eval/runtime", e.seconds()));
            case RunEvent.Finished f -> scalars(f.step(), Map.of("train/train_loss", f.trainLoss()));
            default -> {}
        }
    }

    private void start(long firstStep) {
        file = folder.resolve("events.out.tfevents.%d.%d.%d.sft-native"
                .formatted(clock.millis() / 1000, ProcessHandle.current().pid(), files++));
        try {
            Files.createDirectories(folder);
            write(event(0).string(3, "brain.Event:2"), StandardOpenOption.CREATE_NEW);
            if (firstStep > 0) {
                forgetFrom(firstStep + 1);
            }
        } catch (IOException e) {
            lost(e);
        }
    }

    /// Tells TensorBoard that what was logged of this step and later ones is not of this run any more.
    private void forgetFrom(long step) throws IOException {
        write(event(step).message(7, new Message().varint(1, SESSION_START)), StandardOpenOption.APPEND);
    }

    private void logged(RunEvent.StepDone step) {
        tokens += step.tokens();
        Map<String, Double> values = new LinkedHashMap<>();
        values.put("train/loss", step.loss());
        values.put("train/grad_norm", step.gradNorm());
        values.put("train/learning_rate", step.learningRate());
        values.put("train/epoch", step.epoch());
        values.put("train/tokens_per_second", step.tokensPerSecond());
        values.put("train/tokens_seen", (double) tokens);
        values.put("train/peak_bytes", (double) step.peakBytes());
        if (flopsPerToken > 0 && peakFlops > 0) {
            values.put("train/mfu", step.tokensPerSecond() * flopsPerToken / peakFlops);
        }
        scalars(step.step(), values);
    }

    private void scalars(long step, Map<String, Double> values) {
        if (broken) {
            return;
        }
        Message summary = new Message();
        values.forEach(
                (tag, value) -> summary.message(1, new Message().string(1, tag).fixed32(2, value.floatValue())));
        try {
            write(event(step).message(5, summary), StandardOpenOption.APPEND);
        } catch (IOException e) {
            lost(e);
        }
    }

    private void lost(IOException e) {
        if (!broken) {
            broken = true;
            complain.accept(
                    "TensorBoard's scalars are being lost: " + file + " cannot be written (" + e.getMessage() + ")");
        }
    }

    private Message event(long step) {
        return new Message().fixed64(1, clock.millis() / 1e3).varint(2, step);
    }

    private void write(Message event, StandardOpenOption how) throws IOException {
        byte[] data = event.bytes();
        ByteBuffer record = ByteBuffer.allocate(16 + data.length).order(ByteOrder.LITTLE_ENDIAN);
        record.putLong(data.length);
        record.putInt(masked(record.array(), 0, 8));
        record.put(data);
        record.putInt(masked(data, 0, data.length));
        Files.write(file, record.array(), StandardOpenOption.WRITE, how);
    }

    /// TFRecord's CRC: rotated and shifted, so that a CRC of data with CRCs in it is sound.
    private static int masked(byte[] bytes, int from, int length) {
        CRC32C crc = new CRC32C();
        crc.update(bytes, from, length);
        return Integer.rotateRight((int) crc.getValue(), 15) + MASK_DELTA;
    }

    /// A protocol buffer's message in its wire format.
    private static final class Message {
        private final ByteArrayOutputStream out = new ByteArrayOutputStream();

        Message varint(int field, long value) {
            raw((long) field << 3);
            raw(value);
            return this;
        }

        Message fixed64(int field, double value) {
            raw((long) field << 3 | 1);
            out.writeBytes(ByteBuffer.allocate(8)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putDouble(value)
                    .array());
            return this;
        }

        Message fixed32(int field, float value) {
            raw((long) field << 3 | 5);
            out.writeBytes(ByteBuffer.allocate(4)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putFloat(value)
                    .array());
            return this;
        }

        Message string(int field, String text) {
            return bytes(field, text.getBytes(StandardCharsets.UTF_8));
        }

        Message message(int field, Message inner) {
            return bytes(field, inner.bytes());
        }

        byte[] bytes() {
            return out.toByteArray();
        }

        private Message bytes(int field, byte[] bytes) {
            raw((long) field << 3 | 2);
            raw(bytes.length);
            out.writeBytes(bytes);
            return this;
        }

        private void raw(long value) {
            long rest = value;
            while ((rest & ~0x7fL) != 0) {
                out.write((int) (rest & 0x7f | 0x80));
                rest >>>= 7;
            }
            out.write((int) rest);
        }
    }
}
