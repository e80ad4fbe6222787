/// A study in the world: its storage in SQL, its trials as processes, and what a person sees of it. What is decided is
/// decided in one transaction over the stored log ([StudyStore]), so that any number of workers decide as one.
package org.sftnative.tune.study;
