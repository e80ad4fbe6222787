/// Device, element types, scopes, threads, boxed ATen calls and error translation: everything odd about the
/// libtorch presets, dealt with once. Other rooms use the presets' `Tensor` directly.
package org.sftnative.tensor;
