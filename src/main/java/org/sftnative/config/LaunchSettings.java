package org.sftnative.config;

import java.util.Optional;

/// How many ranks `launch` starts, and where they meet; names are torchrun's.
public record LaunchSettings(
        @Setting(doc = "processes on this machine", value = "1")
        int nprocPerNode,

        @Setting(doc = "machines, each of which runs this command", value = "1")
        int nnodes,

        @Setting(doc = "number of this machine, from 0", value = "0")
        int nodeRank,

        @Setting(doc = "HOST or HOST:PORT of machine 0, where ranks meet; needed for more than one machine")
        Optional<String> rdzvEndpoint,

        @Setting(doc = "port where the ranks of one machine meet; 0: a free one", value = "0")
        int masterPort) {
    /// As torchrun's.
    private static final int PORT = 29_400;

    public LaunchSettings {
        Check.that(nprocPerNode >= 1 && nprocPerNode <= 1024, "nproc_per_node", nprocPerNode, "from 1 to 1024");
        Check.that(nnodes >= 1 && nnodes <= 100_000, "nnodes", nnodes, "from 1 to 100000");
        Check.that(nodeRank >= 0 && nodeRank < nnodes, "node_rank", nodeRank, "from 0 to " + (nnodes - 1));
        Check.that(
                nnodes == 1 || rdzvEndpoint.isPresent(),
                "rdzv_endpoint",
                "absent",
                "HOST:PORT of machine 0, as nnodes is " + nnodes);
        rdzvEndpoint.ifPresent(at ->
                Check.that(at.matches("[^:\\s]+(:\\d{1,5})?"), "rdzv_endpoint", "'" + at + "'", "HOST or HOST:PORT"));
        Check.that(masterPort >= 0 && masterPort <= 65_535, "master_port", masterPort, "a port, or 0");
    }

    /// Where rank 0 is.
    public String host() {
        return rdzvEndpoint.map(at -> at.split(":")[0]).orElse("127.0.0.1");
    }

    /// Where they meet; 0: any free port.
    public int port() {
        return rdzvEndpoint
                .map(at -> at.contains(":") ? Integer.parseInt(at.split(":")[1]) : PORT)
                .orElse(masterPort);
    }
}
