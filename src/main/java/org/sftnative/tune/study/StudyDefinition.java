package org.sftnative.tune.study;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Objects;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import org.sftnative.InputException;
import org.sftnative.tune.Asha;
import org.sftnative.tune.GridSearcher;
import org.sftnative.tune.MedianStopping;
import org.sftnative.tune.Mode;
import org.sftnative.tune.NoScheduler;
import org.sftnative.tune.RandomSearcher;
import org.sftnative.tune.Scheduler;
import org.sftnative.tune.SearchSpace;
import org.sftnative.tune.Searcher;
import org.sftnative.tune.TpeSearcher;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.json.JsonMapper;

/// What a study is: whoever works on it takes it from the storage, and a study that goes on must be the same.
///
/// @param run the settings that all trials share, as given: name to texts
/// @param space the search space's entries, as given: name to text
/// @param spaceText the search space's file
/// @param spaceMeaning text that two spaces share if they mean the same
/// @param search what else decides: searcher, scheduler, metric, seed: name to text
/// @param directory where paths in settings start from, and where trials run
/// @param output the study's directory, absolute
public record StudyDefinition(
        SortedMap<String, List<String>> run,
        SortedMap<String, String> space,
        String spaceText,
        String spaceMeaning,
        SortedMap<String, String> search,
        String directory,
        String output) {
    private static final JsonMapper JSON = new JsonMapper();

    String json() {
        return JSON.writeValueAsString(this);
    }

    static StudyDefinition of(String json) {
        try {
            return JSON.readValue(json, StudyDefinition.class);
        } catch (JacksonException e) {
            throw new InputException("the study's definition in the storage is damaged: " + e.getOriginalMessage(), e);
        }
    }

    SearchSpace parsedSpace() {
        return SearchSpace.parse(spaceText, "the study's space");
    }

    Mode mode() {
        return Mode.valueOf(search.get("mode").toUpperCase(Locale.ROOT));
    }

    /// What chooses the trials' settings.
    ///
    /// @param space the study's, under the name that messages shall have
    /// @throws InputException if the searcher does not take it
    Searcher searcher(SearchSpace space) {
        long seed = Long.parseLong(search.get("seed"));
        return switch (search.get("searcher")) {
            case "random" -> new RandomSearcher(space, seed);
            case "grid" -> new GridSearcher(space);
            default -> new TpeSearcher(space, seed, mode());
        };
    }

    /// A scheduler that was told nothing yet.
    Scheduler scheduler() {
        return switch (search.get("scheduler")) {
            case "asha" ->
                new Asha(
                        new Asha.Settings(
                                mode(),
                                Double.parseDouble(search.get("max_t")),
                                Double.parseDouble(search.get("grace_period")),
                                Double.parseDouble(search.get("reduction_factor")),
                                Integer.parseInt(search.get("brackets")),
                                Boolean.parseBoolean(search.get("stop_last_trials"))),
                        Long.parseLong(search.get("seed")));
            case "median" ->
                new MedianStopping(
                        new MedianStopping.Settings(mode(), Double.parseDouble(search.get("grace_period")), 3));
            default -> new NoScheduler();
        };
    }

    /// Refuses to go on with a study as another one.
    ///
    /// @param runNow what `run` would be now, and so on
    /// @throws InputException naming each difference with both values
    void mustEqual(
            SortedMap<String, List<String>> runNow,
            String meaningNow,
            SortedMap<String, String> spaceNow,
            SortedMap<String, String> searchNow) {
        List<String> different = new ArrayList<>();
        compare("", new TreeMap<String, Object>(search), new TreeMap<String, Object>(searchNow), different);
        if (!spaceMeaning.equals(meaningNow)) {
            compare(
                    " in the space",
                    new TreeMap<String, Object>(space),
                    new TreeMap<String, Object>(spaceNow),
                    different);
        }
        compare(" of every trial", shared(run), shared(runNow), different);
        if (!different.isEmpty()) {
            throw new InputException("the study in " + output + " is another one:\n" + String.join("\n", different)
                    + "\n  go on with what it began with, or choose another --output-dir");
        }
    }

    private static Map<String, Object> shared(SortedMap<String, List<String>> run) {
        Map<String, Object> values = new LinkedHashMap<>();
        run.forEach((name, texts) -> values.put(name, texts.size() == 1 ? texts.getFirst() : texts));
        return values;
    }

    private static void compare(String where, Map<String, Object> was, Map<String, Object> is, List<String> different) {
        TreeSet<String> names = new TreeSet<>(was.keySet());
        names.addAll(is.keySet());
        for (String name : names) {
            if (!Objects.equals(was.get(name), is.get(name))) {
                different.add("  " + name + where + " was " + shown(was.get(name)) + ", is " + shown(is.get(name)));
            }
        }
    }

    private static String shown(Object value) {
        return value == null ? "not given" : value.toString();
    }
}
