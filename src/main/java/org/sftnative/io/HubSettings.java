package org.sftnative.io;

import java.io.IOException;
import java.net.URI;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.sftnative.InputException;

/// Where the Hub and its cache are, as huggingface_hub's variables say it.
///
/// @param endpoint address of the Hub or of a mirror, without a slash at its end
/// @param cache the directory of `models--ORG--NAME` entries
/// @param token what opens private and gated models
/// @param offline whether the network is left alone
/// @param timeout longest wait for an answer, and for the next bytes of one
/// @param patience the wait before the first retry; each later one is twice as long
public record HubSettings(
        URI endpoint, Path cache, Optional<Token> token, boolean offline, Duration timeout, Duration patience) {
    private static final Set<String> TRUE = Set.of("1", "ON", "YES", "TRUE");

    /// A secret. Only [HubHttp] reads it; printed, it is three dots.
    public static final class Token {
        private final String secret;

        /// @throws InputException if it could not be sent; the message does not show it
        public Token(String secret) {
            if (!secret.matches("[\\x21-\\x7e]+")) {
                throw new InputException("the token of the Hub has characters that no token has"
                        + "\n  look at HF_TOKEN and at the token file: one line of letters and digits");
            }
            this.secret = secret;
        }

        String secret() {
            return secret;
        }

        @Override
        public String toString() {
            return "...";
        }
    }

    /// Reads HF_ENDPOINT, HF_HUB_CACHE, HF_HOME, HF_TOKEN, HF_TOKEN_PATH, HF_HUB_OFFLINE and their
    /// older names.
    ///
    /// @param variables the environment
    /// @param home the user's home directory
    /// @throws InputException if one of them cannot be
    public static HubSettings of(Map<String, String> variables, Path home) {
        Path cacheHome = path(variables, home, "XDG_CACHE_HOME").orElse(home.resolve(".cache"));
        Path hubHome = path(variables, home, "HF_HOME").orElse(cacheHome.resolve("huggingface"));
        return new HubSettings(
                endpoint(variables.getOrDefault("HF_ENDPOINT", "")),
                path(variables, home, "HF_HUB_CACHE")
                        .or(() -> path(variables, home, "HUGGINGFACE_HUB_CACHE"))
                        .orElse(hubHome.resolve("hub"))
                        .toAbsolutePath(),
                token(variables, path(variables, home, "HF_TOKEN_PATH").orElse(hubHome.resolve("token"))),
                isTrue(variables, "HF_HUB_OFFLINE") || isTrue(variables, "TRANSFORMERS_OFFLINE"),
                Duration.ofSeconds(seconds(variables, "HF_HUB_DOWNLOAD_TIMEOUT", 10)),
                Duration.ofSeconds(1));
    }

    /// Those of this process.
    public static HubSettings ofEnvironment() {
        return of(System.getenv(), Path.of(System.getProperty("user.home")));
    }

    private static URI endpoint(String given) {
        String text = given.isBlank() ? "https://huggingface.co" : given.strip().replaceFirst("/+$", "");
        try {
            URI uri = new URI(text);
            if (uri.getHost() != null
                    && Set.of("http", "https").contains(uri.getScheme().toLowerCase(Locale.ROOT))
                    && uri.getRawQuery() == null
                    && uri.getRawFragment() == null
                    && uri.getRawUserInfo() == null) {
                return uri;
            }
        } catch (URISyntaxException e) {
            // told below
        }
        throw new InputException("HF_ENDPOINT is '" + Shown.text(text) + "', must be an address such as"
                + " https://huggingface.co\n  unset it to use that one");
    }

    private static Optional<Path> path(Map<String, String> variables, Path home, String name) {
        return Optional.ofNullable(variables.get(name))
                .filter(text -> !text.isBlank())
                .map(text -> text.equals("~") || text.startsWith("~/") ? home + text.substring(1) : text)
                .map(Path::of);
    }

    private static Optional<Token> token(Map<String, String> variables, Path file) {
        for (String name : new String[] {"HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"}) {
            String given = variables.getOrDefault(name, "").strip();
            if (!given.isEmpty()) {
                return Optional.of(new Token(given));
            }
        }
        if (isTrue(variables, "HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
            return Optional.empty();
        }
        try {
            return Optional.of(Files.readString(file).strip())
                    .filter(text -> !text.isEmpty())
                    .map(Token::new);
        } catch (NoSuchFileException e) {
            return Optional.empty();
        } catch (IOException e) {
            throw new InputException(file + ": the token file cannot be read: " + e.getMessage(), e);
        }
    }

    private static boolean isTrue(Map<String, String> variables, String name) {
        return TRUE.contains(variables.getOrDefault(name, "").strip().toUpperCase(Locale.ROOT));
    }

    private static long seconds(Map<String, String> variables, String name, long byDefault) {
        String text = variables.getOrDefault(name, "").strip();
        if (text.isEmpty()) {
            return byDefault;
        }
        if (!text.matches("[1-9]\\d{0,5}")) {
            throw new InputException(name + " is '" + Shown.text(text) + "', must be a number of seconds");
        }
        return Long.parseLong(text);
    }

    /// Whether an address is the endpoint's, which the token may be sent to: scheme, host and port.
    boolean isEndpoint(URI uri) {
        return endpoint.getScheme().equalsIgnoreCase(uri.getScheme())
                && endpoint.getHost().equalsIgnoreCase(uri.getHost())
                && port(endpoint) == port(uri);
    }

    private static int port(URI uri) {
        return uri.getPort() >= 0 ? uri.getPort() : uri.getScheme().equalsIgnoreCase("https") ? 443 : 80;
    }
}
