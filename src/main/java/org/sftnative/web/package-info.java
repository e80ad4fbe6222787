/// OpenAI's HTTP interface to models that run here. What is in a model directory is none of its business: it is
/// handed [ServedModel]s, and knows tokens and texts.
package org.sftnative.web;
