package org.sftnative.config;

import java.lang.reflect.Constructor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.ParameterizedType;
import java.lang.reflect.RecordComponent;
import java.lang.reflect.Type;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.SequencedMap;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.sftnative.InputException;

/// The settings of one command, read off its record: every component with `@Setting`, and those of the records that
/// it holds. Flags, YAML keys, help, docs and `--print-config` all come from here, so that they cannot disagree.
///
/// @param <R> the record: `RunSettings`, `EvalSettings`, ...
public final class SettingsSchema<R extends Record> {
    private static final Map<Class<?>, Class<?>> BOXES = Map.of(
            boolean.class, Boolean.class, int.class, Integer.class, long.class, Long.class, double.class, Double.class);

    /// Names that people bring along from transformers, and what to write here instead.
    private static final Map<String, String> ELSEWHERE = Map.of(
            "bf16", "write precision: bf16-autocast (what transformers' bf16 does), or precision: bf16",
            "fp16", "fp16 does not train stably; write precision: bf16-autocast or precision: bf16",
            "use_cpu", "write device: cpu",
            "no_cuda", "write device: cpu",
            "per_device_eval_batch_size", "evaluation packs rows; micro_batch_tokens bounds its memory",
            "logging_strategy", "logging is by steps: logging_steps",
            "optim", "the optimizer is AdamW (transformers' adamw_torch_fused)",
            "bnb_4bit_quant_type", "NF4 is the only type: leave it out",
            "do_train", "leave it out: the command says what is done",
            "do_eval", "leave it out: rows come from eval_file or eval_fraction");

    private final Class<R> type;
    private final List<SettingsField> fields;

    private SettingsSchema(Class<R> type) {
        this.type = type;
        this.fields = fields(type).toList();
        Set<String> seen = new HashSet<>();
        for (SettingsField field : fields) {
            for (String flag : field.flags()) {
                if (!seen.add(flag)) {
                    throw new IllegalArgumentException(type.getSimpleName() + " has two settings named " + flag);
                }
            }
            field.defaultText()
                    .ifPresent(text -> field.parse(new SettingValue(field.name(), List.of(text), "default")));
        }
    }

    /// @throws IllegalArgumentException if the record is wrong: a component without `@Setting`, a name that is there
    ///     twice, a type that no text can be turned into
    public static <R extends Record> SettingsSchema<R> of(Class<R> type) {
        return new SettingsSchema<>(type);
    }

    /// Every setting, in the order of the records.
    public List<SettingsField> fields() {
        return fields;
    }

    /// The setting with this name or alias; `-` and `_` are the same.
    public Optional<SettingsField> find(String name) {
        return fields.stream()
                .filter(field -> Stream.concat(Stream.of(field.name()), field.aliases().stream())
                        .anyMatch(known -> SettingsField.same(known, name)))
                .findFirst();
    }

    /// Merges layers over the defaults: a later layer wins.
    ///
    /// @throws InputException if a name is unknown, a layer gives a setting twice, or a text is not of its type
    @SafeVarargs
    public final ResolvedSettings resolve(List<SettingValue>... layers) {
        Map<SettingsField, SettingValue> given = new LinkedHashMap<>();
        for (List<SettingValue> layer : layers) {
            Map<SettingsField, SettingValue> ofLayer = new LinkedHashMap<>();
            for (SettingValue value : layer) {
                SettingsField field = find(value.name()).orElseThrow(() -> unknown(value));
                SettingValue before = ofLayer.put(field, value);
                if (before != null) {
                    throw new InputException("setting '" + field.name() + "' is given twice: " + before.origin()
                            + " and " + value.origin() + "\n  keep one of them");
                }
                field.parse(value);
            }
            given.putAll(ofLayer);
        }
        Map<SettingsField, SettingValue> values = new LinkedHashMap<>();
        for (SettingsField field : fields) {
            List<String> byDefault = field.defaultText().map(List::of).orElse(List.of());
            SettingValue value = given.getOrDefault(field, new SettingValue(field.name(), byDefault, "default"));
            if (!field.required() || !value.texts().isEmpty()) {
                values.put(field, value);
            }
        }
        return new ResolvedSettings(Collections.unmodifiableMap(values));
    }

    /// Makes the record.
    ///
    /// @throws InputException if required settings are missing, or a value is out of its range
    public R bind(ResolvedSettings resolved) {
        List<SettingsField> missing = missing(resolved);
        if (!missing.isEmpty()) {
            throw new InputException((missing.size() == 1 ? "a setting is" : missing.size() + " settings are")
                    + " missing\n"
                    + missing.stream()
                            .map(field -> "  " + field.flags().getLast() + ": " + field.doc())
                            .collect(Collectors.joining("\n")));
        }
        return type.cast(construct(type, resolved));
    }

    /// The record from texts by name, over the defaults: for programs and tests.
    ///
    /// @throws InputException as `resolve` and `bind` do
    public R bind(Map<String, String> given) {
        return bind(resolve(given.entrySet().stream()
                .map(e -> new SettingValue(e.getKey(), List.of(e.getValue()), "given"))
                .toList()));
    }

    /// The settings of a record that are not their default, required ones left out: name and value, in order.
    public SequencedMap<String, String> changed(R settings) {
        SequencedMap<String, String> changed = new LinkedHashMap<>();
        changed(settings, changed);
        return changed;
    }

    private void changed(Record settings, Map<String, String> changed) {
        for (RecordComponent component : settings.getClass().getRecordComponents()) {
            Object value;
            try {
                value = component.getAccessor().invoke(settings);
            } catch (ReflectiveOperationException e) {
                throw new IllegalArgumentException(settings.getClass() + " is not a public record", e);
            }
            if (component.getAnnotation(Setting.class) == null) {
                changed((Record) value, changed);
                continue;
            }
            SettingsField field = find(snake(component.getName())).orElseThrow();
            List<String> byDefault = field.defaultText().map(List::of).orElse(List.of());
            boolean same = !field.required()
                    && field.parse(new SettingValue(field.name(), byDefault, "default"))
                            .equals(value);
            if (!field.required() && !same) {
                changed.put(field.name(), value instanceof Optional<?> o ? "" + o.orElse(null) : value.toString());
            }
        }
    }

    /// Required settings that have no value.
    public List<SettingsField> missing(ResolvedSettings resolved) {
        return fields.stream()
                .filter(field -> field.required() && !resolved.values().containsKey(field))
                .toList();
    }

    private InputException unknown(SettingValue value) {
        String hint = Optional.ofNullable(ELSEWHERE.get(value.name().replace('-', '_')))
                .or(() -> Suggestion.nearest(
                                value.name().replace('-', '_'),
                                fields.stream()
                                        .flatMap(f -> Stream.concat(Stream.of(f.name()), f.aliases().stream()))
                                        .toList())
                        .map(name -> "did you mean '" + name + "'?"))
                .orElse("--help lists the settings, and docs/SETTINGS.md");
        return new InputException("unknown setting '" + value.name() + "' in " + value.origin() + "\n  " + hint);
    }

    private Object construct(Class<?> record, ResolvedSettings resolved) {
        RecordComponent[] components = record.getRecordComponents();
        Object[] arguments = new Object[components.length];
        for (int i = 0; i < components.length; i++) {
            if (components[i].getAnnotation(Setting.class) == null) {
                arguments[i] = construct(components[i].getType(), resolved);
            } else {
                SettingsField field = find(snake(components[i].getName())).orElseThrow();
                arguments[i] = field.parse(resolved.values().get(field));
            }
        }
        Class<?>[] types =
                Arrays.stream(components).map(RecordComponent::getType).toArray(Class<?>[]::new);
        try {
            Constructor<?> constructor = record.getDeclaredConstructor(types);
            return constructor.newInstance(arguments);
        } catch (InvocationTargetException e) {
            if (e.getCause() instanceof InputException input) {
                throw withOrigin(input, resolved);
            }
            throw new IllegalStateException(record + " does not accept its settings", e.getCause());
        } catch (ReflectiveOperationException e) {
            throw new IllegalArgumentException(record + " is not a public record", e);
        }
    }

    private InputException withOrigin(InputException error, ResolvedSettings resolved) {
        return Check.settingOf(error.getMessage())
                .flatMap(this::find)
                .map(field -> new InputException(
                        error.getMessage()
                                .replaceFirst(
                                        "'" + field.name() + "'",
                                        "'" + field.name() + "' ("
                                                + resolved.values().get(field).origin() + ")"),
                        error))
                .orElse(error);
    }

    private static Stream<SettingsField> fields(Class<?> record) {
        List<SettingsField> found = new ArrayList<>();
        for (RecordComponent component : record.getRecordComponents()) {
            Setting setting = component.getAnnotation(Setting.class);
            if (setting != null) {
                found.add(field(record, component, setting));
            } else if (component.getType().isRecord()) {
                fields(component.getType()).forEach(found::add);
            } else {
                throw new IllegalArgumentException(record + " has a component without @Setting: " + component);
            }
        }
        return found.stream();
    }

    private static SettingsField field(Class<?> record, RecordComponent component, Setting setting) {
        SettingsField.Shape shape = component.getType() == Optional.class
                ? SettingsField.Shape.OPTIONAL
                : component.getType() == List.class ? SettingsField.Shape.LIST : SettingsField.Shape.ONE;
        Type element = component.getGenericType() instanceof ParameterizedType generic
                ? generic.getActualTypeArguments()[0]
                : component.getType();
        Class<?> type = BOXES.getOrDefault(element, (Class<?>) element);
        if (!BOXES.containsValue(type) && type != String.class && type != Path.class && !type.isEnum()) {
            throw new IllegalArgumentException(component + " has a type that no text can be turned into");
        }
        return new SettingsField(
                record.getSimpleName().replace("Settings", ""),
                snake(component.getName()),
                type,
                shape,
                setting.doc(),
                setting.value().isEmpty() ? Optional.empty() : Optional.of(setting.value()),
                List.of(setting.aliases()),
                setting.bare().isEmpty() ? Optional.empty() : Optional.of(setting.bare()),
                setting.required());
    }

    private static String snake(String camel) {
        return camel.replaceAll("([a-z])([A-Z])", "$1_$2").toLowerCase(Locale.ROOT);
    }
}
