package org.sftnative.metrics;

import java.util.Locale;

/// Numbers as a person reads them. The same in every locale, so that logs can be compared.
public final class Units {
    private Units() {}

    /// `512 B`, `1.5 KiB`, `61.2 GiB`.
    public static String bytes(long bytes) {
        double value = bytes;
        int unit = 0;
        for (; Math.abs(value) >= 1024 && unit < 4; unit++) {
            value /= 1024;
        }
        return unit == 0 ? bytes + " B" : format("%.1f %ciB", value, " KMGT".charAt(unit));
    }

    /// `999`, `12.3k`, `4.56M`, `1.23B`: counts of tokens and parameters.
    public static String count(long count) {
        long size = Math.abs(count);
        if (size < 10_000) {
            return Long.toString(count);
        }
        return size < 1_000_000
                ? format("%.1fk", count / 1e3)
                : size < 1_000_000_000 ? format("%.2fM", count / 1e6) : format("%.2fB", count / 1e9);
    }

    /// `850ms`, `4.2s`, `3m05s`, `2h07m`, `3d04h`.
    public static String duration(double seconds) {
        if (!Double.isFinite(seconds) || seconds < 0) {
            return "?";
        }
        long whole = Math.round(seconds);
        if (whole < 60) {
            return seconds < 1 ? format("%.0fms", seconds * 1e3) : format("%.1fs", seconds);
        }
        if (whole < 3600) {
            return format("%dm%02ds", whole / 60, whole % 60);
        }
        long minutes = whole / 60;
        return minutes < 24 * 60
                ? format("%dh%02dm", minutes / 60, minutes % 60)
                : format("%dd%02dh", minutes / 1440, minutes / 60 % 24);
    }

    /// `3,530 tok/s`.
    public static String tokensPerSecond(double rate) {
        return format(rate < 100 ? "%,.1f tok/s" : "%,.0f tok/s", rate);
    }

    static String format(String pattern, Object... values) {
        return String.format(Locale.ROOT, pattern, values);
    }
}
