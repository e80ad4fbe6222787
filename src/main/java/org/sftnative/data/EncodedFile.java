package org.sftnative.data;

import java.util.List;

/// What became of a file's rows.
///
/// @param format the name of its format; `none` if it has no rows
/// @param detected how that is known: one sentence, without the file's name
/// @param rows those that are not broken, in order
record EncodedFile(String format, String detected, List<EncodedRow> rows) {}
