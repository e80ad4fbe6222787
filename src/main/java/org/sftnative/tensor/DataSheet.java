package org.sftnative.tensor;

import java.util.List;
import java.util.Optional;

/// Of a card's data sheet.
///
/// @param name part of the card's name
/// @param teraflops bf16, dense
/// @param terabytes a second
public record DataSheet(String name, double teraflops, double terabytes) {
    private static final List<DataSheet> KNOWN = List.of(
            new DataSheet("H200", 989, 4.8),
            new DataSheet("H100 80GB HBM3", 989, 3.35),
            new DataSheet("H100 PCIe", 756, 2.0),
            new DataSheet("A100-SXM4-80GB", 312, 2.04),
            new DataSheet("A100 80GB PCIe", 312, 1.94),
            new DataSheet("A100-SXM4-40GB", 312, 1.56),
            new DataSheet("L40S", 362, 0.86),
            new DataSheet("RTX 4090", 165, 1.01));

    /// @param card the name that CUDA gives it
    /// @return absent if its data sheet is not known here
    public static Optional<DataSheet> of(String card) {
        return KNOWN.stream().filter(sheet -> card.contains(sheet.name)).findFirst();
    }
}
