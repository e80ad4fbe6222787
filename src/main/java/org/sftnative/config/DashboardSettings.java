package org.sftnative.config;

import java.nio.file.Path;

/// What `dashboard` is told.
public record DashboardSettings(
        @Setting(doc = "output directory of a run, going on or done; the same as OUT", required = true)
        Path run,

        @Setting(doc = "port of the page; 0: a free one", value = "0")
        int port,

        @Setting(
                doc = "address that the page is served on; any but this machine's own needs the printed token",
                value = "127.0.0.1")
        String host) {
    public DashboardSettings {
        Check.that(port >= 0 && port <= 65_535, "port", port, "a port, or 0");
    }
}
