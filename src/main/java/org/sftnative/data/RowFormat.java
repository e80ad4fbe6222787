package org.sftnative.data;

/// How rows are to be read. Closed: every format is known here, and whoever handles formats handles all.
public sealed interface RowFormat {
    /// What a row gives and what is to be learned of it.
    ///
    /// @throws org.sftnative.InputException if the row lacks what this format needs
    Example example(Row row);

    /// `instruction`, `input` (may be missing or empty) and `output`, in the tutorial's template:
    /// `### Instruction:\n{instruction}\n\n### Input:\n{input}\n\n### Response:\n`.
    /// The Input section stays when it is empty.
    record Alpaca() implements RowFormat {
        private static final String NEEDS = "each row needs 'instruction', 'output' and, if wanted, 'input'";

        @Override
        public Example example(Row row) {
            String prompt = prompt(
                    row.text("instruction", NEEDS), row.find("input", NEEDS).orElse(""));
            return new Example.Completion(prompt, row.text("output", NEEDS));
        }

        /// The prompt of an instruction: what a model trained on such rows is asked.
        public static String prompt(String instruction, String input) {
            return "### Instruction:\n" + instruction + "\n\n### Input:\n" + input + "\n\n### Response:\n";
        }
    }
}
