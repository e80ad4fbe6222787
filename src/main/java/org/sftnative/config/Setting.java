package org.sftnative.config;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/// What is known of one setting besides its type: one component of a settings record, one doc line, one default.
/// The name is the component's in snake_case (YAML) and kebab-case (flags).
@Target(ElementType.RECORD_COMPONENT)
@Retention(RetentionPolicy.RUNTIME)
public @interface Setting {
    /// One line for `--help`, the docs table and `--print-config`.
    String doc();

    /// The default as a user would type it; empty: the setting is absent unless given (an `Optional`) or required.
    String value() default "";

    /// What the flag means without a value; empty: it needs one.
    String bare() default "";

    /// Other names that people type, in snake_case.
    String[] aliases() default {};

    /// Whether a run cannot start without it.
    boolean required() default false;
}
