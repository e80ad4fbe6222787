package org.sftnative.cli;

import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import org.sftnative.InputException;
import org.sftnative.config.BatchSettings;
import org.sftnative.config.ChatSettings;
import org.sftnative.generate.Answer;
import org.sftnative.generate.AnswerListener;
import org.sftnative.generate.BatchGenerator.Ticket;
import org.sftnative.generate.Request;
import org.sftnative.generate.Sampling;
import org.sftnative.web.ChatMessage;
import org.sftnative.web.Engine;
import tools.jackson.databind.json.JsonMapper;
import tools.jackson.databind.node.ArrayNode;
import tools.jackson.databind.node.ObjectNode;

/// `chat`: a conversation, turn by turn.
final class ChatCommand {
    private static final String HELP = """
            /reset         forget the conversation, but not the system's turn
            /system TEXT   begin the conversation with this turn of the system; without a text: with none
            /save FILE     add the conversation to a file, as a row that train reads
            /help          these lines
            /exit          end, as Ctrl-D does; Ctrl-C stops an answer""";

    private final OpenModel model;
    private final ChatSettings settings;
    private final ChatConsole console;
    private final List<ChatMessage> turns = new ArrayList<>();
    private Optional<String> system;
    private int answers;

    private ChatCommand(OpenModel model, ChatSettings settings, ChatConsole console) {
        this.model = model;
        this.settings = settings;
        this.console = console;
        system = settings.system();
    }

    /// Talks until the input ends or says so.
    ///
    /// @param terminal whether there is a person at `in` and `out`
    static void run(ChatSettings settings, InputStream in, PrintStream out, PrintStream err, boolean terminal) {
        BatchSettings one = new BatchSettings(1, 0);
        try (OpenModel model =
                OpenModel.open(settings.model(), Optional.empty(), settings.chatTemplate(), one, 1, 1, problem -> {})) {
            if (!model.hasTemplate()) {
                model.prompt(List.of(new ChatMessage("user", "", Optional.empty()))); // says how to name one
            }
            try (ChatConsole console = terminal ? new TerminalConsole() : new PipeConsole(in, out, err)) {
                if (terminal) {
                    console.notice(model.name() + ", " + model.positions()
                            + " tokens of context; /help shows what else there is");
                }
                new ChatCommand(model, settings, console).talk();
            }
        }
    }

    private void talk() {
        while (!console.deaf()) {
            Optional<String> line = console.line();
            if (line.isEmpty() || line.get().strip().equals("/exit")) {
                return;
            }
            String text = line.get();
            if (text.startsWith("/")) {
                command(text.strip());
            } else if (!text.isBlank()) {
                try {
                    ask(text);
                } catch (InputException e) {
                    turns.removeLast();
                    console.notice("error: " + e.getMessage());
                }
            }
        }
    }

    private void command(String line) {
        String name = line.split("\\s", 2)[0];
        String rest = line.substring(name.length()).strip();
        switch (name) {
            case "/reset" -> {
                turns.clear();
                console.notice("forgotten");
            }
            case "/system" -> {
                system = Optional.of(rest).filter(text -> !text.isEmpty());
                console.notice(system.isPresent() ? "the system's turn is set" : "there is no system's turn");
            }
            case "/save" -> save(rest);
            case "/help" -> console.notice(HELP);
            default -> console.notice("unknown command " + name + "; /help shows those that there are");
        }
    }

    private void save(String file) {
        if (file.isEmpty() || turns.isEmpty()) {
            console.notice(file.isEmpty() ? "/save needs a file: /save chat.jsonl" : "nothing has been said yet");
            return;
        }
        ObjectNode row = new JsonMapper().createObjectNode();
        ArrayNode messages = row.putArray("messages");
        conversation()
                .forEach(turn -> messages.addObject().put("role", turn.role()).put("content", turn.content()));
        try {
            Files.writeString(
                    Path.of(file),
                    row + "\n",
                    StandardCharsets.UTF_8,
                    StandardOpenOption.CREATE,
                    StandardOpenOption.APPEND);
            console.notice("saved " + messages.size() + " turns as a row of " + file);
        } catch (IOException | RuntimeException e) {
            console.notice("cannot write " + file + ": " + e.getMessage());
        }
    }

    private List<ChatMessage> conversation() {
        List<ChatMessage> all = new ArrayList<>();
        system.ifPresent(text -> all.add(new ChatMessage("system", text, Optional.empty())));
        all.addAll(turns);
        return all;
    }

    private void ask(String question) {
        turns.add(new ChatMessage("user", question, Optional.empty()));
        int[] prompt = fitting();
        Sampling sampling =
                new Sampling(settings.temperature(), settings.topK(), settings.topP(), settings.repetitionPenalty());
        Request request = new Request(
                prompt,
                sampling,
                0,
                Math.min(settings.maxNewTokens(), model.positions() - prompt.length),
                model.ends(true).tokens(),
                model.ends(true).texts(),
                settings.seed() + answers++);
        CompletableFuture<Answer> whole = new CompletableFuture<>();
        Ticket ticket = model.engine()
                .submit(List.of(new Engine.Wanted(request, new AnswerListener() {
                    @Override
                    public void text(String piece) {
                        console.text(piece);
                    }

                    @Override
                    public void ended(Answer answer) {
                        whole.complete(answer);
                    }

                    @Override
                    public void failed(RuntimeException why) {
                        whole.completeExceptionally(why);
                    }
                })))
                .getFirst();
        console.onInterrupt(ticket::cancel);
        Answer answer;
        try {
            answer = whole.join();
        } catch (CompletionException e) {
            throw e.getCause() instanceof RuntimeException why ? why : e;
        }
        console.text("\n");
        switch (answer.end()) {
            case CANCELLED -> console.notice("(stopped)");
            case LENGTH -> console.notice("(cut after " + answer.tokens().length + " tokens)");
            case STOP_TEXT, STOP_TOKEN -> {}
        }
        turns.add(new ChatMessage("assistant", answer.text(), Optional.empty()));
    }

    /// Tokens of the conversation, without its first turns if they leave an answer no room.
    private int[] fitting() {
        int room = model.positions() - Math.min(settings.maxNewTokens(), model.positions() / 4);
        int forgotten = 0;
        int[] prompt = model.prompt(conversation());
        while (prompt.length > room && turns.size() > 2) {
            turns.subList(0, 2).clear(); // a question and its answer
            forgotten += 2;
            prompt = model.prompt(conversation());
        }
        if (forgotten > 0) {
            console.notice("(the first " + forgotten + " turns are forgotten: the model has " + model.positions()
                    + " tokens of context)");
        }
        if (prompt.length >= model.positions()) {
            throw new InputException("this has " + prompt.length + " tokens, the model has " + model.positions()
                    + "\n  say it shorter" + (system.isPresent() ? ", or make the system's turn shorter" : ""));
        }
        return prompt;
    }
}
