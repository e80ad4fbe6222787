/// The processes of a run as one: where each stands, how they meet, what they exchange, and how all end
/// when one does.
package org.sftnative.dist;
