package org.sftnative.support;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import org.sftnative.ops.Ops;

/// What a test does with calls of [Ops].
public interface OpsCalls {
    Object on(Method method, Object[] arguments) throws ReflectiveOperationException;

    /// Operations all of whose calls go to a test, which may pass them on.
    static Ops to(OpsCalls calls) {
        return (Ops) Proxy.newProxyInstance(
                Ops.class.getClassLoader(), new Class<?>[] {Ops.class}, (_, method, arguments) -> {
                    try {
                        return calls.on(method, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                });
    }

    /// Operations of which one gives something else.
    static Ops with(Ops ops, String name, Object result) {
        return to((method, arguments) -> method.getName().equals(name) ? result : method.invoke(ops, arguments));
    }
}
