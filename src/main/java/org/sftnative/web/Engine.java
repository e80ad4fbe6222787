package org.sftnative.web;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import org.sftnative.generate.AnswerListener;
import org.sftnative.generate.BatchGenerator;
import org.sftnative.generate.BatchGenerator.Ticket;
import org.sftnative.generate.Request;

/// Runs a [BatchGenerator] on a thread of its own, with a bounded queue before it.
public final class Engine implements AutoCloseable {
    private final BatchGenerator generator;
    private final int queue;
    private final Consumer<Throwable> problems;
    private final Thread thread;
    private volatile boolean closed;
    private volatile boolean dead;

    /// Starts it.
    ///
    /// @param generator stepped here and nowhere else; closed with this
    /// @param queue most texts that wait
    /// @param problems hears why a pass failed
    public Engine(BatchGenerator generator, int queue, Consumer<Throwable> problems) {
        this.generator = generator;
        this.queue = queue;
        this.problems = problems;
        thread = Thread.ofPlatform().name("generate").daemon().start(this::run);
    }

    /// One text that is wanted, and who hears it.
    public record Wanted(Request request, AnswerListener listener) {}

    /// Takes on all of them, or none.
    ///
    /// @throws ApiException if too many wait, or there is no going on
    /// @throws org.sftnative.InputException if one of them can never run
    public synchronized List<Ticket> submit(List<Wanted> wanted) {
        if (closed || dead) {
            throw closed ? ApiException.closing() : ApiException.failed("the model has failed, see the server's log");
        }
        int waiting = generator.waiting();
        if (waiting > 0 && waiting + wanted.size() > queue) {
            throw ApiException.busy(
                    waiting + " texts wait for room already, at most " + queue + " may; try again later", 1);
        }
        List<Ticket> tickets = new ArrayList<>();
        try {
            wanted.forEach(one -> tickets.add(generator.submit(one.request(), one.listener())));
        } catch (RuntimeException e) {
            tickets.forEach(Ticket::cancel);
            throw e;
        }
        return tickets;
    }

    /// Texts that wait for room.
    public int waiting() {
        return generator.waiting();
    }

    /// Texts that are written.
    public int running() {
        return generator.running();
    }

    /// Tokens that the cache has room for.
    public int tokens() {
        return generator.plan().tokens();
    }

    /// Tokens of the cache that texts have reserved.
    public int reservedTokens() {
        return generator.reservedTokens();
    }

    /// Whether it still answers.
    public boolean healthy() {
        return !dead && !closed;
    }

    private void run() {
        try {
            while (!closed) {
                generator.await();
                try {
                    generator.step();
                } catch (RuntimeException e) {
                    problems.accept(e); // those that ran were told
                }
            }
        } catch (InterruptedException _) {
            // closed
        } catch (Throwable e) {
            dead = true;
            problems.accept(e);
        } finally {
            synchronized (this) {
                dead |= !closed;
                generator.close();
            }
        }
    }

    /// Ends what runs and what waits as cancelled.
    @Override
    public void close() {
        synchronized (this) {
            closed = true;
        }
        thread.interrupt();
        try {
            thread.join();
        } catch (InterruptedException _) {
            Thread.currentThread().interrupt();
        }
    }
}
