package org.sftnative.template;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sftnative.InputException;

/// A template that does not end, or wants all memory, is stopped; a long honest conversation is not.
class LimitsTest {
    private static final String LOOPS = "{% for a in range(100000) %}{% for b in range(100000) %}";
    private static final String END = "{% endfor %}{% endfor %}";

    /// The slowest of these took 0.8 s on a machine with four times more work than processors; 3 s is the
    /// margin.
    private static void stops(String source) {
        ChatTemplate template = ChatTemplate.parse(source);
        RenderInput input = RenderInput.of(List.of(Value.of(Map.of("content", Value.of("a".repeat(100_000))))));
        long start = System.nanoTime();
        InputException e = assertThrows(InputException.class, () -> template.render(input));
        Duration took = Duration.ofNanos(System.nanoTime() - start);
        assertTrue(e.getMessage().contains("line 1"), e.getMessage());
        assertTrue(took.compareTo(Duration.ofSeconds(3)) < 0, took + ": " + source);
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                LOOPS + END,
                LOOPS + "{{ a }}" + END,
                LOOPS + "{% set x = messages[0].content | upper %}" + END,
                "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
                "{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m('ab') }}",
                "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
                "{% set ns = namespace(x='ab') %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
                "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}",
                "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
                "{% set ns = namespace(x=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x | tojson }}",
                "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(100) %}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% endfor %}{{ ns.x == ns.y }}",
                "{% set ns = namespace(x=[1]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
                "{{ 'x' * 1000000000000 }}",
                "{{ [1] * 1000000000000 }}",
                "{{ 'x' | center(1000000000000) }}",
                "{{ 'x'.ljust(1000000000000) }}",
                "{{ 'x'.zfill(1000000000000) }}",
                "{{ '%999999999d' % 1 }}",
                "{{ 'x' | indent(1000000000000, true) }}",
                "{{ [1] | tojson(indent=1000000000000) }}",
                "{{ [1] | batch(1000000000000, 'x') | list }}",
                "{{ [1] | slice(1000000000000) | list }}",
                "{% set c = messages[0].content %}{{ (c * 20).count(c * 10 ~ 'b') }}",
                "{% set c = messages[0].content %}{{ (c * 20).replace(c * 10 ~ 'b', '') }}",
                "{% set c = messages[0].content %}{{ c.replace('', c) }}",
                "{% for x in range(100000) %}{% for y in messages[0].content %}{% endfor %}{% endfor %}",
                "{% set x = range(99999) | list %}{% for i in x %}{% if i in x[::-1] %}{% endif %}{% endfor %}",
            })
    void whatDoesNotEndIsStopped(String source) {
        stops(source);
    }

    @Test
    void deepNestingIsRefusedWhenParsed() {
        for (String source : List.of(
                "{{ " + "(".repeat(5000) + "1" + ")".repeat(5000) + " }}",
                "{{ " + "[".repeat(5000) + "]".repeat(5000) + " }}",
                "{{ " + "-".repeat(5000) + "1 }}",
                "{{ " + "x[".repeat(5000) + "1" + "]".repeat(5000) + " }}",
                "{{ " + "1 if 1 else ".repeat(5000) + "1 }}",
                "{% if 1 %}".repeat(5000) + "{% endif %}".repeat(5000))) {
            String message = assertThrows(InputException.class, () -> ChatTemplate.parse(source))
                    .getMessage();
            assertTrue(message.contains("nested deeper than"), message);
        }
        assertEquals(
                "",
                ChatTemplate.parse("{{ '' if " + "not ".repeat(5000) + "true }}")
                        .render(empty())
                        .text());
    }

    @Test
    void longChainsAreRefusedOrRendered() {
        ChatTemplate chain = ChatTemplate.parse("{{ 1" + " + 1".repeat(20_000) + " }}");
        assertThrows(InputException.class, () -> chain.render(empty()));
        assertEquals(
                "401",
                ChatTemplate.parse("{{ 1" + " + 1".repeat(400) + " }}")
                        .render(empty())
                        .text());
    }

    @Test
    void aLongConversationPasses() {
        List<Value> messages = new ArrayList<>();
        for (int i = 0; i < 2000; i++) {
            messages.add(Value.of(Map.of(
                    "role", Value.of(i % 2 == 0 ? "user" : "assistant"), "content", Value.of("word ".repeat(200)))));
        }
        for (String name : BuiltInTemplates.names()) {
            Rendered made = BuiltInTemplates.named(name)
                    .render(RenderInput.of(messages)
                            .with("bos_token", Value.of("<s>"))
                            .with("eos_token", Value.of("</s>")));
            assertEquals(1000, made.generation().size(), name);
            assertTrue(made.text().length() > 1_990_000, name);
        }
    }

    @Test
    void theSameTemplateStopsAtTheSameStep() {
        ChatTemplate template = ChatTemplate.parse("{% for i in range(10) %}{{ i }}{% endfor %}");
        int low = 1;
        int high = 10_000;
        while (low < high) {
            int middle = (low + high) / 2;
            if (passes(template, middle)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        assertTrue(low > 10 && low < 200, low + " steps");
        for (int i = 0; i < 5; i++) {
            assertTrue(passes(template, low) && !passes(template, low - 1));
        }
    }

    private static boolean passes(ChatTemplate template, int steps) {
        try {
            return template.render(empty(), new Limits(steps, 100)).text().equals("0123456789");
        } catch (InputException e) {
            return false;
        }
    }

    private static RenderInput empty() {
        return RenderInput.of(List.of());
    }
}
