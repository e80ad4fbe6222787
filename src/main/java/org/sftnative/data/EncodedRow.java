package org.sftnative.data;

import java.util.List;

/// What became of one row.
///
/// @param row its number in its file, from 1
/// @param hash what it says, for splitting and finding duplicates
/// @param documents none if every label was cut away or there was none; several if it was split
/// @param truncated whether it was cut at the maximum length
record EncodedRow(int row, ContentHash hash, List<Document> documents, boolean truncated) {
    EncodedRow {
        documents = List.copyOf(documents);
    }
}
