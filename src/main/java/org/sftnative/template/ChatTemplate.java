package org.sftnative.template;

import java.util.List;
import org.sftnative.InputException;

/// A chat template of Hugging Face's kind, parsed: Jinja2 in the environment that transformers renders it
/// in. It is immutable and may be used by several threads.
public final class ChatTemplate {
    private static final int LONGEST = 1 << 20;

    private final String name;
    private final String source;
    private final List<Stmt> body;

    private ChatTemplate(String name, String source, List<Stmt> body) {
        this.name = name;
        this.source = source;
        this.body = body;
    }

    /// Parses a template.
    ///
    /// @throws InputException with the line, if it is not Jinja, or uses a tag, filter, test, function or
    ///     method that is not known here
    public static ChatTemplate parse(String source) {
        return parse("chat template", source);
    }

    /// Parses a template that messages call by a name, such as its file.
    public static ChatTemplate parse(String name, String source) {
        if (source.length() > LONGEST) {
            throw new InputException(
                    name + " has " + source.length() + " characters, at most " + LONGEST + " are read");
        }
        try {
            return new ChatTemplate(name, source, StatementParser.parse(source));
        } catch (LineFault e) {
            throw new InputException(name + ", line " + e.line() + ": " + e.getMessage(), e);
        } catch (StackOverflowError e) {
            throw new InputException(name + " is nested too deeply to be read", e);
        }
    }

    /// The text that was parsed.
    public String source() {
        return source;
    }

    /// Renders a conversation within [Limits#DEFAULT].
    ///
    /// @throws InputException with the line, if the template refuses the conversation (`raise_exception`),
    ///     asks for something that is not there, or does not come to an end
    public Rendered render(RenderInput input) {
        return render(input, Limits.DEFAULT);
    }

    /// Renders a conversation within other limits.
    public Rendered render(RenderInput input, Limits limits) {
        Interpreter interpreter = new Interpreter(limits.budget(input), input.clock());
        try {
            return Rendered.of(interpreter.render(body, input.scope()));
        } catch (Interpreter.Refusal e) {
            throw new InputException(
                    name + ", line " + interpreter.line() + " refuses the conversation: " + e.getMessage(), e);
        } catch (TemplateFault e) {
            throw new InputException(name + ", line " + interpreter.line() + ": " + e.getMessage(), e);
        } catch (StackOverflowError e) {
            throw new InputException(name + ", line " + interpreter.line() + ": nested too deeply", e);
        }
    }
}
