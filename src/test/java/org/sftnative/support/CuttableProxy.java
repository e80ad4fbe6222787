package org.sftnative.support;

import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;

/// A way to a port of this machine that can be cut: then what is sent arrives nowhere, and no connection is closed, as
/// when a cable is pulled.
public final class CuttableProxy implements AutoCloseable {
    private final ServerSocket server;
    private final int target;
    private volatile boolean cut;

    public CuttableProxy(int target) throws IOException {
        this.target = target;
        this.server = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
        Thread.ofVirtual().start(this::accept);
    }

    public int port() {
        return server.getLocalPort();
    }

    public void cut() {
        cut = true;
    }

    private void accept() {
        try {
            while (true) {
                Socket client = server.accept();
                Thread.ofVirtual().start(() -> {
                    try (client;
                            Socket there = new Socket(InetAddress.getLoopbackAddress(), target)) {
                        Thread back = Thread.ofVirtual().start(() -> pump(there, client));
                        pump(client, there);
                        back.join();
                    } catch (IOException e) {
                        // one side is gone
                    } catch (InterruptedException e) {
                        Thread.currentThread().interrupt();
                    }
                });
            }
        } catch (IOException e) {
            // closed
        }
    }

    private void pump(Socket from, Socket to) {
        byte[] bytes = new byte[8192];
        try {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            for (int n; (n = in.read(bytes)) >= 0; ) {
                while (cut) {
                    Thread.sleep(100);
                }
                out.write(bytes, 0, n);
            }
            to.shutdownOutput();
        } catch (IOException e) {
            // one side is gone
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    @Override
    public void close() throws IOException {
        server.close();
    }
}
