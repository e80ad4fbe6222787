/// Text from a model: sampling over a KV cache.
package org.sftnative.generate;
