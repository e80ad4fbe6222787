package org.sftnative.io;

import java.io.IOException;
import java.net.URI;
import java.net.URLEncoder;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileVisitOption;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalLong;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.CompletionService;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorCompletionService;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Function;
import java.util.function.Supplier;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.sftnative.InputException;
import tools.jackson.core.JacksonException;
import tools.jackson.databind.JsonNode;
import tools.jackson.databind.json.JsonMapper;

/// Models of the Hub as directories: what is missing in the cache is fetched, side by side,
/// verified, and linked as huggingface_hub does. Files that training has no use for stay where they
/// are, pickles above all.
public final class HubClient implements AutoCloseable {
    /// What is wanted of a model.
    public enum Need {
        /// Everything to train or generate: weights too.
        MODEL,
        /// Tokenizer, chat template and configuration.
        TOKENIZER
    }

    private static final int AT_ONCE = 8;
    private static final int LARGEST_ANSWER = 64 << 20;
    private static final Pattern TEMPLATE = Pattern.compile("additional_chat_templates/[A-Za-z0-9_-][\\w.-]*\\.jinja");
    private static final Pattern ETAG = Pattern.compile("[A-Za-z0-9_][A-Za-z0-9._-]{0,199}");
    private static final Pattern NOT_A_NAME =
            Pattern.compile("(?s)|/.*|.*[\\\\\\x00-\\x1f\\x7f].*|(.*/)?\\.{0,2}(/.*)?|[A-Za-z]:.*");
    private static final String ADAPTER = "adapter_model.safetensors";

    private final HubSettings settings;
    private final HubListener listener;
    private final HubHttp http;
    private final HubDownload download;

    public HubClient(HubSettings settings, HubListener listener) {
        this.settings = settings;
        this.listener = listener;
        http = new HubHttp(settings);
        download = new HubDownload(http, settings, listener);
    }

    /// The directory that a user means: `given` itself where it is there or cannot be a model of
    /// the Hub, else the model's directory in the cache, fetched if need be.
    ///
    /// @throws InputException if the Hub has no such model, or none that can be used
    /// @throws HubException if it cannot be fetched
    public static Path directory(Path given, Need need, Supplier<HubSettings> settings, HubListener listener) {
        Optional<HubName> name = Files.exists(given) ? Optional.empty() : HubName.parse(given.toString());
        if (name.isEmpty()) {
            return given;
        }
        try (HubClient client = new HubClient(settings.get(), listener)) {
            return client.fetch(name.get(), need);
        }
    }

    /// The model's directory in the cache, with all that is needed.
    ///
    /// @throws InputException if there is no such model or revision, it may not be read, or has
    /// nothing to train
    /// @throws HubException if network, server or disk fail, and the cache has not all of it
    public Path fetch(HubName name, Need need) {
        HubCache cache = new HubCache(settings.cache(), name);
        Optional<Path> cached =
                cache.commit(name.revision()).map(cache::snapshot).filter(dir -> isComplete(dir, need));
        if (settings.offline()) {
            return cached.orElseThrow(() -> new InputException(name + " is not, or not whole, in the cache "
                    + settings.cache() + ", and HF_HUB_OFFLINE is set\n  unset it to fetch the model"));
        }
        Listing listing;
        try {
            listing = list(name);
        } catch (HubException e) {
            if (cached.isEmpty()) {
                throw e;
            }
            listener.said("the Hub does not answer; using " + name + " as it is in the cache");
            return cached.get();
        }
        try {
            Path snapshot = cache.snapshot(listing.commit());
            Set<String> small = new LinkedHashSet<>(ModelWriter.COPIED);
            small.add(ModelDirectory.CONFIG);
            small.add("adapter_config.json");
            small.retainAll(listing.files());
            listing.files().stream()
                    .filter(file -> TEMPLATE.matcher(file).matches())
                    .forEach(small::add);
            if (need == Need.MODEL) {
                refuseUnusable(name, listing.files());
                small.addAll(weightsOrIndex(listing.files()));
                small.remove(ModelDirectory.WEIGHTS);
                small.remove(ADAPTER);
            } else if (!small.contains("tokenizer.json")) {
                throw new InputException(name + " has no tokenizer.json\n  give a model that has one");
            }
            fetch(name, listing, small, cache);
            cache.note(name.revision(), listing.commit());
            if (need == Need.MODEL) {
                if (small.contains(ModelDirectory.CONFIG)) {
                    ModelDirectory.checkKind(snapshot, JsonFiles.readObject(snapshot.resolve(ModelDirectory.CONFIG)));
                }
                fetch(name, listing, weights(name, listing.files(), snapshot), cache);
            }
            return snapshot;
        } catch (IOException e) {
            throw new HubException(
                    settings.cache() + " cannot be written: " + e.getMessage()
                            + "\n  set HF_HUB_CACHE to a directory that can",
                    e);
        }
    }

    /// Copies a model into a directory of the user's own, through the cache; `config.json` comes
    /// last.
    ///
    /// @param directory made if need be; files of other names in it stay
    /// @return the directory
    /// @throws InputException if the Hub has no such model, or none that can be used
    /// @throws HubException if it cannot be fetched or written
    public Path download(HubName name, Path directory) {
        Path snapshot = fetch(name, Need.MODEL);
        try (Stream<Path> files = Files.walk(snapshot, FileVisitOption.FOLLOW_LINKS)) {
            List<Path> all = new ArrayList<>(files.filter(Files::isRegularFile).toList());
            all.sort(Comparator.comparing(file -> file.endsWith(ModelDirectory.CONFIG)));
            for (Path file : all) {
                Path target = directory.resolve(snapshot.relativize(file).toString());
                Files.createDirectories(target.getParent());
                AtomicFiles.copy(file, target);
            }
            return directory;
        } catch (IOException e) {
            throw new HubException(directory + " cannot be written: " + e.getMessage(), e);
        }
    }

    /// @param files by name, what the list says of each
    private record Listing(String commit, SortedMap<String, Listed> known) {
        Set<String> files() {
            return known.keySet();
        }
    }

    /// What a list of files says of one: a mirror may say nothing.
    ///
    /// @param hash SHA-256 of an LFS file, git's SHA-1 of another
    private record Listed(Optional<String> hash, OptionalLong size) {
        static Listed of(JsonNode sibling) {
            JsonNode lfs = sibling.path("lfs");
            String hash = lfs.isObject()
                    ? lfs.path("sha256").asString("")
                    : sibling.path("blobId").asString("");
            JsonNode size = (lfs.isObject() ? lfs : sibling).path("size");
            return new Listed(
                    Optional.of(hash).filter(HubDownload::isHash),
                    size.isIntegralNumber() && size.canConvertToLong() && size.asLong() >= 0
                            ? OptionalLong.of(size.asLong())
                            : OptionalLong.empty());
        }
    }

    private Listing list(HubName name) {
        URI address = URI.create(settings.endpoint() + "/api/models/" + name.id() + "/revision/"
                + URLEncoder.encode(name.revision(), StandardCharsets.UTF_8) + "?blobs=true");
        JsonNode answer = http.insist(name.toString(), listener, true, () -> {
            try (HubHttp.Answer got = http.get(address, 0)) {
                if (got.status() != 200) {
                    throw http.refusal(got, name, "its list of files");
                }
                byte[] bytes = got.body().readNBytes(LARGEST_ANSWER);
                return JsonMapper.shared().readTree(bytes);
            } catch (JacksonException e) {
                throw new HubHttp.Passing("the list of files is no JSON", Optional.empty());
            }
        });
        String commit = answer.path("sha").asString("");
        SortedMap<String, Listed> files = new TreeMap<>();
        for (JsonNode sibling : answer.path("siblings")) {
            String file = sibling.path("rfilename").asString("");
            if (NOT_A_NAME.matcher(file).matches()) {
                throw new InputException(name + " lists a file '" + Shown.text(file)
                        + "', which is a path out of it\n  do not use this model");
            }
            files.put(file, Listed.of(sibling));
        }
        if (!HubName.isCommit(commit) || files.isEmpty()) {
            throw new HubException(settings.endpoint() + " answers for " + name
                    + " without a commit or without files\n  is HF_ENDPOINT a Hub or a mirror of it?");
        }
        return new Listing(commit, files);
    }

    private static void refuseUnusable(HubName name, Set<String> files) {
        boolean adapter = files.contains("adapter_config.json") && files.contains(ADAPTER);
        if (!adapter && !files.contains(ModelDirectory.CONFIG)) {
            throw new InputException(name + " has no config.json: it is no model that can be trained"
                    + (files.stream().anyMatch(file -> file.endsWith(".gguf"))
                            ? "\n  it holds GGUF files: give the model that they were made from"
                            : "\n  it has " + files.size() + " files, such as "
                                    + Shown.text(files.iterator().next())));
        }
        if (!weightsOrIndex(files).isEmpty()) {
            return;
        }
        Optional<String> pickle = files.stream()
                .filter(file -> file.matches("(?i).*\\.(bin|pt|pth|ckpt|pkl)"))
                .findFirst();
        throw new InputException(name + " has neither " + ModelDirectory.WEIGHTS + " nor " + ModelDirectory.INDEX
                + pickle.map(file -> ", only pickle files, such as " + Shown.text(file)
                                + ", which can run code and are never read\n  look for a revision with safetensors")
                        .orElse("\n  give a model that has weights in safetensors"));
    }

    /// The file of all weights, or the index of its shards; and an adapter's.
    private static List<String> weightsOrIndex(Set<String> files) {
        List<String> found = new ArrayList<>();
        if (files.contains(ModelDirectory.WEIGHTS)) {
            found.add(ModelDirectory.WEIGHTS);
        } else if (files.contains(ModelDirectory.INDEX)) {
            found.add(ModelDirectory.INDEX);
        }
        if (files.contains(ADAPTER)) {
            found.add(ADAPTER);
        }
        return found;
    }

    private static Set<String> weights(HubName name, Set<String> files, Path snapshot) {
        Set<String> weights = new TreeSet<>(weightsOrIndex(files));
        if (weights.remove(ModelDirectory.INDEX)) {
            Path index = snapshot.resolve(ModelDirectory.INDEX);
            for (String shard : new TreeSet<>(ModelDirectory.weightMap(index).values())) {
                if (!files.contains(shard)) {
                    throw new InputException(name + ": " + ModelDirectory.INDEX + " names the shard "
                            + Shown.text(shard) + ", which the repository does not have\n  look for another revision");
                }
                weights.add(shard);
            }
        }
        return weights;
    }

    private static boolean isComplete(Path snapshot, Need need) {
        if (need == Need.TOKENIZER) {
            return Files.exists(snapshot.resolve("tokenizer.json"));
        }
        if (Files.exists(snapshot.resolve(ADAPTER))) {
            return Files.exists(snapshot.resolve("adapter_config.json"));
        }
        if (!Files.exists(snapshot.resolve(ModelDirectory.CONFIG))) {
            return false;
        }
        Path index = snapshot.resolve(ModelDirectory.INDEX);
        return Files.exists(snapshot.resolve(ModelDirectory.WEIGHTS))
                || Files.exists(index)
                        && ModelDirectory.weightMap(index).values().stream()
                                .allMatch(shard -> Files.exists(snapshot.resolve(shard)));
    }

    private void fetch(HubName name, Listing listing, Set<String> files, HubCache cache) throws IOException {
        String commit = listing.commit();
        // a commit's files never change: what is linked was verified
        List<String> missing = files.stream()
                .filter(file -> !Files.exists(cache.snapshot(commit).resolve(file)))
                .toList();
        List<HubDownload.Wanted> wanted = together(missing, file -> describe(name, listing, file));
        Map<String, HubDownload.Wanted> blobs = new LinkedHashMap<>(); // two files may have one content
        long bytes = 0;
        for (HubDownload.Wanted one : wanted) {
            if (!HubDownload.isThere(cache.blob(one.etag()), one) && blobs.putIfAbsent(one.etag(), one) == null) {
                long have = HubCache.size(cache.incomplete(one.etag()));
                bytes += Math.max(0, one.size().orElse(0) - have);
            }
        }
        if (!blobs.isEmpty()) {
            long free = cache.usableSpace();
            if (free < bytes) {
                throw new InputException(name + " needs " + bytes + " bytes more, the disk of " + settings.cache()
                        + " has " + free + " free\n  make room, or set HF_HUB_CACHE to another disk");
            }
            listener.planned(blobs.size(), bytes);
            together(List.copyOf(blobs.values()), one -> download.fetch(one, cache));
        }
        for (HubDownload.Wanted one : wanted) {
            cache.link(commit, one.file(), cache.blob(one.etag()));
        }
    }

    /// Asks what a file is. An ETag that is no hash (a mirror's) gives way to the list's hash.
    private HubDownload.Wanted describe(HubName name, Listing listing, String file) {
        String commit = listing.commit();
        Listed listed = listing.known().get(file);
        URI address = URI.create(settings.endpoint() + "/" + name.id() + "/resolve/" + commit + "/"
                + URLEncoder.encode(file, StandardCharsets.UTF_8)
                        .replace("+", "%20")
                        .replace("%2F", "/"));
        return http.insist(name + ": " + file, listener, () -> {
            try (HubHttp.Answer answer = http.head(address)) {
                if (answer.status() >= 400) {
                    throw http.refusal(answer, name, file);
                }
                String is = answer.header("X-Repo-Commit").orElse(commit);
                String etag = answer.header("X-Linked-Etag")
                        .or(() -> answer.header("ETag"))
                        .orElse("")
                        .replaceFirst("^W/", "")
                        .replace("\"", "");
                if (!is.equals(commit) || !ETAG.matcher(etag).matches()) {
                    throw new HubException(settings.endpoint() + " says of " + name + ": " + file
                            + " that its commit is "
                            + Shown.text(is) + " and its ETag '" + Shown.text(etag) + "'\n  asked for was " + commit
                            + ": is HF_ENDPOINT a Hub or a mirror of it?");
                }
                String content = HubDownload.isHash(etag) ? etag : listed.hash().orElse(etag);
                if (!HubDownload.isHash(content)) {
                    listener.said(name + ": " + file + " is verified by its size alone: the ETag '" + etag
                            + "' is no hash, and the list of files has none");
                }
                Optional<String> length = answer.header("X-Linked-Size");
                if (length.isEmpty() && answer.status() < 300) {
                    length = answer.header("Content-Length");
                }
                return new HubDownload.Wanted(
                        name,
                        file,
                        address,
                        content,
                        length.filter(text -> text.matches("\\d{1,18}"))
                                .map(text -> OptionalLong.of(Long.parseLong(text)))
                                .orElse(listed.size()));
            }
        });
    }

    /// Does a task for each element, several at once; the first failure ends the others.
    ///
    /// @return the results, in the order of the elements
    private static <T, R> List<R> together(List<T> elements, Function<T, R> task) {
        ExecutorService workers = Executors.newFixedThreadPool(
                AT_ONCE, Thread.ofPlatform().daemon().factory());
        try {
            CompletionService<R> done = new ExecutorCompletionService<>(workers);
            List<Future<R>> futures = elements.stream()
                    .map(element -> done.submit(() -> task.apply(element)))
                    .toList();
            for (int i = 0; i < futures.size(); i++) {
                done.take().get();
            }
            return futures.stream().map(Future::resultNow).toList();
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException failure) {
                throw failure;
            }
            throw new IllegalStateException(e.getCause());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new HubException("the download was stopped", e);
        } finally {
            workers.shutdownNow();
            workers.close(); // waits: nobody writes once this returns
        }
    }

    @Override
    public void close() {
        http.close();
    }
}
