package org.sftnative.config;

import java.net.URI;
import java.net.URISyntaxException;
import java.util.Optional;
import org.sftnative.InputException;

/// How a run is watched, what is told of it and to whom, and when it ends early.
public record MonitorSettings(
        @Setting(doc = "show the run live on a page of this port; without a number: a free one, printed", bare = "0")
        Optional<Integer> dashboard,

        @Setting(
                doc = "address that the page is served on; any but this machine's own needs the printed token",
                value = "127.0.0.1")
        String dashboardHost,

        @Setting(doc = "post alerts, and the end of the run, as JSON to this http or https address")
        Optional<String> alertUrl,

        @Setting(doc = "end the run after this many evaluations in a row that did not improve; 0: never", value = "0")
        int earlyStoppingPatience,

        @Setting(doc = "how much metric_for_best_model must change to have improved", value = "0.0")
        double earlyStoppingThreshold,

        @Setting(
                doc = "evaluation rows that the model answers at each evaluation, for the report; 0: none",
                value = "3")
        int reportSamples,

        @Setting(doc = "print warnings and alerts only", value = "false")
        boolean quiet,

        @Setting(doc = "print one JSON object a line for each event, for machines", value = "false")
        boolean json) {
    /// Shows nothing, and never ends early.
    public static final MonitorSettings NONE =
            new MonitorSettings(Optional.empty(), "127.0.0.1", Optional.empty(), 0, 0, 0, false, false);

    public MonitorSettings {
        dashboard.ifPresent(port -> Check.that(port >= 0 && port <= 65_535, "dashboard", port, "a port, or 0"));
        alertUrl.ifPresent(url -> Check.that(isHttp(url), "alert_url", "'" + url + "'", "an http or https address"));
        Check.that(earlyStoppingPatience >= 0, "early_stopping_patience", earlyStoppingPatience, "0 or more");
        Check.that(
                earlyStoppingThreshold >= 0 && Double.isFinite(earlyStoppingThreshold),
                "early_stopping_threshold",
                earlyStoppingThreshold,
                "0 or more");
        Check.that(reportSamples >= 0 && reportSamples <= 100, "report_samples", reportSamples, "from 0 to 100");
        if (quiet && json) {
            throw new InputException("quiet and json are both set\n  keep one: json prints every event");
        }
    }

    private static boolean isHttp(String url) {
        try {
            URI uri = new URI(url);
            return uri.getHost() != null && ("http".equals(uri.getScheme()) || "https".equals(uri.getScheme()));
        } catch (URISyntaxException e) {
            return false;
        }
    }
}
