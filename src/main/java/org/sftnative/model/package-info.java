/// LLaMA-family models: their configuration, their weights in flat buffers, and the engines that run them.
package org.sftnative.model;
