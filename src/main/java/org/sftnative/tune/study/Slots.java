package org.sftnative.tune.study;

import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Deque;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.sftnative.InputException;

/// Places for trials on this machine: as many as run at a time, each with its GPUs.
public final class Slots {
    private final Deque<String> free = new ArrayDeque<>();
    private final int size;

    private Slots(List<String> places) {
        free.addAll(places);
        size = places.size();
    }

    /// Places without GPUs of their own.
    public static Slots of(int concurrent) {
        return new Slots(Collections.nCopies(concurrent, ""));
    }

    /// @param concurrent most trials at a time
    /// @param gpus names of the machine's, as CUDA_VISIBLE_DEVICES has them
    /// @param perTrial whole GPUs, or a part of one below 1
    /// @throws InputException if no trial fits
    public static Slots of(int concurrent, List<String> gpus, double perTrial) {
        if (perTrial == 0) {
            return of(concurrent);
        }
        List<String> places = new ArrayList<>();
        if (perTrial < 1) {
            // one on each first, then a second on each
            for (int share = 0; share < (int) Math.floor(1 / perTrial + 1e-9); share++) {
                places.addAll(gpus);
            }
        } else {
            int each = (int) perTrial;
            for (int first = 0; first + each <= gpus.size(); first += each) {
                places.add(String.join(",", gpus.subList(first, first + each)));
            }
        }
        if (places.isEmpty()) {
            throw new InputException("a trial needs " + perTrial + " GPUs, this machine has " + gpus.size()
                    + "\n  lower --gpus-per-trial, or set CUDA_VISIBLE_DEVICES");
        }
        return new Slots(places.subList(0, Math.min(concurrent, places.size())));
    }

    /// How many there are.
    public int size() {
        return size;
    }

    Optional<String> take() {
        return Optional.ofNullable(free.poll());
    }

    void give(String place) {
        free.addFirst(place);
    }

    boolean hasFree() {
        return !free.isEmpty();
    }

    /// What a process in a place is told.
    static Map<String, String> environment(String place) {
        return place.isEmpty() ? Map.of() : Map.of("CUDA_VISIBLE_DEVICES", place);
    }
}
