package org.sftnative.generate;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/// Runs requests to their ends.
final class Answers {
    private Answers() {}

    /// The answers, in the order of the requests.
    static List<Answer> of(BatchGenerator generator, List<Request> requests) {
        Answer[] answers = new Answer[requests.size()];
        List<RuntimeException> failures = new ArrayList<>();
        for (int i = 0; i < answers.length; i++) {
            int at = i;
            generator.submit(requests.get(i), new AnswerListener() {
                @Override
                public void ended(Answer answer) {
                    answers[at] = answer;
                }

                @Override
                public void failed(RuntimeException why) {
                    failures.add(why);
                }
            });
        }
        while (generator.step()) {
            // a token of each
        }
        if (!failures.isEmpty()) {
            throw failures.getFirst();
        }
        return Arrays.asList(answers);
    }
}
