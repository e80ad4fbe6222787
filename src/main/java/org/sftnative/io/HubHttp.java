package org.sftnative.io;

import java.io.IOException;
import java.io.InputStream;
import java.net.ConnectException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpConnectTimeoutException;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.time.ZonedDateTime;
import java.time.format.DateTimeFormatter;
import java.time.format.DateTimeParseException;
import java.util.Optional;
import java.util.Set;
import org.sftnative.InputException;

/// Requests to the Hub: redirects followed one by one, so that the token stays with the endpoint;
/// waits and failures told apart from refusals.
final class HubHttp implements AutoCloseable {
    private static final Set<Integer> REDIRECTS = Set.of(301, 302, 303, 307, 308);
    private static final int MOST_REDIRECTS = 10;
    /// A server that asks to wait longer is left alone.
    private static final Duration LONGEST_WAIT = Duration.ofMinutes(5);

    private static final int ATTEMPTS = 5;

    private final HubSettings settings;
    private final HttpClient client;

    HubHttp(HubSettings settings) {
        this.settings = settings;
        // HTTP/1.1: a connection for each file, which the JDK's HTTP/2 would squeeze through one window
        client = HttpClient.newBuilder()
                .version(HttpClient.Version.HTTP_1_1)
                .followRedirects(HttpClient.Redirect.NEVER)
                .connectTimeout(settings.timeout())
                .proxy(new HubProxies(System.getenv()))
                .build();
    }

    /// An answer that has come, and from where.
    record Answer(HttpResponse<InputStream> response, URI from) implements AutoCloseable {
        int status() {
            return response.statusCode();
        }

        Optional<String> header(String name) {
            return response.headers().firstValue(name);
        }

        InputStream body() {
            return response.body();
        }

        @Override
        public void close() throws IOException {
            response.body().close();
        }
    }

    /// A failure that a later attempt may not have: a status of 429 or 5xx, a connection that
    /// breaks.
    static final class Passing extends IOException {
        private static final long serialVersionUID = 1L;

        private final transient Optional<Duration> wait;

        Passing(String message, Optional<Duration> wait) {
            super(message);
            this.wait = wait;
        }
    }

    /// Work that may be tried again.
    @FunctionalInterface
    interface Attempt<T> {
        T run() throws IOException;
    }

    /// Repeats what fails in passing, with growing waits.
    ///
    /// @throws HubException after the last attempt, or if the server asks for a wait that is too
    /// long
    <T> T insist(String what, HubListener listener, Attempt<T> attempt) {
        return insist(what, listener, false, attempt);
    }

    /// The same; where it is the first request, a server that cannot be reached is given up at once.
    <T> T insist(String what, HubListener listener, boolean first, Attempt<T> attempt) {
        for (int failures = 1; ; failures++) {
            try {
                return attempt.run();
            } catch (IOException e) {
                Duration wait = settings.patience().multipliedBy(1L << failures - 1);
                if (e instanceof Passing passing && passing.wait.isPresent()) {
                    wait = passing.wait.get();
                }
                boolean hopeless = first && (e instanceof ConnectException || e instanceof HttpConnectTimeoutException);
                if (failures == ATTEMPTS || wait.compareTo(LONGEST_WAIT) > 0 || hopeless) {
                    throw new HubException(
                            what + " could not be fetched from " + settings.endpoint() + ": " + reason(e)
                                    + (first
                                            ? "\n  " + what + " is no directory here, so it is a model of the Hub"
                                            : "")
                                    + "\n  run the command again: it goes on where it stopped. HF_ENDPOINT names a"
                                    + " mirror, HF_HUB_OFFLINE=1 uses what is in the cache",
                            e);
                }
                listener.said(what + ": " + reason(e) + "; trying again in "
                        + Math.max(1, (wait.toMillis() + 999) / 1000) + " s");
                pause(wait);
            }
        }
    }

    static String reason(IOException e) {
        String message = e.getMessage() == null ? "" : Shown.text(e.getMessage());
        return e instanceof Passing
                ? message
                : e.getClass().getSimpleName().replace("Exception", "") + (message.isBlank() ? "" : ": " + message);
    }

    private static void pause(Duration wait) {
        try {
            Thread.sleep(wait);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new HubException("the download was stopped", e);
        }
    }

    /// A GET whose redirects are followed, wherever they lead; the token goes to the endpoint
    /// alone.
    ///
    /// @param range first byte that is wanted; 0: the whole
    /// @throws Passing for a status that another attempt may not have
    Answer get(URI uri, long range) throws IOException {
        return send("GET", uri, range);
    }

    /// A HEAD. A redirect to another host that says itself what the file is, is the answer.
    Answer head(URI uri) throws IOException {
        return send("HEAD", uri, 0);
    }

    private Answer send(String method, URI first, long range) throws IOException {
        URI uri = first;
        for (int hops = 0; hops <= MOST_REDIRECTS; hops++) {
            HttpRequest.Builder request = HttpRequest.newBuilder(uri)
                    .method(method, HttpRequest.BodyPublishers.noBody())
                    .timeout(settings.timeout().plusSeconds(20)) // until the headers are there
                    .header("User-Agent", "sft-native")
                    .header("Accept-Encoding", "identity");
            if (range > 0) {
                request.header("Range", "bytes=" + range + "-");
            }
            if (settings.token().isPresent() && settings.isEndpoint(uri)) {
                request.header(
                        "Authorization", "Bearer " + settings.token().get().secret());
            }
            Answer answer = new Answer(exchange(request.build()), uri);
            boolean redirect = REDIRECTS.contains(answer.status())
                    && answer.header("Location").isPresent();
            if (!redirect) {
                refuseIfPassing(answer);
                return answer;
            }
            URI next = target(uri, answer.header("Location").get());
            boolean elsewhere = !settings.isEndpoint(next);
            boolean says = answer.header("X-Linked-Etag").isPresent()
                    || answer.header("ETag").isPresent();
            if (method.equals("HEAD") && elsewhere && says) {
                return answer;
            }
            answer.close();
            uri = next;
        }
        // a circle stays one: no reason to try again
        throw new HubException(settings.endpoint() + " leads from redirect to redirect, more than " + MOST_REDIRECTS
                + "\n  is HF_ENDPOINT a Hub or a mirror of it?");
    }

    private HttpResponse<InputStream> exchange(HttpRequest request) throws IOException {
        try {
            return client.send(request, HttpResponse.BodyHandlers.ofInputStream());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new HubException("the download was stopped", e);
        }
    }

    private static URI target(URI from, String location) throws IOException {
        try {
            URI next = from.resolve(location);
            if (next.getHost() != null && Set.of("http", "https").contains(next.getScheme())) {
                return next;
            }
        } catch (IllegalArgumentException e) {
            // told below
        }
        throw new Passing("a redirect that leads nowhere", Optional.empty());
    }

    private static void refuseIfPassing(Answer answer) throws IOException {
        if (answer.status() != 429 && answer.status() < 500 && answer.status() != 408) {
            return;
        }
        answer.close();
        Optional<Duration> wait = answer.header("Retry-After").flatMap(HubHttp::duration);
        throw new Passing(
                answer.status() == 429
                        ? "the server has had too many requests (429)"
                                + wait.map(w -> ", and asks to wait " + w.toSeconds() + " s")
                                        .orElse("")
                        : "the server failed (" + answer.status() + ")",
                wait);
    }

    /// Seconds, or a date.
    private static Optional<Duration> duration(String text) {
        if (text.matches("\\d{1,9}")) {
            return Optional.of(Duration.ofSeconds(Long.parseLong(text)));
        }
        try {
            Duration wait = Duration.between(
                    ZonedDateTime.now(), ZonedDateTime.parse(text, DateTimeFormatter.RFC_1123_DATE_TIME));
            return Optional.of(wait.isNegative() ? Duration.ZERO : wait);
        } catch (DateTimeParseException e) {
            return Optional.empty();
        }
    }

    /// What a status of 4xx means to the user.
    ///
    /// @param what the file, or the model itself
    InputException refusal(Answer answer, HubName name, String what) {
        String at = name + " on " + settings.endpoint();
        String code = answer.header("X-Error-Code").orElse("");
        boolean known = settings.token().isPresent();
        return new InputException(
                switch (answer.status()) {
                    case 401 ->
                        known && !code.equals("RepoNotFound")
                                ? at + ": the token is not accepted (401)\n  get another at " + settings.endpoint()
                                        + "/settings/tokens and set HF_TOKEN"
                                : at + ": there is no such model, or it is private or gated (401)\n  " + spelling(name)
                                        + (known
                                                ? "; the token that is set does not open it"
                                                : "; for a private or gated one set HF_TOKEN");
                    case 403 ->
                        at + (code.equals("GatedRepo") ? ": is gated (403)" : ": access is refused (403)") + "\n  ask"
                                + " for access at " + settings.endpoint() + "/" + name.id()
                                + (known
                                        ? ", with the account of the token that is set"
                                        : ", and set HF_TOKEN to a token of the account that has it");
                    case 404 ->
                        switch (code) {
                            case "RevisionNotFound" ->
                                at + ": there is no revision '" + name.revision() + "' (404)\n  give a branch, a tag"
                                        + " or a commit after the @";
                            case "EntryNotFound" ->
                                at + ": there is no file " + what + " (404)\n  give another revision after the"
                                        + " @; a mirror may not have all of it";
                            default -> at + ": there is no such model (404)\n  " + spelling(name);
                        };
                    default -> at + ": " + what + " is refused with status " + answer.status();
                });
    }

    private static String spelling(HubName name) {
        return "there is no directory " + name.id() + " either: look at the spelling";
    }

    @Override
    public void close() {
        client.shutdownNow();
        client.close();
    }
}
