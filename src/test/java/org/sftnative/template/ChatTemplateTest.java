package org.sftnative.template;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sftnative.InputException;

/// What is refused, when, and what is said.
class ChatTemplateTest {
    private static final RenderInput NOTHING = RenderInput.of(List.of());

    @ParameterizedTest
    @CsvSource(delimiterString = "=>", textBlock = """
            {% if false %}{{ x | shout }}{% endif %} => unknown filter 'shout'
            {% if false %}{{ x is startingwith 'a' }}{% endif %} => unknown test 'startingwith'
            {% if false %}{{ x.encode('utf8') }}{% endif %} => unknown method 'encode'
            {% if false %}{{ shout('a') }}{% endif %} => unknown function 'shout'
            {% if false %}{{ xs | map('shout') }}{% endif %} => unknown filter 'shout'
            {% if false %}{{ xs | selectattr('a', 'shouts') }}{% endif %} => unknown test 'shouts'
            {% if false %}{% shout %}{% endif %} => unknown tag {% shout %}
            {% if false %}{% include 'other' %}{% endif %} => the tag {% include %} is not supported
            {% if false %}{{ x | urlize }}{% endif %} => unknown filter 'urlize'
            {% if false %}{{ lipsum() }}{% endif %} => unknown function 'lipsum'
            {% if false %} => the template ends where {% elif %} or {% else %} or {% endif %} is missing
            {{ 9223372036854775808 }} => does not fit 64 bits
            """)
    void whatIsUnknownIsRefusedBeforeAnythingIsRendered(String source, String message) {
        String said = assertThrows(InputException.class, () -> ChatTemplate.parse("a\n\n" + source))
                .getMessage();
        assertTrue(said.startsWith("chat template, line 3: ") && said.contains(message), said);
    }

    @Test
    void faultsWhileRenderingNameTheLine() {
        ChatTemplate template = ChatTemplate.parse("m.jinja", "a\n{% if true %}\n{{ messages[0].x.y }}\n{% endif %}");
        String said = assertThrows(InputException.class, () -> template.render(NOTHING))
                .getMessage();
        assertEquals("m.jinja, line 3: 'list' has no '[0]'", said);
        ChatTemplate refusing = ChatTemplate.parse("m.jinja", "\n{{ raise_exception('roles must ' ~ 'alternate') }}");
        assertEquals(
                "m.jinja, line 2 refuses the conversation: roles must alternate",
                assertThrows(InputException.class, () -> refusing.render(NOTHING))
                        .getMessage());
    }

    @Test
    void listsAndMapsCannotBeChanged() {
        for (String call : List.of("[1].append(2)", "{}.update({})", "messages.pop()", "{}.setdefault('a', 1)")) {
            String said = assertThrows(
                            InputException.class,
                            () -> ChatTemplate.parse("{{ " + call + " }}").render(NOTHING))
                    .getMessage();
            assertTrue(said.contains("lists and maps cannot be changed"), said);
        }
    }

    @Test
    void wholeNumbersBeyond64BitsAreRefusedNotWrapped() {
        for (String sum : List.of(
                "m + 1", "m * 2", "-m - 2", "m ** 2", "2 ** 63", "'9223372036854775808' | int", "1e300 | int")) {
            ChatTemplate template = ChatTemplate.parse("{{ " + sum + " }}");
            RenderInput input = NOTHING.with("m", Value.of(Long.MAX_VALUE));
            String said = assertThrows(InputException.class, () -> template.render(input))
                    .getMessage();
            assertTrue(said.contains("does not fit 64 bits"), said);
        }
        assertThrows(InputException.class, () -> Value.of(BigInteger.ONE.shiftLeft(64)));
    }

    @Test
    void deepRowsAreRefused() {
        Value deep = Value.of("x");
        for (int i = 0; i < 10_000; i++) {
            deep = Value.of(List.of(deep));
        }
        Value row = deep;
        ChatTemplate template = ChatTemplate.parse("{{ messages | tojson }}");
        String said = assertThrows(InputException.class, () -> template.render(RenderInput.of(List.of(row))))
                .getMessage();
        assertTrue(said.contains("nested deeper than"), said);
    }

    @Test
    void oneTemplateRendersInManyThreads() throws Exception {
        ChatTemplate template = BuiltInTemplates.named("llama2");
        List<Callable<String>> jobs = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            String text = "row " + i;
            jobs.add(() -> template.render(RenderInput.of(
                                    List.of(Value.of(Map.of("role", Value.of("user"), "content", Value.of(text)))))
                            .with("bos_token", Value.of("<s>")))
                    .text());
        }
        try (var pool = Executors.newFixedThreadPool(4)) {
            var made = pool.invokeAll(jobs);
            for (int i = 0; i < made.size(); i++) {
                assertEquals("<s>[INST] row " + i + " [/INST]", made.get(i).get());
            }
        }
    }

    @Test
    void anUnknownNameListsTheBuiltInOnes() {
        String said = assertThrows(InputException.class, () -> BuiltInTemplates.named("llama9"))
                .getMessage();
        assertTrue(said.contains("tutorial-chat, chatml"), said);
    }

    @Test
    void theAlpacaTemplateIsTheTutorialsPrompt() {
        Value user = Value.of(Map.of("role", Value.of("user"), "content", Value.of("Say hi")));
        Value assistant = Value.of(Map.of("role", Value.of("assistant"), "content", Value.of("hi")));
        RenderInput input = RenderInput.of(List.of(user, assistant)).with("eos_token", Value.of("</s>"));
        assertEquals(
                "### Instruction:\nSay hi\n\n### Input:\n\n\n### Response:\nhi</s>",
                BuiltInTemplates.named("alpaca").render(input).text());
    }
}
