package org.sftnative.web;

import java.util.List;
import java.util.Optional;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.sftnative.generate.Answer;
import org.sftnative.generate.AnswerListener;
import org.sftnative.generate.BatchGenerator.Ticket;

/// What has come for one client and is not yet written to it. The thread that generates puts events in and never
/// waits: if too many pieces lie here, the client's answers are cancelled and what else comes is dropped.
final class Outbox {
    /// Something that came for the answer of an index.
    sealed interface Event {
        /// A piece of text.
        record Piece(int index, String text) implements Event {}

        /// The answer is whole.
        record Ended(int index, Answer answer) implements Event {}

        /// It will not be.
        record Failed(RuntimeException why) implements Event {}
    }

    /// Pieces that may lie here for each answer: seconds of it, at the rate that models write.
    static final int PIECES = 256;

    private final LinkedBlockingQueue<Event> events = new LinkedBlockingQueue<>();
    private final AtomicInteger pieces = new AtomicInteger();
    private final boolean stream;
    private final int limit;
    private List<Ticket> tickets = List.of();
    private boolean cancelled;
    private volatile boolean overflowed;

    /// @param stream whether pieces are wanted
    Outbox(int answers, boolean stream) {
        this.stream = stream;
        limit = answers * PIECES;
    }

    /// Hears the answer of an index.
    AnswerListener listener(int index) {
        return new AnswerListener() {
            @Override
            public void text(String piece) {
                if (stream && !overflowed) {
                    if (pieces.incrementAndGet() > limit) {
                        overflowed = true;
                        cancel();
                    } else {
                        events.add(new Event.Piece(index, piece));
                    }
                }
            }

            @Override
            public void ended(Answer answer) {
                events.add(new Event.Ended(index, answer));
            }

            @Override
            public void failed(RuntimeException why) {
                events.add(new Event.Failed(why));
            }
        };
    }

    /// What [#cancel] cancels.
    synchronized void hold(List<Ticket> tickets) {
        this.tickets = tickets;
        if (cancelled) {
            cancel();
        }
    }

    /// No more is wanted.
    synchronized void cancel() {
        cancelled = true;
        tickets.forEach(Ticket::cancel);
    }

    /// Whether the client was too slow.
    boolean overflowed() {
        return overflowed;
    }

    /// The next event; empty if there is none for so long.
    Optional<Event> next(long millis) throws InterruptedException {
        Event event = events.poll(millis, TimeUnit.MILLISECONDS);
        if (event instanceof Event.Piece) {
            pieces.decrementAndGet();
        }
        return Optional.ofNullable(event);
    }
}
