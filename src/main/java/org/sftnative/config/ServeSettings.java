package org.sftnative.config;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.Optional;
import org.sftnative.InputException;

/// What `serve` is told.
public record ServeSettings(
        ModelSettings model,

        @Setting(doc = "what requests call the model; default: the name of its directory")
        Optional<String> servedModelName,

        @Setting(doc = "a built-in chat template, or a Jinja file; default: the model's own")
        Optional<String> chatTemplate,

        @Setting(doc = "address to listen on; another than loopback needs --api-key", value = "127.0.0.1")
        String host,

        @Setting(doc = "port to listen on; 0: any that is free", value = "8000")
        int port,

        @Setting(doc = "key that requests must send as Authorization: Bearer KEY")
        Optional<String> apiKey,

        @Setting(doc = "most tokens of a chat answer whose request gives no max_tokens", value = "1024")
        int maxNewTokens,

        @Setting(doc = "texts that may wait for room; one more is told to come later (429)", value = "128")
        int maxQueue,

        @Setting(doc = "seconds that requests have to end after SIGTERM", value = "20")
        int graceSeconds,

        BatchSettings batch) {
    public ServeSettings {
        Check.that(port >= 0 && port <= 65535, "port", port, "from 0 to 65535");
        Check.that(maxNewTokens >= 1, "max_new_tokens", maxNewTokens, "1 or more");
        Check.that(maxQueue >= 1 && maxQueue <= 100_000, "max_queue", maxQueue, "from 1 to 100000");
        Check.that(graceSeconds >= 0 && graceSeconds <= 3600, "grace_seconds", graceSeconds, "from 0 to 3600");
        boolean loopback;
        try {
            loopback = InetAddress.getByName(host).isLoopbackAddress();
        } catch (UnknownHostException e) {
            throw new InputException("setting 'host' is '" + host + "', which is no address of this machine", e);
        }
        if (!loopback && apiKey.isEmpty()) {
            throw new InputException("host '" + host + "' can be reached from other machines, and there is no API key"
                    + "\n  give one with --api-key, or leave --host out to serve this machine alone");
        }
    }
}
