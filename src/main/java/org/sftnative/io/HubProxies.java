package org.sftnative.io;

import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.Proxy;
import java.net.ProxySelector;
import java.net.SocketAddress;
import java.net.URI;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.sftnative.InputException;

/// Proxies as the variables `https_proxy`, `http_proxy`, `all_proxy` and `no_proxy` name them, in
/// either case; where none does, as Java's own settings do.
final class HubProxies extends ProxySelector {
    private final Map<String, String> variables;

    HubProxies(Map<String, String> variables) {
        this.variables = variables;
    }

    @Override
    public List<Proxy> select(URI uri) {
        String given = variable(uri.getScheme().toLowerCase(Locale.ROOT) + "_proxy");
        if (given.isEmpty()) {
            given = variable("all_proxy");
        }
        if (given.isEmpty()) {
            ProxySelector own = ProxySelector.getDefault();
            return own == null ? List.of(Proxy.NO_PROXY) : own.select(uri);
        }
        if (isExcepted(uri.getHost().toLowerCase(Locale.ROOT))) {
            return List.of(Proxy.NO_PROXY);
        }
        URI proxy = address(given.contains("://") ? given : "http://" + given);
        int port = proxy.getPort() >= 0 ? proxy.getPort() : 80;
        return List.of(new Proxy(Proxy.Type.HTTP, new InetSocketAddress(proxy.getHost(), port)));
    }

    private static URI address(String given) {
        try {
            URI proxy = URI.create(given);
            if (proxy.getHost() != null && proxy.getScheme().startsWith("http")) {
                return proxy;
            }
        } catch (IllegalArgumentException e) {
            // told below, without what may be a password
        }
        throw new InputException(
                "the proxy that the environment names is no address\n  set https_proxy to http://HOST:PORT, or unset it");
    }

    private boolean isExcepted(String host) {
        return Arrays.stream(variable("no_proxy").toLowerCase(Locale.ROOT).split(","))
                .map(String::strip)
                .filter(text -> !text.isEmpty())
                .anyMatch(text -> text.equals("*")
                        || host.equals(text.replaceFirst("^\\.", ""))
                        || host.endsWith(text.startsWith(".") ? text : "." + text));
    }

    private String variable(String name) {
        String lower = variables.getOrDefault(name, "").strip();
        return lower.isEmpty()
                ? variables.getOrDefault(name.toUpperCase(Locale.ROOT), "").strip()
                : lower;
    }

    @Override
    public void connectFailed(URI uri, SocketAddress address, IOException e) {
        // the request fails with the same
    }
}
