package org.sftnative.support;

import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.extension.AfterEachCallback;
import org.junit.jupiter.api.extension.BeforeEachCallback;
import org.junit.jupiter.api.extension.ExtensionContext;

/// A scope around each test, and what is made before it: native objects die with the test.
public final class NativeScope implements BeforeEachCallback, AfterEachCallback {
    private static final ExtensionContext.Namespace HERE = ExtensionContext.Namespace.create(NativeScope.class);

    @Override
    public void beforeEach(ExtensionContext test) {
        test.getStore(HERE).put("scope", new PointerScope());
    }

    @Override
    public void afterEach(ExtensionContext test) {
        test.getStore(HERE).remove("scope", PointerScope.class).close();
    }
}
