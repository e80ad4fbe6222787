/// A training run: the loop, its state, evaluation and checkpoints.
package org.sftnative.train;
