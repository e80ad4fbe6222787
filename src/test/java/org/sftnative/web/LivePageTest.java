package org.sftnative.web;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.net.InetAddress;
import java.net.Socket;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Clock;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.sftnative.InputException;
import org.sftnative.metrics.EventsFile;
import org.sftnative.metrics.MetricsFile;
import org.sftnative.metrics.RunEvent;
import org.sftnative.metrics.RunListener;
import org.sftnative.support.Chromium;

class LivePageTest {
    @TempDir
    Path output;

    private final HttpClient http = HttpClient.newHttpClient();
    private LivePage page;
    private List<RunListener> run;

    @BeforeEach
    void serve() {
        page = new LivePage(output, "127.0.0.1", 0);
        run = List.of(
                new MetricsFile(output.resolve("metrics.jsonl"), problem -> {}),
                new EventsFile(output.resolve("events.jsonl"), Clock.systemUTC(), problem -> {}));
        tell(new RunEvent.Started(0, 40, Map.of("model", "small")));
        for (int step = 1; step <= 5; step++) {
            step(step);
        }
    }

    @AfterEach
    void stop() {
        page.close();
        http.close();
    }

    @Test
    void chartsDrawPointsArriveAndTheButtonSaves() throws Exception {
        Optional<Chromium> found = Chromium.start();
        assumeTrue(found.isPresent(), "no chromium");
        try (Chromium browser = found.get()) {
            browser.open(page.address().toString(), 1200, 1400);
            browser.await("document.querySelectorAll('#charts canvas').length === 5");
            browser.await("document.querySelector('.tile b')?.textContent === '5 of 40'");
            assertEquals("5", browser.evaluate("plots.loss.getOption().series[0].data.length"));
            step(6);
            browser.await("document.querySelector('.tile b')?.textContent === '6 of 40'");
            assertEquals("6", browser.evaluate("plots.loss.getOption().series[0].data.length"));
            assertFalse(Files.exists(output.resolve("save")));
            browser.evaluate("document.getElementById('save').click()");
            browser.await("document.getElementById('answer').textContent.startsWith('it is saved')");
            assertTrue(Files.exists(output.resolve("save")));
            browser.reload();
            browser.await("document.querySelector('.tile b')?.textContent === '6 of 40'");
            browser.open(page.address().toString(), 400, 900); // a second tab, narrow
            browser.await("document.querySelectorAll('#charts canvas').length === 5");
            assertEquals("true", browser.evaluate("document.documentElement.scrollWidth <= 400"));
            tell(new RunEvent.Sampled(6, "q", "a", "<img src=x onerror=document.title='broken'>"));
            browser.await("document.querySelectorAll('#samples td').length === 2");
            assertFalse(browser.evaluate("document.title").equals("broken"));
            String own = page.address().toString();
            assertEquals(
                    List.of(),
                    browser.requests().stream()
                            .filter(a -> !a.startsWith(own) && !a.startsWith("data:") && !a.equals("about:blank"))
                            .toList());
            assertEquals(List.of(), browser.complaints());
        }
    }

    @Test
    void onlyThePageItselfMaySaveOrStop() throws Exception {
        String token = token();
        assertEquals(403, post("save", "", "").statusCode());
        assertEquals(403, post("save", "wrong", "").statusCode());
        assertEquals(403, post("save", token, "http://evil.example").statusCode());
        assertFalse(Files.exists(output.resolve("save")));
        assertEquals(202, post("save", token, "").statusCode());
        assertEquals(202, post("stop", token, origin()).statusCode());
        assertTrue(Files.exists(output.resolve("stop")));
        assertEquals(404, post("anything", token, "").statusCode());
        assertEquals(405, get("save", Map.of()).statusCode());
    }

    /// A browser that was killed, and one that never reads on: neither holds a thread for ever, or the end up.
    @Test
    void readersThatAreGoneAreForgotten() throws Exception {
        String request = "GET /events?token=" + token() + " HTTP/1.1\r\nHost: 127.0.0.1:"
                + page.address().getPort() + "\r\n\r\n";
        try (Socket killed = new Socket("127.0.0.1", page.address().getPort());
                Socket silent = new Socket("127.0.0.1", page.address().getPort())) {
            for (Socket socket : List.of(killed, silent)) {
                socket.getOutputStream().write(request.getBytes(StandardCharsets.US_ASCII));
                socket.getInputStream().read();
            }
            assertEquals(2, page.readers());
            killed.setSoLinger(true, 0); // a reset, as of a process that was killed
            killed.close();
            long until = System.nanoTime() + 20_000_000_000L;
            while (page.readers() > 1 && System.nanoTime() < until) {
                Thread.sleep(50);
            }
            assertEquals(1, page.readers());
            long began = System.nanoTime();
            page.close();
            assertTrue(System.nanoTime() - began < 5_000_000_000L, "closing waits for nobody");
        }
    }

    @Test
    void streamNeedsTheToken() throws Exception {
        assertEquals(403, get("events", Map.of()).statusCode());
        assertEquals(403, get("events?token=wrong", Map.of()).statusCode());
    }

    @Test
    void runThatIsOverIsNotAsked() throws Exception {
        tell(new RunEvent.Finished(5, 1, 1, 1, 1, output));
        assertEquals(409, post("save", token(), "").statusCode());
        assertFalse(Files.exists(output.resolve("save")));
    }

    /// Where others reach it, nothing is told without the token; a name that another site gave to loopback is refused.
    @Test
    void otherAddressesNeedTheTokenAndOtherNamesAreRefused() throws Exception {
        try (LivePage open = new LivePage(output, "0.0.0.0", 0)) {
            String own = "http://127.0.0.1:" + open.address().getPort() + "/";
            assertEquals(403, status(own, "127.0.0.1"));
            assertEquals(403, status(own + "?token=wrong", "127.0.0.1"));
            assertEquals(200, status(own + "?" + open.address().getQuery(), "127.0.0.1"));
        }
        assertEquals(403, status(page.address().toString(), "evil.example"));
        assertEquals(200, status(page.address().toString(), "localhost"));
    }

    /// Of a request with a Host header of one's own, which Java's client does not allow.
    private static int status(String address, String host) throws Exception {
        URI uri = URI.create(address);
        try (Socket socket = new Socket("127.0.0.1", uri.getPort())) {
            String path = uri.getRawPath() + (uri.getRawQuery() == null ? "" : "?" + uri.getRawQuery());
            socket.getOutputStream()
                    .write(("GET " + path + " HTTP/1.1\r\nHost: " + host + ":" + uri.getPort()
                                    + "\r\nConnection: close\r\n\r\n")
                            .getBytes(StandardCharsets.US_ASCII));
            String answer = new String(socket.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return Integer.parseInt(answer.split(" ")[1]);
        }
    }

    @Test
    void portThatIsTakenIsSaid() {
        int port = page.address().getPort();
        InputException e = assertThrows(InputException.class, () -> new LivePage(output, "127.0.0.1", port));
        assertTrue(e.getMessage().contains(":" + port), e.getMessage());
    }

    /// Nothing of another machine reaches it.
    @Test
    void itListensOnLoopback() {
        assertTrue(InetAddress.ofLiteral(page.address().getHost()).isLoopbackAddress());
    }

    private String origin() {
        return page.address().toString().replaceFirst("/$", "");
    }

    private String token() throws Exception {
        Matcher found = Pattern.compile("TOKEN = \"([^\"]+)\"")
                .matcher(get("", Map.of()).body());
        assertTrue(found.find());
        return found.group(1);
    }

    private HttpResponse<String> get(String path, Map<String, String> headers) throws Exception {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(page.address() + path));
        headers.forEach(request::header);
        return http.send(request.build(), HttpResponse.BodyHandlers.ofString());
    }

    private HttpResponse<String> post(String path, String token, String origin) throws Exception {
        HttpRequest.Builder request =
                HttpRequest.newBuilder(URI.create(page.address() + path)).POST(HttpRequest.BodyPublishers.noBody());
        if (!token.isEmpty()) {
            request.header("X-Token", token);
        }
        if (!origin.isEmpty()) {
            request.header("Origin", origin);
        }
        return http.send(request.build(), HttpResponse.BodyHandlers.ofString());
    }

    private void step(int step) {
        tell(new RunEvent.StepDone(step, 40, step / 20.0, 2.0 / step, 1, 1e-4, 1000, 500, 1, 1L << 30, true));
    }

    private void tell(RunEvent event) {
        run.forEach(listener -> listener.on(event));
    }
}
