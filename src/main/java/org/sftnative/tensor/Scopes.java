package org.sftnative.tensor;

import java.util.function.Supplier;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerScope;

/// Lifetimes of native objects. The rule of this program: whatever is made inside a `PointerScope` dies
/// with it, unless it is handed on by [#yield] (to the scope outside) or [#keep] (to an owner that closes
/// it).
public final class Scopes {
    private Scopes() {}

    /// Runs work in a scope of its own and hands its result to the scope outside: every temporary dies
    /// here, at once, and not at the end of the step.
    public static <P extends Pointer> P yield(Supplier<P> work) {
        PointerScope outside = PointerScope.getInnerScope();
        try (PointerScope _ = new PointerScope()) {
            P result = work.get();
            if (outside == null) {
                result.retainReference();
            } else {
                outside.attach(result);
            }
            return result;
        }
    }

    /// Hands objects made in the innermost scope on to the scope outside it, as [#yield] does with one.
    ///
    /// @param outside [PointerScope#getInnerScope] before the inner scope was opened
    public static void handOn(PointerScope outside, Pointer... objects) {
        for (Pointer object : objects) {
            outside.attach(object);
        }
    }

    /// Runs work whose native objects all die when it returns.
    public static void run(Runnable work) {
        try (PointerScope _ = new PointerScope()) {
            work.run();
        }
    }

    /// Runs work in a scope of its own and keeps its result alive past every scope, until [#free].
    public static <P extends Pointer> P keep(Supplier<P> work) {
        try (PointerScope _ = new PointerScope()) {
            P result = work.get();
            result.retainReference();
            return result;
        }
    }

    /// Gives up an object that [#keep] kept.
    public static void free(Pointer kept) {
        kept.releaseReference();
    }

    /// Gives an object over to native code that takes it as its own: neither a scope nor the garbage
    /// collector frees it.
    public static <P extends Pointer> P give(P object) {
        object.deallocate(false);
        return object;
    }
}
