package org.sftnative.tune;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sftnative.InputException;
import org.sftnative.config.SettingValue;

class SearchSpaceTest {
    private static final List<SettingValue> BASE = List.of(
            new SettingValue("model_name_or_path", List.of("base"), "run.yaml:1"),
            new SettingValue("train_file", List.of("rows.json"), "run.yaml:2"));

    private static SearchSpace space(String yaml) {
        return SearchSpace.parse(yaml, "space.yaml");
    }

    private static String refusal(String yaml) {
        return assertThrows(InputException.class, () -> space(yaml).check(BASE)).getMessage();
    }

    @Test
    void theExampleIsTheTutorialsSpace() {
        SearchSpace space = space(SearchSpace.example());
        space.check(BASE);
        assertEquals(
                List.of("learning_rate", "per_device_train_batch_size", "num_train_epochs", "warmup_ratio"),
                space.names());
        Set<Object> batches = new HashSet<>();
        int smallRates = 0;
        for (int k = 0; k < 400; k++) {
            Map<String, Object> trial = space.sample(7, k);
            double rate = (Double) trial.get("learning_rate");
            assertTrue(rate >= 1e-5 && rate <= 1e-3, () -> trial.toString());
            smallRates += rate < 1e-4 ? 1 : 0;
            assertTrue(Set.of(2.0, 3.0, 5.0).contains(trial.get("num_train_epochs")), () -> trial.toString());
            double warmup = (Double) trial.get("warmup_ratio");
            assertTrue(warmup >= 0 && warmup <= 0.2, () -> trial.toString());
            batches.add(trial.get("per_device_train_batch_size"));
        }
        assertEquals(Set.of(2L, 4L, 8L), batches);
        assertTrue(Math.abs(smallRates - 200) < 50, "half of a log range lies below its middle: " + smallRates);
    }

    @Test
    void theCommentsOfTheExampleAreValidToo() {
        String conditional = SearchSpace.example()
                .lines()
                .filter(line -> line.matches("# (lr_scheduler_type|min_lr_rate|weight_decay|  ).*"))
                .map(line -> line.substring(2))
                .reduce("num_train_epochs: choice([2, 3])\n", (a, b) -> a + b + "\n");
        SearchSpace space = space(conditional);
        space.check(BASE);
        assertTrue(space.names().containsAll(List.of("min_lr_rate", "weight_decay")), conditional);
    }

    @Test
    void settingsOfATrialDependOnSeedAndNumberOnly() {
        SearchSpace space = space("learning_rate: loguniform(1e-5, 1e-3)\nweight_decay: uniform(0, 0.1)\n");
        assertEquals(space.sample(1, 5), space.sample(1, 5));
        assertNotEquals(space.sample(1, 5), space.sample(1, 6));
        assertNotEquals(space.sample(1, 5), space.sample(2, 5));
        Object alone =
                space("learning_rate: loguniform(1e-5, 1e-3)").sample(1, 5).get("learning_rate");
        assertEquals(alone, space.sample(1, 5).get("learning_rate"), "another setting changes nothing");
    }

    @Test
    void everyWordGivesValuesOfItsRange() {
        SearchSpace space = space("""
                weight_decay: quniform(0.0, 0.3, 0.1)
                learning_rate: qloguniform(1e-4, 1e-2, 1e-4)
                save_steps: randint(1, 4)
                logging_steps: lograndint(1, 4)
                eval_steps: qrandint(10, 30, 10)
                max_steps: qlograndint(2, 8, 2)
                neftune_noise_alpha: randn(5, 0.1)
                save_total_limit: {choice: [1, 3]}
                num_train_epochs: quniform(1, 3, 1)
                gradient_accumulation_steps: quniform(2, 6, 2)
                lr_scheduler_type: linear
                """);
        space.check(BASE);
        Map<String, Set<Object>> seen = new java.util.TreeMap<>();
        for (int k = 0; k < 500; k++) {
            space.sample(3, k)
                    .forEach((name, value) ->
                            seen.computeIfAbsent(name, n -> new HashSet<>()).add(value));
        }
        assertEquals(Set.of(0.0, 0.1, 0.2, 0.3), seen.get("weight_decay"));
        assertEquals(Set.of(1L, 2L, 3L), seen.get("save_steps"), "the high end of randint is not included");
        assertEquals(Set.of(1L, 2L, 3L), seen.get("logging_steps"));
        assertEquals(Set.of(10L, 20L, 30L), seen.get("eval_steps"));
        assertEquals(Set.of(2L, 4L, 6L, 8L), seen.get("max_steps"));
        assertEquals(Set.of(1L, 3L), seen.get("save_total_limit"));
        assertEquals(Set.of(1.0, 2.0, 3.0), seen.get("num_train_epochs"));
        assertEquals(Set.of(2L, 4L, 6L), seen.get("gradient_accumulation_steps"));
        assertEquals(Set.of("linear"), seen.get("lr_scheduler_type"));
        assertTrue(seen.get("learning_rate").stream()
                .allMatch(v -> Math.abs((Double) v * 1e4 - Math.rint((Double) v * 1e4)) < 1e-9));
        assertEquals(500, seen.get("neftune_noise_alpha").size());
    }

    @Test
    void aConditionDecidesWhetherAndHowASettingVaries() {
        SearchSpace space = space("""
                min_lr_rate:
                  when: {lr_scheduler_type: cosine_with_min_lr}
                  value: uniform(0.0, 0.5)
                lr_scheduler_type: choice([cosine, cosine_with_min_lr])
                num_train_epochs: choice([2, 3, 5])
                learning_rate:
                  - when: {num_train_epochs: ">= 3", lr_scheduler_type: [cosine, linear]}
                    value: loguniform(1e-4, 1e-3)
                  - value: 5e-5
                """);
        space.check(BASE);
        int both = 0;
        for (int k = 0; k < 200; k++) {
            Map<String, Object> trial = space.sample(11, k);
            boolean withMin = trial.get("lr_scheduler_type").equals("cosine_with_min_lr");
            assertEquals(withMin, trial.containsKey("min_lr_rate"), trial::toString);
            boolean drawn = !withMin && (Double) trial.get("num_train_epochs") >= 3;
            assertEquals(!drawn, trial.get("learning_rate").equals(5e-5), trial::toString);
            both += drawn ? 1 : 0;
            assertEquals(
                    trial,
                    space.assign(p -> space.canonical(trial).get(p.setting())),
                    "active entries are found again");
        }
        assertTrue(both > 30 && both < 120, "alternatives are both drawn: " + both);
    }

    @Test
    void anySettingOfTheTrainerMayVaryTheRankOfLoraToo() {
        SearchSpace space = space("""
                lora_r: choice([4, 8, 16])
                lora_dropout: uniform(0, 0.3)
                use_rslora: choice([true, false])
                lora_target_modules: choice([all-linear, q_proj])
                max_length: qrandint(32, 128, 32)
                """);
        space.check(BASE);
        assertTrue(space.sample(1, 1).get("lora_r") instanceof Long, () -> "" + space.sample(1, 1));
    }

    @Test
    void aGridIsTriedInRaysOrderWithEverySample() {
        SearchSpace space = space("""
                save_steps: grid_search([10, 20])
                eval_steps: grid_search([1, 2, 3])
                learning_rate: loguniform(1e-5, 1e-3)
                """);
        assertEquals(6, space.gridCells().size());
        assertEquals(12, new RandomSearcher(space, 1).trials(2));
        // eval_steps comes before save_steps by name, and the first changes fastest
        assertEquals(List.of(1L, 2L, 3L, 1L), evalSteps(space, 0, 4));
        assertEquals(20L, space.sample(0, 3).get("save_steps"));
        assertEquals(10L, space.sample(0, 6).get("save_steps"));
        assertNotEquals(
                space.sample(0, 0).get("learning_rate"), space.sample(0, 1).get("learning_rate"));
    }

    private static List<Object> evalSteps(SearchSpace space, int from, int to) {
        return java.util.stream.IntStream.range(from, to)
                .mapToObj(k -> space.sample(0, k).get("eval_steps"))
                .toList();
    }

    @Test
    void cellsOfAGridThatDifferInNothingThatCountsAreOne() {
        SearchSpace space = space("""
                lr_scheduler_type: grid_search([linear, cosine_with_min_lr])
                min_lr_rate:
                  when: {lr_scheduler_type: cosine_with_min_lr}
                  value: grid_search([0.1, 0.2, 0.3])
                """);
        GridSearcher grid = new GridSearcher(space);
        assertEquals(4, grid.trials(20));
        Set<Map<String, Object>> all = new HashSet<>();
        for (int k = 0; k < 4; k++) {
            all.add(grid.suggest(k, List.of()));
        }
        assertEquals(4, all.size());
        assertTrue(all.contains(Map.of("lr_scheduler_type", "linear")), all::toString);
    }

    @Test
    void theCanonicalTextTellsSpacesApart() {
        String a =
                space("learning_rate: loguniform(1e-5, 1e-3)\nsave_steps: 5\n").canonical();
        assertEquals(
                a,
                space("save_steps: 5\nlr: {loguniform: [0.00001, 0.001]} # same\n")
                        .canonical());
        assertNotEquals(
                a, space("learning_rate: uniform(1e-5, 1e-3)\nsave_steps: 5\n").canonical());
        assertNotEquals(a, space("learning_rate: loguniform(1e-5, 1e-3)\n").canonical());
    }

    @Test
    void valuesComeBackFromStorageWithTheirClasses() {
        SearchSpace space = space("num_train_epochs: choice([2, 3])\nsave_steps: choice([1, 2])\n");
        assertEquals(
                Map.of("num_train_epochs", 2.0, "save_steps", 1L),
                space.canonical(Map.of("num_train_epochs", 2, "save_steps", 1)));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "learning_rates: uniform(0, 1) | did you mean 'learning_rate'?",
                "learning_rate: loguniforn(1e-5, 1e-3) | did you mean 'loguniform'?",
                "learning_rate: loguniform(0, 1e-3) | a logarithm has no 0",
                "learning_rate: loguniform(-1, 1e-3) | a logarithm has no value at or below 0",
                "save_steps: lograndint(0, 10) | a logarithm has no 0",
                "learning_rate: uniform(1e-3, 1e-5) | is empty",
                "learning_rate: uniform(0.5, 0.5) | is empty",
                "save_steps: randint(3, 3) | which is not included",
                "save_steps: choice([]) | has no values",
                "save_steps: choice([1, 1]) | has 1 twice",
                "save_steps: choice(1, 2) | must be choice([value, value])",
                "save_steps: choice([1, x]) | must be a whole number",
                "save_steps: uniform(1, 3) | gives fractions",
                "lr_scheduler_type: uniform(1, 3) | gives numbers",
                "lr_scheduler_type: choice([linear, cubic]) | must be linear, cosine",
                "learning_rate: uniform(0.1, 20) | (space.yaml:1) is 20.0, must be from 0 to 10",
                "learning_rate: randn(0.1, 0.1) | must be from 0 to 10",
                "learning_rate: uniform(0) | takes 2 values, not 1",
                "learning_rate: uniform(0, one) | takes numbers, not 'one'",
                "weight_decay: quniform(0, 0.25, 0.1) | must be multiples of its step",
                "weight_decay: quniform(0, 1, 0) | must be above 0",
                "weight_decay: quniform(0, 1, 1e-320) | is too small",
                "weight_decay: qrandn(0, 1, 1e-320) | is too small",
                "output_dir: choice([a, b]) | is the study's to choose",
                "learning_rate: [1, 2] | write choice([...])",
                "min_lr_rate: {when: {lr_scheduler_type: cosine}, value: 0.1} | not in the search space",
                "save_steps: {when: {save_steps: 1}, value: 1} | in a circle",
                "learning_rate: 1 1 | must be a number",
                "{} | names no settings",
                "# nothing | names no settings",
                "a: [ | is not valid YAML",
            })
    void aWrongSpaceIsRefusedWithWhatToDo(String yaml, String said) {
        String message = refusal(yaml);
        assertTrue(message.contains(said), message);
    }

    @Test
    void conditionsThatCannotHoldAreRefused() {
        assertTrue(refusal("""
                num_train_epochs: choice([2, 3])
                learning_rate: {when: {num_train_epochs: 5}, value: 0.1}
                """).contains("never holds"));
        assertTrue(refusal("""
                num_train_epochs: choice([2, 3])
                learning_rate: {when: {num_train_epochs: "> 3"}, value: 0.1}
                """).contains("never holds"));
        assertTrue(refusal("""
                learning_rate:
                  - value: 0.1
                  - value: 0.2
                """).contains("never reached"));
        assertTrue(refusal("""
                num_train_epochs: choice([2, 3])
                learning_rate: {when: {num_train_epochs: 2}, value: "grid_search([0.1, 0.2])"}
                """).contains("which is drawn"));
    }

    @Test
    void settingsThatContradictEachOtherAreFoundBeforeTheFirstTrial() {
        String message = refusal("load_best_model_at_end: true\neval_strategy: choice([no, steps])\n");
        assertTrue(message.contains("load_best_model_at_end needs evaluations"), message);
        assertTrue(message.contains("eval_strategy=no"), message);
        assertFalse(message.contains("trial\n"), message);
    }
}
