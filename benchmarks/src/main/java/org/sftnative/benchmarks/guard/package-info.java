/// Says of two sets of benchmark results whether something became slower: no measuring, only judging.
package org.sftnative.benchmarks.guard;
