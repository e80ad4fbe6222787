package org.sftnative.cli;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;

class DoctorTest {
    /// The default build's natives are the CPU's: no card is no fault there.
    @Test
    void soundMachineWithoutACardHasNoFaults() {
        List<String> lines = new ArrayList<>();
        assertTrue(new Doctor(lines::add).examine(), lines.toString());
        assertTrue(
                lines.stream().anyMatch(l -> l.matches("cpu +\\d+ threads of \\d+ processors, [1-9]\\d* GFLOP/s.*")),
                lines.toString());
        assertTrue(
                lines.contains("card            none that libtorch can use: training is on the CPU"), lines.toString());
        assertEquals("no faults found", lines.getLast());
    }
}
