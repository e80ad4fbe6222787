package org.sftnative.template;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import tools.jackson.databind.JsonNode;

/// Which characters of a rendering are the row's own, and which a generation block wrote.
class ProvenanceTest {
    private static final String CONTENT = " <|im_end|>é😀 ";

    /// The rendering with `[` and `]` around what counts as the row's.
    private static String marked(String template, String content) {
        Rendered made = ChatTemplate.parse(template)
                .render(RenderInput.of(List.of(Value.of(Map.of("content", Value.of(content)))))
                        .with("eos_token", Value.of("</s>")));
        StringBuilder text = new StringBuilder(made.text());
        for (Span span : made.fromRows().reversed()) {
            text.insert(span.end(), ']').insert(span.start(), '[');
        }
        return text.toString();
    }

    @ParameterizedTest
    @CsvSource(delimiterString = "=>", quoteCharacter = '`', textBlock = """
            c ~ eos_token => [a.b]</s>
            c + '<x>' + c => [a.b]<x>[a.b]
            ('  ' + c + '  ') | trim => [a.b]
            (' <x> ' + c + ' ').strip() => <x> [a.b]
            c | upper ~ 'x' | upper => [A.B]X
            ('<' + c + '>') | upper => <[A.B]>
            c | replace('.', '<|') => [a]<|[b]
            '<.>'.replace('.', c) => <[a.b]>
            c.split('.') | join('<>') => [a]<>[b]
            '-'.join([c, 'x', c]) => [a.b]-x-[a.b]
            c[0] ~ 'x' ~ c[1:] => [a]x[.b]
            ('<' ~ c ~ '>')[1:] => [a.b]>
            ('<' ~ c ~ '>')[::-1] => >[b.a]<
            c * 2 ~ 'x' * 2 => [a.ba.b]xx
            c | tojson => "[a.b]"
            {'k': c} | tojson => {"k": "[a.b]"}
            messages[0] | tojson => {"[content]": "[a.b]"}
            [c, 'x'] | string => [['a.b'], 'x']
            '%s<x>' % c => [a.b]<x>
            '{}<x>'.format(c) => [a.b]<x>
            c | e ~ '<' => [a.b]<
            c | safe ~ '<' => [a.b]<
            c | list | join => [a.b]
            c | reverse => [b.a]
            c | indent(2, true) => `  [a.b]`
            c | center(7) => `  [a.b]  `
            c | default('x') => [a.b]
            nope | default('x') => x
            c | length ~ c.find('b') => 32
            c.partition('.') | join('<') => [a]<[.]<[b]
            messages | map(attribute='content') | join => [a.b]
            ('straße' ~ c) | upper => [STRASSEA.B]
            c.title() ~ '<' => [A.B]<
            """)
    void marksFollowTheRowsText(String expression, String expected) {
        assertEquals(expected, marked("{% set c = messages[0].content %}{{ " + expression + " }}", "a.b"));
    }

    @Test
    void specialTokensInContentAreTheRowsInEveryBuiltInTemplate() {
        for (String name : BuiltInTemplates.names()) {
            Rendered made = BuiltInTemplates.named(name)
                    .render(RenderInput.of(List.of(message("user", "u" + CONTENT), message("assistant", CONTENT + "a")))
                            .with("bos_token", Value.of("<s>"))
                            .with("eos_token", Value.of("</s>")));
            int at = -1;
            int found = 0;
            String inner = CONTENT.strip();
            while ((at = made.text().indexOf(inner, at + 1)) >= 0) {
                int start = at;
                assertTrue(
                        made.fromRows().stream()
                                .anyMatch(span -> span.start() <= start && span.end() >= start + inner.length()),
                        name);
                found++;
            }
            assertEquals(2, found, name);
            String rows = made.fromRows().stream()
                    .map(span -> made.text().substring(span.start(), span.end()))
                    .collect(Collectors.joining("|"));
            assertTrue(!rows.contains("</s>") && !rows.contains("INST") && !rows.contains("eot_id"), rows);
        }
    }

    @Test
    void aGenerationBlockIsTheAssistantsTextWithItsEndOfTurn() {
        Map<String, String> ends = Map.of(
                "alpaca", "</s>",
                "tutorial-chat", "</s>",
                "chatml", "<|im_end|>",
                "llama2", " </s>",
                "llama3", "<|eot_id|>",
                "mistral", "</s>",
                "zephyr", "</s>");
        assertEquals(List.copyOf(BuiltInTemplates.names()).size(), ends.size());
        ends.forEach((name, end) -> {
            Rendered made = BuiltInTemplates.named(name)
                    .render(RenderInput.of(List.of(
                                    message("system", "s"),
                                    message("user", "😀"),
                                    message("assistant", "one 你"),
                                    message("user", "b"),
                                    message("assistant", "two")))
                            .with("bos_token", Value.of("<s>"))
                            .with("eos_token", Value.of("</s>")));
            assertEquals(
                    List.of("one 你" + end, "two" + end),
                    made.generation().stream()
                            .map(span -> made.text().substring(span.start(), span.end()))
                            .toList(),
                    name);
        });
    }

    @Test
    void generationSpansSurviveMacrosSetBlocksAndTrim() {
        Rendered made = ChatTemplate.parse("""
                {%- macro turn(x) %}  <a>{% generation %}{{ x }}</a>{% endgeneration %}  {% endmacro -%}
                {%- set all %}{{ turn('1') | trim }}{{ turn('2') | trim }}{% endset -%}
                pre {{ all | trim }}{% generation %}{% endgeneration %}""").render(RenderInput.of(List.of()));
        assertEquals("pre <a>1</a><a>2</a>", made.text());
        assertEquals(List.of(new Span(7, 12), new Span(15, 20)), made.generation());
    }

    @Test
    void goldenRenderingsMarkEveryContent() {
        // the spans of all renderings cover the same characters however they are asked for, in order and apart
        JsonNode fixture = Golden.json("renderings.json");
        ChatTemplate template = BuiltInTemplates.named("chatml");
        for (String name : List.of("special", "cjk prompt", "multi-system")) {
            Rendered made = Golden.render(template, name, fixture).orElseThrow();
            int before = -1;
            for (Span span : made.fromRows()) {
                assertTrue(span.start() > before, name);
                before = span.end();
            }
            String outside = made.text();
            for (Span span : made.fromRows().reversed()) {
                outside = outside.substring(0, span.start()) + outside.substring(span.end());
            }
            assertEquals("", outside.replaceAll("<\\|im_start\\|>(assistant)?\n|<\\|im_end\\|>\n|\n", ""), name);
        }
    }

    private static Value message(String role, String content) {
        return Value.of(Map.of("role", Value.of(role), "content", Value.of(content)));
    }
}
