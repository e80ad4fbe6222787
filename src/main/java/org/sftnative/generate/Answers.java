package org.sftnative.generate;

import java.util.ArrayList;
import java.util.List;
import java.util.function.ObjIntConsumer;

/// Runs a list of requests to their ends, and tells the answers in the order of the requests.
public final class Answers {
    private final BatchGenerator generator;
    private final List<Request> requests;
    private final ObjIntConsumer<Answer> each;
    private final List<Answer> answers = new ArrayList<>();
    private final List<RuntimeException> failures = new ArrayList<>();
    private int told;

    private Answers(BatchGenerator generator, List<Request> requests, ObjIntConsumer<Answer> each) {
        this.generator = generator;
        this.requests = requests;
        this.each = each;
    }

    /// @param each hears each answer with the index of its request, in their order
    /// @throws RuntimeException the first that a request failed with
    /// @throws org.sftnative.InputException if a request can never run; those before it have
    public static void of(BatchGenerator generator, List<Request> requests, ObjIntConsumer<Answer> each) {
        new Answers(generator, requests, each).run();
    }

    /// All answers, in the order of the requests.
    public static List<Answer> of(BatchGenerator generator, List<Request> requests) {
        List<Answer> all = new ArrayList<>();
        of(generator, requests, (answer, _) -> all.add(answer));
        return all;
    }

    private void run() {
        for (int next = 0; told < requests.size(); ) {
            // a few more than run, so that whoever leaves is followed at once
            while (next < requests.size()
                    && generator.waiting() < generator.plan().texts()) {
                submit(next++);
            }
            generator.step();
            if (!failures.isEmpty()) {
                throw failures.getFirst();
            }
            while (told < answers.size() && answers.get(told) != null) {
                each.accept(answers.set(told, null), told);
                told++;
            }
        }
    }

    private void submit(int index) {
        answers.add(null);
        generator.submit(requests.get(index), new AnswerListener() {
            @Override
            public void ended(Answer answer) {
                answers.set(index, answer);
            }

            @Override
            public void failed(RuntimeException why) {
                failures.add(why);
            }
        });
    }
}
