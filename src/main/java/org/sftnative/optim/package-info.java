/// Learning-rate schedules, gradient clipping, and the optimizer's state over the flat buffers.
package org.sftnative.optim;
