package org.sftnative.tune;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.sftnative.InputException;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingValue;
import org.sftnative.config.SettingsFile;
import org.sftnative.config.SettingsSchema;

/// Which settings of a run vary, and how: YAML in Ray Tune's words (see `SpaceReader`). Settings that it does not name
/// stay as the run's own settings have them.
public final class SearchSpace {
    /// The study gives each trial its own.
    private static final List<String> NOT_VARIED =
            List.of("output_dir", "overwrite_output_dir", "resume_from_checkpoint", "allow_changed");

    private static final int MOST_CELLS = 1_000_000;

    /// Settings of trials that `check` looks at as wholes.
    private static final int CHECKED_SAMPLES = 256;

    private final SettingsSchema<RunSettings> schema;
    private final Map<String, List<Parameter>> parameters;
    private final List<String> names;
    private final List<Map<String, Object>> gridCells;

    private SearchSpace(SettingsSchema<RunSettings> schema, List<Parameter> read, String name) {
        this.schema = schema;
        this.names = read.stream().map(Parameter::setting).distinct().toList();
        Map<String, List<Parameter>> bySetting = read.stream()
                .collect(Collectors.groupingBy(Parameter::setting, LinkedHashMap::new, Collectors.toList()));
        if (bySetting.isEmpty()) {
            throw new InputException(name + " names no settings\n  sft-native tune --example prints a search space");
        }
        for (String setting : NOT_VARIED) {
            if (bySetting.containsKey(setting)) {
                throw new InputException("setting '" + setting + "' ("
                        + bySetting.get(setting).getFirst().origin()
                        + ") is the study's to choose\n  leave it out of the search space");
            }
        }
        this.parameters = inOrderOfNeed(bySetting);
        read.forEach(this::checkConditions);
        this.gridCells = cells(Parameter::isGrid);
    }

    /// @throws InputException naming the file's line: YAML that is none, an unknown setting or word, a value that is
    /// not
    ///     of its setting's type, an empty range, a logarithm of 0, conditions that cannot hold
    public static SearchSpace read(Path yaml) {
        return parse(SettingsFile.text(yaml), yaml.toString());
    }

    /// @param name for messages
    /// @throws InputException as `read` does
    public static SearchSpace parse(String yaml, String name) {
        SettingsSchema<RunSettings> schema = SettingsSchema.of(RunSettings.class);
        return new SearchSpace(schema, SpaceReader.read(schema, yaml, name), name);
    }

    /// The search space of the tutorial, with what else can be written as comments.
    public static String example() {
        return """
                # What varies between trials; everything else is as run.yaml has it.
                learning_rate: loguniform(1e-5, 1e-3)
                per_device_train_batch_size: choice([2, 4, 8])
                num_train_epochs: choice([2, 3, 5])
                warmup_ratio: uniform(0.0, 0.2)

                # Also: quniform(0.0, 0.2, 0.05), qloguniform(1e-5, 1e-3, 1e-5), randint(1, 8) without the 8,
                # lograndint(1, 64), qrandint(8, 64, 8) with both ends, randn(0.1, 0.01), and
                # grid_search([1, 2]): each value with every sample, so that there are twice as many trials.
                # A plain value is a constant. A setting may depend on others, which stand in this file too:
                #
                # lr_scheduler_type: choice([cosine, cosine_with_min_lr])
                # min_lr_rate:
                #   when: {lr_scheduler_type: cosine_with_min_lr}   # or a list of values, or "> 4", "<= 4", "!= 4"
                #   value: uniform(0.0, 0.5)
                # weight_decay:                                     # the first entry whose condition holds
                #   - when: {num_train_epochs: ">= 3"}
                #     value: loguniform(1e-3, 1e-1)
                #   - value: 0
                """;
    }

    /// The settings in the order of the file.
    public List<String> names() {
        return names;
    }

    /// The space as text that two files share if and only if they mean the same: what a stored study compares.
    public String canonical() {
        return parameters.values().stream()
                .flatMap(List::stream)
                .map(p -> p.key() + ": " + p.domain() + (p.when().isEmpty() ? "" : " when " + p.when()))
                .sorted()
                .collect(Collectors.joining("\n", "", "\n"));
    }

    /// Looks for every value that a run would refuse, before the first trial: both ends of each range and each value of
    /// a choice alone, and the settings of the first trials of a random search as wholes.
    ///
    /// @param base the run's own settings, in layers; a setting of the space wins over them
    /// @throws InputException naming the setting, its line and what is allowed
    @SafeVarargs
    public final void check(List<SettingValue>... base) {
        for (List<Parameter> entries : parameters.values()) {
            for (Parameter parameter : entries) {
                for (Object value : parameter.domain().extremes()) {
                    checkAlone(parameter, value, base);
                }
            }
        }
        for (int trial = 0; trial < CHECKED_SAMPLES; trial++) {
            Map<String, Object> values = sample(0, trial);
            try {
                bind(values, base);
            } catch (InputException e) {
                throw new InputException(
                        e.getMessage() + "\n  as the search space may choose: " + values
                                + "\n  write conditions with 'when'",
                        e);
            }
        }
    }

    /// The settings of one trial of a random search: a function of the two numbers and each setting's own entry.
    /// Where there is a grid, trial k has its cell k mod `gridCells().size()`.
    public Map<String, Object> sample(long seed, int trial) {
        List<Map<String, Object>> cells = gridCells();
        Map<String, Object> cell = cells.get(Math.floorMod(trial, cells.size()));
        return assign(parameter -> parameter.isGrid()
                ? cell.get(parameter.setting())
                : parameter.domain().draw(Draws.of(seed, trial, parameter.key())));
    }

    /// The combinations of `grid_search` values, in Ray's order: the first setting by name changes fastest. One that is
    /// empty if there is no grid.
    List<Map<String, Object>> gridCells() {
        return gridCells;
    }

    /// The combinations of the values of the parameters that `inGrid` takes, all of choices; combinations that differ
    /// only in what does not count under their conditions are one.
    ///
    /// @throws InputException if there are too many, or one depends on a value that is drawn
    List<Map<String, Object>> cells(Predicate<Parameter> inGrid) {
        List<Parameter> grid = parameters.values().stream()
                .flatMap(List::stream)
                .filter(inGrid)
                .sorted(Comparator.comparing(Parameter::key))
                .toList();
        long count = 1;
        for (Parameter parameter : grid) {
            checkGridCondition(parameter, inGrid);
            count *= parameter.domain().extremes().size();
            if (count > MOST_CELLS) {
                throw new InputException("the grid has more than " + MOST_CELLS
                        + " combinations\n  write choice for some of its settings, and draw samples");
            }
        }
        Set<Map<String, Object>> cells = new LinkedHashSet<>();
        for (int cell = 0; cell < count; cell++) {
            Map<String, Object> picked = new LinkedHashMap<>();
            int rest = cell;
            for (Parameter parameter : grid) {
                List<Object> values = parameter.domain().extremes();
                picked.put(parameter.key(), values.get(rest % values.size()));
                rest /= values.size();
            }
            Map<String, Object> effective = new LinkedHashMap<>();
            Map<String, Object> all = assign(parameter -> picked.containsKey(parameter.key())
                    ? picked.get(parameter.key())
                    : parameter.domain().extremes().getFirst());
            for (Parameter parameter : active(all)) {
                if (picked.containsKey(parameter.key())) {
                    effective.put(parameter.setting(), picked.get(parameter.key()));
                }
            }
            cells.add(effective);
        }
        return List.copyOf(cells);
    }

    /// Gives each setting that counts a value, settings that others depend on first; in the order of the file.
    Map<String, Object> assign(Function<Parameter, Object> choose) {
        Map<String, Object> chosen = new LinkedHashMap<>();
        for (List<Parameter> entries : parameters.values()) {
            first(entries, chosen).ifPresent(parameter -> chosen.put(parameter.setting(), choose.apply(parameter)));
        }
        Map<String, Object> inOrder = new LinkedHashMap<>();
        names.stream().filter(chosen::containsKey).forEach(name -> inOrder.put(name, chosen.get(name)));
        return inOrder;
    }

    /// The parameters that gave a trial its values.
    List<Parameter> active(Map<String, Object> values) {
        return parameters.values().stream()
                .map(entries -> first(entries, values))
                .flatMap(Optional::stream)
                .filter(parameter -> values.containsKey(parameter.setting()))
                .toList();
    }

    /// Values that have been through storage, with their classes as `sample` gives them.
    public Map<String, Object> canonical(Map<String, Object> stored) {
        Map<String, Object> values = new LinkedHashMap<>();
        stored.forEach((name, value) ->
                schema.find(name).ifPresent(field -> values.put(field.name(), Values.canonical(field, value))));
        return values;
    }

    List<Parameter> parameters() {
        return parameters.values().stream().flatMap(List::stream).toList();
    }

    /// A trial's values as settings.
    ///
    /// @param origin for messages: `trial 3`
    public static List<SettingValue> settings(Map<String, Object> values, String origin) {
        return values.entrySet().stream()
                .map(e -> new SettingValue(e.getKey(), Values.texts(e.getValue()), origin))
                .toList();
    }

    private static Optional<Parameter> first(List<Parameter> entries, Map<String, Object> chosen) {
        return entries.stream().filter(entry -> entry.counts(chosen)).findFirst();
    }

    private void checkAlone(Parameter parameter, Object value, List<SettingValue>[] base) {
        Map<String, Object> values = new LinkedHashMap<>(sample(0, 0));
        values.put(parameter.setting(), value);
        try {
            bind(values, base);
        } catch (InputException e) {
            String about = "setting '" + parameter.setting() + "' ";
            if (e.getMessage().startsWith(about)) { // else it is a matter of two settings: not both may be chosen
                throw new InputException(
                        about + "(" + parameter.origin() + ")"
                                + e.getMessage().substring(about.length()).replaceFirst("^\\(search space\\)", ""),
                        e);
            }
        }
    }

    private void bind(Map<String, Object> values, List<SettingValue>[] base) {
        List<List<SettingValue>> layers = new ArrayList<>(List.of(base));
        layers.addFirst(List.of(new SettingValue("output_dir", List.of("trial"), "the study")));
        layers.add(settings(values, "search space"));
        @SuppressWarnings("unchecked")
        List<SettingValue>[] array = layers.toArray(List[]::new);
        schema.bind(schema.resolve(array));
    }

    private void checkConditions(Parameter parameter) {
        for (Condition condition : parameter.when()) {
            List<Parameter> others = parameters.get(condition.setting());
            String where = parameter.origin() + ": 'when' of '" + parameter.setting() + "' ";
            if (others == null) {
                throw new InputException(where + "asks for '" + condition.setting()
                        + "', which is not in the search space\n  add it, if only as a constant");
            }
            if (others.stream().noneMatch(other -> condition.possible(other.domain()))) {
                throw new InputException(where + "never holds: '" + condition.setting() + "' "
                        + (condition.test().equals("=") ? "is never " : "is never " + condition.test() + " ")
                        + condition.values().stream().map(Object::toString).collect(Collectors.joining(" or "))
                        + " (" + others.getFirst().origin() + ")");
            }
        }
    }

    private void checkGridCondition(Parameter parameter, Predicate<Parameter> inGrid) {
        for (Condition condition : parameter.when()) {
            for (Parameter other : parameters.get(condition.setting())) {
                if (!inGrid.test(other) && !(other.domain() instanceof Domain.Constant)) {
                    throw new InputException(parameter.origin() + ": the grid of '" + parameter.setting()
                            + "' depends on '" + other.setting()
                            + "', which is drawn\n  write choice instead of grid_search for the one, or the reverse for"
                            + " the other");
                }
            }
        }
    }

    /// Settings after those that their conditions ask for.
    private static Map<String, List<Parameter>> inOrderOfNeed(Map<String, List<Parameter>> bySetting) {
        Map<String, List<Parameter>> ordered = new LinkedHashMap<>();
        Set<String> open = new LinkedHashSet<>();
        bySetting.keySet().forEach(setting -> visit(setting, bySetting, open, ordered));
        return ordered;
    }

    private static void visit(
            String setting, Map<String, List<Parameter>> all, Set<String> open, Map<String, List<Parameter>> ordered) {
        if (ordered.containsKey(setting) || !all.containsKey(setting)) {
            return;
        }
        if (!open.add(setting)) {
            throw new InputException(all.get(setting).getFirst().origin() + ": the conditions of "
                    + open.stream().map(name -> "'" + name + "'").collect(Collectors.joining(" and "))
                    + " go round in a circle");
        }
        for (Parameter parameter : all.get(setting)) {
            parameter.when().forEach(condition -> visit(condition.setting(), all, open, ordered));
        }
        open.remove(setting);
        ordered.put(setting, all.get(setting));
    }
}
