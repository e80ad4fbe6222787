/// Chat templates: a small Jinja interpreter of our own, and the templates that come with the program.
///
/// It renders what Jinja2 renders in transformers' environment (immutable sandbox, `trim_blocks`,
/// `lstrip_blocks`, loop controls, `{% generation %}`), character for character. Beyond the text it tells
/// which characters came from the rows and which a generation block wrote. No Java object is ever reached
/// from a template: every value is one of the closed set [org.sftnative.template.Value]. What the
/// interpreter does not know is refused when a template is parsed; what a template does without end is
/// stopped by a budget that counts work, not time.
package org.sftnative.template;
