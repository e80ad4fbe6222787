package org.sftnative.tensor;

import java.util.concurrent.ConcurrentHashMap;
import org.bytedeco.pytorch.Dispatcher;
import org.bytedeco.pytorch.GenericList;
import org.bytedeco.pytorch.IValue;
import org.bytedeco.pytorch.IValueVector;
import org.bytedeco.pytorch.OperatorHandle;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorList;
import org.bytedeco.pytorch.Type;

/// ATen operators that the presets do not bind, called boxed through the dispatcher (about 2 us a call). Autograd works
/// through it. Results and arguments belong to the scope around the call.
public final class Aten {
    private static final ConcurrentHashMap<String, OperatorHandle> HANDLES = new ConcurrentHashMap<>();
    private static final Type.TypePtr TENSOR = Scopes.keep(() -> new TensorList().elementType());

    private Aten() {}

    /// Calls `name` without an overload name; every argument of the schema must be given.
    ///
    /// @param name such as `aten::_fused_adamw_`
    /// @return the results, in the schema's order
    public static IValueVector call(String name, IValue... arguments) {
        OperatorHandle handle = HANDLES.computeIfAbsent(
                name, n -> Scopes.keep(() -> Dispatcher.singleton().findSchemaOrThrow(n, "")));
        IValueVector stack = new IValueVector(arguments);
        handle.callBoxed(stack);
        return stack;
    }

    /// Result `i` of a call as a tensor that owns its memory. (`toTensor` alone is a view into the vector of results.)
    public static Tensor tensor(IValueVector results, long i) {
        return new Tensor(results.get(i).toTensor());
    }

    public static IValue of(Tensor tensor) {
        return new IValue(tensor);
    }

    public static IValue of(double value) {
        return new IValue(value);
    }

    public static IValue of(long value) {
        return new IValue(value);
    }

    public static IValue of(boolean value) {
        return new IValue(value);
    }

    /// None: the absent value of an optional argument.
    public static IValue none() {
        return new IValue();
    }

    /// A `Tensor[]` argument. (An `IValue` of a `TensorVector` compiles, and aborts the JVM.)
    public static IValue list(Tensor... tensors) {
        GenericList list = new GenericList(TENSOR);
        for (Tensor tensor : tensors) {
            list.push_back(new IValue(tensor));
        }
        return new IValue(list);
    }
}
