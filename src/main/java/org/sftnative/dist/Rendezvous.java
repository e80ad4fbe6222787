package org.sftnative.dist;

import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.UnknownHostException;
import java.util.List;
import java.util.UUID;
import java.util.function.Consumer;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.sftnative.InputException;
import org.sftnative.config.DistSettings;
import org.sftnative.tensor.Torch;

/// How ranks find one another: each claims its number at the [MeetingPoint], rank 0 counts them, and
/// all go on together or none does.
public final class Rendezvous {
    private static final String PROBLEM = "problem";
    private static final String GO = "go";
    private static final String OK = "ok";

    private Rendezvous() {}

    /// Joins a run.
    ///
    /// @param last ends this process: called with the cause, a second after it, if this one still runs
    /// @throws InputException if a port is in use, a rank came twice, or ranks disagree on how many
    ///     they are
    /// @throws RanksException if ranks are missing when the time is over
    public static World join(Place place, DistSettings settings, Consumer<Fault> last) {
        Torch.quiet(); // loaded as this program wants it, before any class of the presets
        MeetingPoint point = new MeetingPoint(place, settings.rendezvousTimeout());
        Watch watch = place.rank() == 0 ? lead(point, place, settings, last) : follow(point, place, settings, last);
        try {
            return new Ranks(place, point, watch, settings);
        } catch (RuntimeException e) {
            Fault first = watch.failed(MeetingPoint.firstLine(e));
            throw new RanksException(
                    first.rank() == place.rank() ? "ranks cannot be connected: " + first.message() : first.toString(),
                    e);
        }
    }

    private static Watch lead(MeetingPoint point, Place place, DistSettings settings, Consumer<Fault> last) {
        claim(point, place);
        point.set("size", "" + place.size());
        try {
            ServerSocket server = new ServerSocket(0);
            String key = UUID.randomUUID().toString();
            Watch watch = Watch.hub(place.size(), server, key, settings.heartbeatTimeout(), last);
            point.set("watch", server.getLocalPort() + " " + key);
            List<Integer> missing = missing(point, place.size());
            while (!missing.isEmpty()) {
                if (point.has(PROBLEM)) {
                    throw stopped(point, new InputException(point.get(PROBLEM)));
                }
                if (point.late()) {
                    throw stopped(
                            point,
                            new RanksException(
                                    (missing.size() == 1 ? "rank " : "ranks ")
                                            + missing.stream()
                                                    .map(String::valueOf)
                                                    .collect(Collectors.joining(", ")) + " of "
                                            + place.size() + " did not come within " + settings.rendezvousTimeout()
                                            + " s (--rendezvous-timeout)\n  what did they say? they must reach "
                                            + place.host()
                                            + ":" + place.port(),
                                    null));
                }
                MeetingPoint.sleep();
                missing = missing(point, place.size());
            }
            point.set(GO, OK);
            return watch;
        } catch (IOException e) {
            throw stopped(point, new RanksException("no port can be served here: " + e.getMessage(), e));
        }
    }

    private static List<Integer> missing(MeetingPoint point, int size) {
        return IntStream.range(0, size)
                .filter(rank -> !point.has("rank/" + rank))
                .boxed()
                .toList();
    }

    /// The others end, too.
    private static RuntimeException stopped(MeetingPoint point, RuntimeException why) {
        point.set(GO, why.getMessage());
        return why;
    }

    private static Watch follow(MeetingPoint point, Place place, DistSettings settings, Consumer<Fault> last) {
        String size = point.get("size");
        if (!size.equals("" + place.size())) {
            throw problem(
                    point,
                    "rank " + place.rank() + " (" + here() + ") has WORLD_SIZE " + place.size() + ", rank 0 has " + size
                            + "\n  start all ranks with the same number of processes");
        }
        claim(point, place);
        String go = point.get(GO);
        if (!go.equals(OK)) {
            throw new RanksException(go, null);
        }
        String[] address = point.get("watch").split(" ");
        InetSocketAddress hub = new InetSocketAddress(place.host(), Integer.parseInt(address[0]));
        try {
            return Watch.of(place.rank(), place.size(), hub, address[1], settings.heartbeatTimeout(), last);
        } catch (IOException e) {
            throw new RanksException(
                    "rank 0 cannot be reached at " + hub + ": " + e.getMessage()
                            + "\n  ranks connect to one another on any port: is there a firewall between them?",
                    e);
        }
    }

    private static void claim(MeetingPoint point, Place place) {
        String me = here();
        String holder = point.claim("rank/" + place.rank(), me);
        if (!holder.equals(me)) {
            throw problem(
                    point,
                    "rank " + place.rank() + " of " + place.size() + " came twice: from " + holder + " and "
                            + me + "\n  each process needs a RANK of its own; or another run meets at "
                            + place.host() + ":" + place.port());
        }
    }

    private static InputException problem(MeetingPoint point, String what) {
        point.set(PROBLEM, what);
        return new InputException(what);
    }

    /// This process, for messages.
    static String here() {
        return hostName() + ", process " + ProcessHandle.current().pid() + ", thread "
                + Thread.currentThread().threadId();
    }

    private static String hostName() {
        try {
            return InetAddress.getLocalHost().getHostName();
        } catch (UnknownHostException e) {
            return "unknown host";
        }
    }
}
