/// Rows to steps: reads rows ([Rows]), makes prompt and response of them ([RowFormat]), tokenises ([Tokenizer],
/// [Encoder]), and deals the documents out in steps of micro-batches ([StepPlan]). Nothing here is random but by
/// (seed, epoch), and nothing is ever padded.
package org.sftnative.data;
