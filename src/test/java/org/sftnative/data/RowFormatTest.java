package org.sftnative.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.sftnative.data.Fixtures.refused;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sftnative.config.FormatChoice;
import org.sftnative.config.RowSettings;

/// What rows of each format say, and what is refused. Rows are written with ' for ".
class RowFormatTest {
    @TempDir
    Path directory;

    @Test
    void alpacaRowsWithSystemOrHistoryAreConversations() {
        assertEquals(
                "[{'role':'system','content':'Sei höflich'},{'role':'user','content':'a'},"
                        + "{'role':'assistant','content':'b'},{'role':'user','content':'翻译\\n\\n天空'},"
                        + "{'role':'assistant','content':'sky'}]",
                conversation("{'system':'Sei höflich','history':[['a','b']],'instruction':'翻译','input':'天空',"
                        + "'output':'sky'}"));
        assertEquals(
                "[{'role':'user','content':'a'},{'role':'assistant','content':'b'},{'role':'user','content':'c'},"
                        + "{'role':'assistant','content':'d'}]",
                conversation("{'history':'[[\\'a\\',\\'b\\']]','instruction':'c','input':'','output':'d'}"
                        .replace("\\'", "\\\"")));
        Example plain = new Example.Completion(RowFormat.Alpaca.prompt("c", ""), "d");
        assertEquals(plain, example("{'instruction':'c','output':'d','system':'','history':[]}"));
        assertEquals(plain, example("{'instruction':'c','output':'d','system':null,'history':null}"));
    }

    @Test
    void chatTurnsKeepWhatTheyHave() {
        String turns = "[{'role':'user','content':'天气？'},{'role':'assistant','content':'','tool_calls':"
                + "[{'type':'function','function':{'name':'f','arguments':{'x':null}}}],'weight':0},"
                + "{'role':'tool','content':'25','name':'f','tool_call_id':'1'},"
                + "{'role':'assistant','content':'25 °C','weight':1,'reasoning_content':'r'}]";
        assertEquals(turns, conversation("{'messages':" + turns + "}"));
        assertEquals(turns, conversation("{'conversations':" + turns + "}"));
        assertEquals(turns, conversation("{'messages':\"" + turns.replace("'", "\\\"") + "\"}"));
    }

    @Test
    void lossWeightIsWeightAndTextPartsAreTheirText() {
        assertEquals(
                "[{'role':'user','content':'ab'},{'role':'assistant','content':'天','weight':1}]",
                conversation("{'messages':[{'role':'user','content':[{'type':'text','text':'a'},"
                        + "{'type':'text','value':'b'}],'loss_weight':null,'name':null},"
                        + "{'role':'assistant','content':'天','loss_weight':1.0}]}"));
        assertEquals(
                "[{'role':'user','content':'a'},{'role':'assistant','content':'','tool_calls':[1]}]",
                conversation("{'messages':[{'role':'user','content':'a'},"
                        + "{'role':'assistant','content':null,'tool_calls':[1]}]}"));
    }

    @Test
    void aSystemPromptAndToolsOfTheRowCount() {
        String turns = "[{'role':'user','content':'a'},{'role':'assistant','content':'b'}]";
        for (String tools : List.of("[{'name':'f'}]", "\"[{\\\"name\\\":\\\"f\\\"}]\"")) {
            Example.Conversation row =
                    (Example.Conversation) example("{'messages':" + turns + ",'system':'s','tools':" + tools + "}");
            assertEquals(
                    "[{'role':'system','content':'s'}," + turns.substring(1),
                    quoted(row.messages().toString()));
            assertEquals("[{'name':'f'}]", quoted(row.tools().orElseThrow().toString()));
        }
        for (String none : List.of("null", "''", "[]", "'[]'", "' '")) {
            Example.Conversation row =
                    (Example.Conversation) example("{'messages':" + turns + ",'system':'','tools':" + none + "}");
            assertEquals(Optional.empty(), row.tools());
            assertEquals(turns, quoted(row.messages().toString()));
        }
        refused(
                () -> example("{'system':'s','messages':[{'role':'system','content':'t'},"
                        + "{'role':'assistant','content':'b'}]}"),
                "row 1",
                "two system prompts");
    }

    @Test
    void shareGptRolesAreThoseOfTemplates() {
        assertEquals(
                "[{'role':'system','content':'s'},{'role':'user','content':'你好'},{'role':'assistant','content':'',"
                        + "'tool_calls':[{'type':'function','function':{'name':'f','arguments':{'x':1}}}]},"
                        + "{'role':'tool','content':'3'},{'role':'assistant','content':'天'}]",
                conversation("{'conversations':[{'from':'system','value':'s'},{'from':'human','value':'你好'},"
                        + "{'from':'function_call','value':'{\\'name\\':\\'f\\',\\'arguments\\':{\\'x\\':1}}'},"
                        + "{'from':'observation','value':'3'},{'from':'gpt','value':'天'}]}"));
        assertEquals(
                "[{'role':'assistant','content':'first'},{'role':'user','content':'a'},"
                        + "{'role':'assistant','content':'b'}]",
                conversation("{'conversations':[{'from':'chatgpt','value':'first'},{'from':'user','value':'a'},"
                        + "{'from':'model','value':'b'}]}"));
    }

    @Test
    void onlyTheCompletionOfAConversationIsTrained() {
        assertEquals(new Example.Completion("问：", "答"), example("{'prompt':'问：','completion':'答'}"));
        assertEquals(
                "[{'role':'user','content':'a','weight':0},{'role':'assistant','content':'b','weight':0},"
                        + "{'role':'user','content':'c','weight':0},{'role':'assistant','content':'d','weight':1}]",
                conversation("{'prompt':[{'role':'user','content':'a'},{'role':'assistant','content':'b'},"
                        + "{'role':'user','content':'c'}],'completion':[{'role':'assistant','content':'d'}]}"));
        refused(
                () -> example("{'prompt':'a','completion':[{'role':'assistant','content':'d'}]}"),
                "row 1: 'prompt' is a string that is no JSON");
        refused(
                () -> example("{'prompt':[{'role':'user','content':'a'}],'completion':[]}"),
                "row 1: 'completion' is empty");
        refused(
                () -> example(
                        "{'prompt':[{'role':'user','content':'a'}]," + "'completion':[{'role':'user','content':'a'}]}"),
                "no turn is the assistant's");
    }

    @Test
    void textIsTextAndNulIsACharacter() {
        assertEquals(new Example.PlainText("天空\u0000🙂"), example("{'text':'天空\\u0000🙂','other':[1]}"));
        assertEquals(new Example.PlainText(""), example("{'text':''}"));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            quoteCharacter = '`',
            value = {
                "{'messages':[]} | row 1: 'messages' is empty (keys: messages)",
                "{'messages':null,'x':1} | row 1: 'messages' is null",
                "{'messages':{'role':'user'}} | row 1: 'messages' is an object, must be an array",
                "{'messages':'hello'} | row 1: 'messages' is a string that is no JSON",
                "{'messages':['hello']} | row 1: turn 1 of 'messages' is a string, must be an object",
                "{'messages':[GOOD,{'content':'x'}]} | row 1: turn 2 of 'messages': 'role' is missing (keys: content)",
                "{'messages':[{'from':'human','value':'x'}]} | 'role' is missing (keys: from, value)",
                "{'messages':[GOOD,{'role':null,'content':'x'}]} | turn 2 of 'messages': 'role' is null",
                "{'messages':[GOOD,{'role':'','content':'x'}]} | turn 2 of 'messages': 'role' is empty",
                "{'messages':[GOOD,{'role':7,'content':'x'}]} | 'role' is a number, must be a string",
                "{'messages':[{'role':'asistant','content':'x'}]} | 'asistant', no role that is known~did you mean 'assistant'?",
                "{'messages':[{'role':'narrator','content':'x'}]} | 'narrator', no role that is known~roles are system,",
                "{'messages':[GOOD,{'role':'user'}]} | turn 2 of 'messages': 'content' is missing (keys: role)",
                "{'messages':[GOOD,{'role':'user','content':null}]} | turn 2 of 'messages': 'content' is null",
                "{'messages':[GOOD,{'role':'user','content':{}}]} | 'content' is an object, must be a string",
                "{'messages':[GOOD,{'role':'user','content':[{'type':'image'}]}]} | has a part that is no text: {",
                "{'messages':[GOOD,{'role':'user','content':'\\ud83d'}]} | turn 2 of 'messages': 'content' holds half",
                "{'messages':[GOOD,{'role':'user','content':'x','weight':0.5}]} | 'weight' is 0.5, must be 0 or 1",
                "{'messages':[GOOD,{'role':'user','content':'x','loss_weight':'1'}]} | 'loss_weight' is a string",
                "{'messages':[{'role':'user','content':'x'}]} | no turn is the assistant's: there is nothing to learn",
                "{'messages':[GOOD],'tools':'{'} | 'tools' is a string that is no JSON",
                "{'messages':[GOOD],'tools':7} | 'tools' is a number, must be an array",
                "{'messages':[GOOD],'tools':['x']} | 'tools' holds a string",
                "{'messages':[GOOD],'system':7} | 'system' is a number, must be a string",
                "{'conversations':[{'from':'human','value':'x'},{'from':'gpt'}]} | turn 2 of 'conversations': 'value' is",
                "{'conversations':[{'from':'function_call','value':'f(x)'}]} | a function_call that is no JSON",
                "{'conversations':[{'from':'function_call','value':'[]'}]} | an empty function_call",
                "{'conversations':[{'from':'function_call','value':'{}'}]} | without 'name' and 'arguments'",
                "{'instruction':'x','output':'y','history':[['a']]} | pair 1 of 'history' is a list of 1",
                "{'instruction':'x','output':'y','history':[['a','b'],['a',null]]} | pair 2 of 'history' is null",
                "{'instruction':'x','output':'y','history':'a'} | 'history' is a string that is no JSON",
                "{'prompt':7,'completion':'y'} | row 1: 'prompt' is a number, must be a string",
                "{'text':null} | row 1: 'text' is null (keys: text)",
                "{'text':['x']} | row 1: 'text' is an array, must be a string",
                "{} | row 1: the fields fit no format (keys: )",
                "{'question':'x','answer':'y'} | fit no format (keys: question, answer)~--field output=response",
                "{'conversations':[]} | fit no format (keys: conversations)~sharegpt: each row needs 'conversations'",
                "{'text':'x','instruction':'y','output':'z'} | fit several formats: alpaca, text (keys:~--format alpaca",
            })
    void brokenRowsAreNamed(String row, String expected) {
        String good = "{'role':'assistant','content':'g'}";
        refused(() -> example(row.replace("GOOD", good)), ("rows.jsonl, ~" + expected).split("~"));
    }

    @Test
    void theFormatIsSaidWithItsReason() {
        assertEquals("alpaca, since row 1 has 'instruction' and 'output'", detected("{'instruction':'','output':''}"));
        assertEquals("text, since row 1 has 'text'", detected("{'text':'a','prompt':'b'}"));
        assertEquals("completion, since row 1 has 'prompt' and 'completion'", detected("{'prompt':1,'completion':2}"));
        assertEquals("chat, since row 1 has 'messages' of turns with 'role'", detected("{'messages':[]}"));
        assertEquals(
                "chat, since row 1 has 'conversations' of turns with 'role'",
                detected("{'conversations':[{'role':1}]}"));
        assertEquals(
                "sharegpt, since row 2 has 'conversations' of turns with 'from'",
                detected("{'conversations':[]}\n{'conversations':[{'from':1}]}"));
        // null is no field where another format has all of its own
        assertEquals(
                "alpaca, since row 1 has 'instruction' and 'output'",
                detected("{'instruction':'','output':'','text':null}"));
        refused(
                () -> detected("{'text':'a'}\n{'prompt':'a','completion':'b'}"),
                "rows of several formats: row 1 of text, row 2 of completion",
                "--format");
        RowSettings named = new RowSettings(FormatChoice.TEXT, List.of(), 0);
        assertEquals(
                List.of(new Example.PlainText("x")), examples("{'text':'x','instruction':'y','output':'z'}", named));
    }

    @Test
    void fieldsAreRenamed() {
        assertEquals(
                List.of(new Example.Completion(RowFormat.Alpaca.prompt("a", "in"), "b")),
                examples(
                        "{'question':'a','answer':'b','input':'in'}", fields("instruction=question", "output=answer")));
        assertEquals(
                List.of(new Example.Completion("b", "a")),
                examples("{'prompt':'a','completion':'b'}", fields("prompt=completion", "completion=prompt")));
        assertEquals(
                "[{'role':'user','content':'a'},{'role':'assistant','content':'b'}]",
                quoted(((Example.Conversation) examples(
                                        "{'dialog':[{'speaker':'human','says':'a'},{'speaker':'gpt','says':'b'}]}",
                                        fields("messages=dialog", "role=speaker", "content=says"))
                                .getFirst())
                        .messages()
                        .toString()));
        // where the row has both, the name given counts
        assertEquals(List.of(new Example.PlainText("b")), examples("{'text':'a','body':'b'}", fields("text=body")));
        refused(() -> examples("{'instruction':'a'}", fields("output=answer")), "fit no format (keys: instruction)");
    }

    @Test
    void wrongFieldSettingsAreRefused() {
        refused(
                () -> examples("{'text':'a'}", fields("text")),
                "'text' is no pair of names",
                "--field output=response");
        refused(() -> examples("{'text':'a'}", fields("=x")), "no pair");
        refused(
                () -> examples("{'text':'a'}", fields("txet=a")),
                "no format has a field 'txet'",
                "did you mean 'text'?");
        refused(() -> examples("{'text':'a'}", fields("text=a", "text=b")), "'text' is given twice");
        refused(() -> examples("{'text':'a'}", fields("output=a")), "rows of format text have no field 'output'");
    }

    @Test
    void brokenRowsAreSkippedAndCountedAcrossFiles() throws IOException {
        Path file =
                write("{'text':'a'}\n{'txt':'b'}\nnot JSON\n7\n{'text':'c'}\n{'text':{'a':1,'a':2}}\n{'text':'d'}\n");
        BadRows bad = new BadRows(5);
        List<Integer> rows = new ArrayList<>();
        for (int i = 0; i < 1; i++) {
            try (ExampleSource source = ExampleSource.open(file, RowSettings.DEFAULT, Optional.empty(), bad)) {
                source.forEachRemaining(item -> rows.add(item.row()));
            }
        }
        assertEquals(List.of(1, 5, 7), rows);
        assertEquals(4, bad.messages().size());
        // found while the format is told, so before the row without 'text'
        for (String part : List.of("row 3: not valid JSON", "row 4 is a number", "row 6: not", "row 2: 'text' is")) {
            assertTrue(bad.messages().stream().anyMatch(m -> m.contains(part)), part);
        }
        refused(
                () -> {
                    try (ExampleSource source = ExampleSource.open(file, RowSettings.DEFAULT, Optional.empty(), bad)) {
                        source.forEachRemaining(item -> {});
                    }
                },
                "5 broken rows were skipped before it");
    }

    @Test
    void aBrokenArrayIsAnErrorWhateverIsAllowed() throws IOException {
        Path file = write("[{'text':'a'},7,{'text':'b'},{'text':'c]");
        refused(() -> examples(file, new RowSettings(FormatChoice.AUTO, List.of(), 99)), "cut off", "row 4");
        // but an element that is no row is not broken JSON
        Path whole = write("[{'text':'a'},7,{'text':'b'}]");
        assertEquals(
                2,
                examples(whole, new RowSettings(FormatChoice.AUTO, List.of(), 1))
                        .size());
    }

    @Test
    void aRowOf100MegabytesIsRead() throws IOException {
        int length = 105_000_000;
        for (boolean array : List.of(false, true)) {
            Path file = directory.resolve("large.json");
            try (var out = Files.newBufferedWriter(file)) {
                out.write((array ? "[" : "") + "{\"text\":\"");
                String piece = "x".repeat(1_000_000);
                for (int i = 0; i < length / piece.length(); i++) {
                    out.write(piece);
                }
                out.write("\"}" + (array ? "]" : "\n"));
            }
            try (ExampleSource source = ExampleSource.open(file, RowSettings.DEFAULT)) {
                assertEquals(
                        length,
                        ((Example.PlainText) source.next().example()).text().length());
            }
            Files.delete(file);
        }
    }

    private static RowSettings fields(String... fields) {
        return new RowSettings(FormatChoice.AUTO, List.of(fields), 0);
    }

    private static String quoted(String json) {
        return json.replace(", {", ",{").replace('"', '\'');
    }

    private String conversation(String row) {
        return quoted(((Example.Conversation) example(row)).messages().toString());
    }

    private Example example(String row) {
        return examples(row, RowSettings.DEFAULT).getFirst();
    }

    private String detected(String rows) {
        try {
            Path file = write(rows);
            try (ExampleSource source = ExampleSource.open(file, RowSettings.DEFAULT)) {
                return source.detected().replace(file + ": format ", "");
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private List<Example> examples(String rows, RowSettings settings) {
        try {
            return examples(write(rows), settings);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static List<Example> examples(Path file, RowSettings settings) {
        List<Example> examples = new ArrayList<>();
        try (ExampleSource source = ExampleSource.open(file, settings)) {
            source.forEachRemaining(item -> examples.add(item.example()));
        }
        return examples;
    }

    private Path write(String rows) throws IOException {
        return Files.writeString(
                directory.resolve("rows.jsonl"), rows.replace("\\'", "\\\"").replace('\'', '"'));
    }
}
