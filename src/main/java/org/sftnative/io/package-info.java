/// Formats on disk, and no training: safetensors, model directories, atomic files. What a user's file has wrong is
/// an [org.sftnative.InputException] that names the file, and the tensor where there is one; what the machine does
/// wrong while writing is an [java.io.UncheckedIOException].
package org.sftnative.io;
