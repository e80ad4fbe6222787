/// JMH benchmarks of the rooms. Every benchmark checks its result in its setup, before anything is timed.
package org.sftnative.benchmarks;
