package org.sftnative.io;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import org.sftnative.InputException;

/// The JSON header of a safetensors file, read strictly: every tensor is checked against the length of the buffer,
/// and the tensors together must cover the buffer without hole or overlap.
///
/// @param metadata the `__metadata__` strings
/// @param tensors by name, in the order of the buffer
record SafetensorsHeader(Map<String, String> metadata, SequencedMap<String, TensorInfo> tensors) {
    /// More dimensions than any tensor library has; without it a list of zeros would grow far beyond the header.
    private static final int MOST_DIMENSIONS = 64;

    /// @param file named in messages
    /// @param json the header
    /// @param bufferBytes what follows the header in the file
    /// @throws InputException naming the file, and the tensor if one is being read
    static SafetensorsHeader parse(Path file, byte[] json, long bufferBytes) {
        return new Parser(file, json, bufferBytes).parse();
    }

    private static final class Parser {
        private static final String METADATA = "__metadata__";

        private final Path file;
        private final JsonCursor cursor;
        private final long bufferBytes;
        private final Map<String, String> metadata = new LinkedHashMap<>();
        private final List<TensorInfo> tensors = new ArrayList<>();
        private String where = "";

        Parser(Path file, byte[] json, long bufferBytes) {
            this.file = file;
            this.cursor = new JsonCursor(json);
            this.bufferBytes = bufferBytes;
        }

        SafetensorsHeader parse() {
            try {
                cursor.object("tensor", name -> {
                    where = name.equals(METADATA) ? METADATA + ": " : "tensor '" + Shown.text(name) + "': ";
                    if (name.equals(METADATA)) {
                        cursor.object("key", key -> metadata.put(key, cursor.string()));
                    } else {
                        tensors.add(tensor(name));
                    }
                    where = "";
                });
                cursor.end();
            } catch (JsonCursor.Refused e) {
                throw new InputException(
                        file + ": " + where + e.getMessage() + " (byte " + cursor.offset() + " of the header)"
                                + "\n  the header is damaged or was not written by safetensors: get the file again",
                        e);
            }
            tensors.sort(Comparator.comparingLong(TensorInfo::begin).thenComparingLong(TensorInfo::end));
            checkCover();
            SequencedMap<String, TensorInfo> byName = new LinkedHashMap<>();
            tensors.forEach(tensor -> byName.put(tensor.name(), tensor));
            return new SafetensorsHeader(
                    Collections.unmodifiableMap(metadata), Collections.unmodifiableSequencedMap(byName));
        }

        private TensorInfo tensor(String name) throws JsonCursor.Refused {
            var fields = new Object() {
                Optional<StoredDtype> dtype = Optional.empty();
                Optional<List<Long>> shape = Optional.empty();
                Optional<List<Long>> offsets = Optional.empty();
            };
            cursor.object("field", field -> {
                switch (field) {
                    case "dtype" -> {
                        String spelled = cursor.string();
                        fields.dtype = Optional.of(StoredDtype.named(spelled)
                                .orElseThrow(() -> new JsonCursor.Refused(
                                        "dtype '" + Shown.text(spelled) + "' is not one of the format's")));
                    }
                    case "shape" -> fields.shape = Optional.of(integers("shape", MOST_DIMENSIONS));
                    case "data_offsets" -> fields.offsets = Optional.of(integers("data_offsets", 2));
                    default -> cursor.skipValue();
                }
            });
            StoredDtype dtype = given(fields.dtype, "dtype");
            List<Long> shape = given(fields.shape, "shape");
            List<Long> offsets = given(fields.offsets, "data_offsets");
            if (offsets.size() != 2) {
                throw new JsonCursor.Refused("data_offsets has " + offsets.size() + " numbers, must have 2");
            }
            long begin = offsets.get(0);
            long end = offsets.get(1);
            if (begin > end) {
                throw new JsonCursor.Refused("data_offsets " + offsets + " begin after they end");
            }
            long bytes = dtype.bytesOf(shape)
                    .orElseThrow(() -> new JsonCursor.Refused(
                            "shape " + shape + " of " + dtype + " is no size: it overflows or ends within a byte"));
            if (end - begin != bytes) {
                throw new JsonCursor.Refused("shape " + shape + " of " + dtype + " is " + bytes
                        + " bytes, data_offsets " + offsets + " hold " + (end - begin));
            }
            if (end > bufferBytes) {
                throw new JsonCursor.Refused("data_offsets " + offsets + " end beyond the " + bufferBytes
                        + " bytes of the file's buffer: the file is cut short");
            }
            return new TensorInfo(name, dtype, shape, begin, end);
        }

        private List<Long> integers(String field, int most) throws JsonCursor.Refused {
            List<Long> numbers = new ArrayList<>();
            cursor.array(() -> {
                if (numbers.size() == most) {
                    throw new JsonCursor.Refused(field + " has more than " + most + " numbers");
                }
                numbers.add(cursor.unsigned("a number of " + field));
            });
            return numbers;
        }

        private static <T> T given(Optional<T> field, String name) throws JsonCursor.Refused {
            return field.orElseThrow(() -> new JsonCursor.Refused("the field '" + name + "' is missing"));
        }

        private void checkCover() {
            long covered = 0;
            String previous = "the start of the buffer";
            for (TensorInfo tensor : tensors) {
                String name = "tensor '" + Shown.text(tensor.name()) + "'";
                if (tensor.begin() > covered) {
                    throw new InputException(file + ": " + name + ": a hole of " + (tensor.begin() - covered)
                            + " bytes before it, after " + previous);
                }
                if (tensor.begin() < covered) {
                    throw new InputException(file + ": " + name + ": overlaps " + previous + " by "
                            + (covered - tensor.begin()) + " bytes");
                }
                covered = tensor.end();
                previous = name;
            }
            if (covered != bufferBytes) {
                throw new InputException(file + ": " + (bufferBytes - covered) + " bytes follow " + previous
                        + ", which the header does not name\n  the file is too long: get it again");
            }
        }
    }
}
