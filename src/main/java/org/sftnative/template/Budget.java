package org.sftnative.template;

/// What one rendering may cost. It counts work and not time, so that a template that fails on one machine
/// fails on all. A step of the interpreter costs 8 units, a character looked at or made 1, a piece of text
/// or an item of a list 8 more: memory is bounded with the work.
final class Budget {
    static final Budget UNLIMITED = new Budget(Long.MAX_VALUE, Integer.MAX_VALUE);
    private static final int STEP = 8;

    private final int maxDepth;
    private long left;
    private int depth;

    Budget(long steps, int maxDepth) {
        this.left = steps > Long.MAX_VALUE / STEP ? Long.MAX_VALUE : steps * STEP;
        this.maxDepth = maxDepth;
    }

    void step() {
        spend(STEP);
    }

    void items(long count) {
        spend(count > Long.MAX_VALUE / STEP ? Long.MAX_VALUE : count * STEP);
    }

    void characters(long count) {
        spend(count);
    }

    /// Adding a piece of so many characters to a text.
    void piece(long count) {
        spend(count + STEP);
    }

    /// Looking for a text of length `part` in one of length `whole`: the worst case is their product.
    void search(int whole, int part) {
        spend(whole + (long) whole * part / 64);
    }

    private void spend(long units) {
        if (this == UNLIMITED) {
            return;
        }
        if (units > left) {
            left = 0;
            throw new TemplateFault("the template does more work than a rendering may: it loops without end, or the row"
                    + " is far too long");
        }
        left -= units;
    }

    /// One level deeper into expressions, blocks, macros or nested values; [#leave] comes back.
    void enter() {
        if (++depth > maxDepth) {
            throw new TemplateFault("more than " + maxDepth + " levels of nested calls, blocks and values");
        }
    }

    void leave() {
        depth--;
    }
}
