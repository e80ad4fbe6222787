/// The mathematics that is not a matrix product, on any device.
package org.sftnative.ops;
