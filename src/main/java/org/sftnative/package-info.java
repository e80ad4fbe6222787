/// Supervised fine-tuning of LLaMA-family models on the JVM, over libtorch.
///
/// The way of a row: rows -> prompt and response -> template -> token ids and labels -> documents packed into a
/// micro-batch
/// -> forward, loss over label tokens, backward -> clip -> optimizer -> metrics and checkpoint. Each
/// package is a room of that way; `ArchitectureTest` holds which room may import which. This package itself
/// holds only what every room may use: the error that means "the user's input is wrong".
package org.sftnative;
