package org.sftnative.metrics;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.List;

/// `report.html`: the curves, events, samples and settings of one run or several, in one file that needs no network.
public final class ReportPage {
    private static final String ECHARTS = "/META-INF/resources/webjars/echarts/5.3.1/dist/echarts.min.js";

    private ReportPage() {}

    /// The page with its data in it.
    public static String of(List<RunHistory> runs) {
        return page(RunHistory.script(runs), "null");
    }

    /// The runs as one line of JSON: what the live page is sent.
    public static String data(List<RunHistory> runs) {
        return RunHistory.script(runs);
    }

    /// The page that asks its own server for the data, again and again.
    ///
    /// @param token that the buttons send with what they ask for
    public static String live(String token) {
        if (!token.matches("[A-Za-z0-9_-]+")) {
            throw new IllegalArgumentException("a token of other characters than letters, digits, - and _");
        }
        return page("[]", "\"" + token + "\"");
    }

    private static String page(String runs, String token) {
        return resource("report.html")
                .replace("/*ECHARTS*/", resource(ECHARTS))
                .replace("/*SCRIPT*/", resource("report.js"))
                .replace("/*TOKEN*/", token)
                .replace("/*RUNS*/", runs); // last: rows may say anything
    }

    private static String resource(String name) {
        try (InputStream in = ReportPage.class.getResourceAsStream(name)) {
            if (in == null) {
                throw new IllegalStateException("the build lacks " + name);
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
