package org.sftnative.template;

/// A token of a template.
///
/// @param text a name, the text of a string or of the data between tags, or what was written
/// @param op the operator, [Op#NONE] for other types
record Token(Type type, String text, Op op, int line) {
    enum Type {
        DATA,
        BLOCK_BEGIN,
        BLOCK_END,
        VARIABLE_BEGIN,
        VARIABLE_END,
        NAME,
        STRING,
        INTEGER,
        REAL,
        OPERATOR,
        END
    }

    /// Operators, two characters before one: the first that fits is the one.
    enum Op {
        FLOOR_DIVIDE("//"),
        POWER("**"),
        EQ("=="),
        NE("!="),
        GE(">="),
        LE("<="),
        PLUS("+"),
        MINUS("-"),
        DIVIDE("/"),
        TIMES("*"),
        MODULO("%"),
        TILDE("~"),
        LEFT_BRACKET("["),
        RIGHT_BRACKET("]"),
        LEFT_PAREN("("),
        RIGHT_PAREN(")"),
        LEFT_BRACE("{"),
        RIGHT_BRACE("}"),
        GT(">"),
        LT("<"),
        ASSIGN("="),
        DOT("."),
        COLON(":"),
        PIPE("|"),
        COMMA(","),
        SEMICOLON(";"),
        NONE("");

        private final String sign;

        Op(String sign) {
            this.sign = sign;
        }

        String sign() {
            return sign;
        }
    }

    boolean is(Op wanted) {
        return op == wanted && type == Type.OPERATOR;
    }

    boolean isName(String wanted) {
        return type == Type.NAME && text.equals(wanted);
    }

    /// For a message.
    String shown() {
        return switch (type) {
            case END -> "the end of the template";
            case DATA -> "text";
            case BLOCK_BEGIN -> "'{%'";
            case BLOCK_END -> "the end of the tag";
            case VARIABLE_BEGIN -> "'{{'";
            case VARIABLE_END -> "'}}'";
            default -> "'" + Shown.of(text) + "'";
        };
    }
}
