package org.sftnative.tune.study;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.databind.json.JsonMapper;

/// A study as one page that needs nothing else: the charts' code (ECharts) is in it, and no network is asked.
public final class StudyPage {
    private static final String ECHARTS = "/META-INF/resources/webjars/echarts/5.3.1/dist/echarts.min.js";
    private static final JsonMapper JSON = new JsonMapper();

    private StudyPage() {}

    /// The page's text.
    public static String of(StudyResults study) {
        Map<String, Object> data = new LinkedHashMap<>();
        data.put("summary", study.summary());
        data.put("metric", study.metric());
        data.put("mode", study.mode().toString());
        data.put("time", study.timeAttribute());
        data.put("names", study.names());
        data.put("best", study.best().map(TrialRow::number).orElse(-1));
        data.put("trials", study.rows().stream().map(StudyPage::trial).toList());
        data.put(
                "importance",
                study.importance().entrySet().stream()
                        .map(e -> Map.of("setting", e.getKey(), "share", e.getValue()))
                        .toList());
        data.put(
                "rungs",
                study.rungs().stream()
                        .map(rung -> Map.of(
                                "bracket",
                                rung.bracket(),
                                "age",
                                rung.age(),
                                "trials",
                                rung.metrics().entrySet().stream()
                                        .map(e -> Arrays.asList(e.getKey(), finite(e.getValue())))
                                        .toList()))
                        .toList());
        // a text in it must not end the script
        String json = JSON.writeValueAsString(data).replace("<", "\\u003c");
        return resource("page.html")
                .replace("/*DATA*/", json)
                .replace("/*ECHARTS*/", resource(ECHARTS).replace("</script", "<\\/script"));
    }

    private static Map<String, Object> trial(TrialRow row) {
        Map<String, Object> trial = new LinkedHashMap<>();
        trial.put("number", row.number());
        trial.put("values", row.values());
        trial.put("state", row.state().toString());
        trial.put("seconds", row.seconds());
        trial.put("why", row.why());
        trial.put("value", row.value().isPresent() ? finite(row.value().getAsDouble()) : null);
        List<List<Object>> reports = new ArrayList<>();
        row.reports().forEach(r -> reports.add(Arrays.asList(r.time(), finite(r.metric()))));
        trial.put("reports", reports);
        return trial;
    }

    /// JSON has no word for what is not finite.
    private static Object finite(double x) {
        return Double.isFinite(x) ? (Object) x : null;
    }

    private static String resource(String name) {
        try (InputStream in = StudyPage.class.getResourceAsStream(name)) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
