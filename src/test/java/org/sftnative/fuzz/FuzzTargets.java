package org.sftnative.fuzz;

import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.sftnative.InputException;
import org.sftnative.cli.CommandLineProgram;
import org.sftnative.cli.Work;
import org.sftnative.config.RunSettings;
import org.sftnative.config.SettingsFile;
import org.sftnative.config.SettingsSchema;
import org.sftnative.data.DataFuzzTargets;
import org.sftnative.io.JsonFiles;
import org.sftnative.io.Manifest;
import org.sftnative.io.ModelDirectory;
import org.sftnative.io.SafetensorsFile;
import org.sftnative.model.AdapterFiles;
import org.sftnative.model.LlamaConfig;
import org.sftnative.model.MemoryEstimate;
import org.sftnative.model.ParameterLayout;
import org.sftnative.template.BuiltInTemplates;
import org.sftnative.template.ChatTemplate;
import org.sftnative.template.Limits;
import org.sftnative.template.RenderInput;
import org.sftnative.template.Value;
import org.sftnative.tensor.Dtype;
import org.sftnative.train.Checkpoints;

/// Every reader of bytes that come from strangers. A new reader is one line here, with a seed or two.
final class FuzzTargets {
    private static final Path GOLDEN = Path.of("src/test/resources/golden");
    private static final SettingsSchema<RunSettings> TRAIN = SettingsSchema.of(RunSettings.class);
    private static final RenderInput CONVERSATION =
            RenderInput.of(List.of(turn("system", "s"), turn("user", "<b>天🙂</b>"), turn("assistant", "a")));

    private FuzzTargets() {}

    static List<FuzzTarget> all() {
        List<FuzzTarget> targets = new ArrayList<>();
        targets.add(new FuzzTarget("safetensors", 140, tensors(), FuzzTargets::withLength, FuzzTargets::safetensors));
        targets.add(FuzzTarget.of("config", 110, FuzzTargets::config, text("arch/llama3/config.json"), CONFIG));
        targets.add(FuzzTarget.of("index", 40, FuzzTargets::index, INDEX));
        targets.add(FuzzTarget.of("manifest", 60, FuzzTargets::manifest, MANIFEST));
        targets.add(FuzzTarget.of("trainer-state", 40, FuzzTargets::trainerState, TRAINER_STATE));
        targets.add(FuzzTarget.of("adapter", 40, FuzzTargets::adapter, ADAPTERS));
        targets.add(FuzzTarget.of("template", 100, FuzzTargets::template, templates()));
        targets.add(FuzzTarget.of("settings", 110, FuzzTargets::settings, SETTINGS));
        targets.add(FuzzTarget.of("command-line", 40, FuzzTargets::commandLine, COMMAND_LINES));
        targets.addAll(DataFuzzTargets.all().stream()
                .map(t -> new FuzzTarget(t.name(), t.perMille(), t.seeds(), t.repair(), t.reader()::read))
                .toList());
        return targets;
    }

    private static final String CONFIG = """
            {"model_type":"qwen2","vocab_size":64,"hidden_size":32,"intermediate_size":64,"num_hidden_layers":2,\
            "num_attention_heads":4,"num_key_value_heads":2,"rms_norm_eps":1e-5,"max_position_embeddings":128,\
            "rope_theta":10000.0,"rope_scaling":{"type":"dynamic","factor":2.0},"eos_token_id":[1,2],"bos_token_id":0,\
            "tie_word_embeddings":true,"hidden_act":"silu","torch_dtype":"bfloat16","sliding_window":null}""";
    private static final LlamaConfig MODEL = LlamaConfig.of(JsonFiles.readObject(GOLDEN.resolve("base/config.json")));
    private static final String[] ADAPTERS = {
        "{\"peft_type\":\"LORA\",\"task_type\":\"CAUSAL_LM\",\"r\":1,\"lora_alpha\":2,\"lora_dropout\":0.1,"
                + "\"target_modules\":[\"o_proj\"],\"layers_to_transform\":[0],\"layers_pattern\":\"layers\","
                + "\"rank_pattern\":{\"v_proj\":4},\"alpha_pattern\":{\".*k_proj\":2.5},\"use_rslora\":true}",
        "{\"peft_type\":\"LORA\",\"r\":8,\"target_modules\":\".*(q|v)_proj\",\"exclude_modules\":\".*\\\\.1\\\\..*\","
                + "\"modules_to_save\":[\"lm_head\"],\"use_dora\":true,\"bias\":\"none\",\"init_lora_weights\":true}",
        "{\"peft_type\":\"LORA\",\"target_modules\":\"all-linear\",\"revision\":null,\"lora_bias\":false}",
    };
    private static final String INDEX = text("model-directory/sharded/model.safetensors.index.json");
    private static final String MANIFEST = """
            {"format_version":1,"step":"3","files":{"a.txt":{"size":5,"sha256":\
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"}}}""";
    private static final String TRAINER_STATE = """
            {"format_version":5,"epoch":1.5,"global_step":3,"state":{"step":3,"tokens":10,"label_tokens":5,\
            "loss_sum":1.25,"since_log":{"loss_sum":0.5,"label_tokens":2,"tokens":4},"skipped":0,\
            "micro_batch_tokens":512,"spikes":{"losses":[1.37,1.36],"norms":[3.3],"in_arow":1,"reductions":1,\
            "rollbacks":1,"rolled_back_to":2,"left_out":[2,3]}},"run":{"rows":"a","step_of":"16 rows",\
            "order":"shuffled","seed":42,"total_steps":9,"precision":"fp32","trained":"all weights"},"recipe":{"learning_rate":"2e-5"},\
            "optimizer_steps":3,"best":{"step":3,"metric":"eval_loss","value":0.5},\
            "patience":{"evaluations":2,"worse":1,"best":0.5}}""";
    private static final String SETTINGS = """
            # a run
            model_name_or_path: m
            train_file: [a.jsonl, 'b.json']
            output_dir: "out"
            learning_rate: 2e-5
            max_steps: -1
            shuffle: true
            eval_strategy: no
            chat_template: null
            field:
              - output=response
            lr_scheduler_type: cosine
            seed: &a 7
            device: cpu
            """;
    private static final String[] COMMAND_LINES = {
        "train\n--print-config\n--model\nm\n--train-file\na\n--output-dir\no\n--lr\n1e-4\n--no-shuffle",
        "data\n--model=m\nrows.json\n--validate",
        "generate\n--model\nm\n--prompt=--x\n--temperature\n0.7",
        "init\n--config\nc\n--tokenizer\nt\n--output-dir\no\n--seed\n-1",
        "eval\n--model\nm\n--eval-file\ne\n--threads\n2",
        "help\ntrain",
        "--version",
    };

    private static List<byte[]> tensors() {
        String[] headers = {
            "{\"__metadata__\":{\"format\":\"pt\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
                    + "\"b\":{\"dtype\":\"BF16\",\"shape\":[],\"data_offsets\":[16,18]}}",
            "{\"x\":{\"dtype\":\"F4\",\"shape\":[0,3],\"data_offsets\":[0,0]},"
                    + "\"\\u0079\":{\"dtype\":\"F16\",\"shape\":[1,2],\"data_offsets\":[0,4]}}   ",
            "{}",
        };
        int[] bytes = {18, 4, 0};
        List<byte[]> seeds = new ArrayList<>();
        for (int i = 0; i < headers.length; i++) {
            seeds.add(file(headers[i], bytes[i]));
        }
        return seeds;
    }

    private static byte[] file(String header, int bytes) {
        byte[] utf8 = header.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(8 + utf8.length + bytes)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(utf8.length)
                .put(utf8)
                .array();
    }

    /// The length of a header that ends at its last brace.
    private static byte[] withLength(byte[] input) {
        int end = input.length;
        while (end > 8 && input[end - 1] != '}') {
            end--;
        }
        if (end > 8) {
            ByteBuffer.wrap(input).order(ByteOrder.LITTLE_ENDIAN).putLong(0, end - 8);
        }
        return input;
    }

    private static void safetensors(byte[] input, Path folder) throws IOException {
        Path file = Files.write(folder.resolve("model.safetensors"), input);
        try (SafetensorsFile opened = SafetensorsFile.open(file);
                Arena arena = Arena.ofConfined()) {
            opened.metadata().size();
            for (String name : opened.tensors().keySet()) {
                if (opened.info(name).dtype().weights().isPresent()) {
                    MemorySegment to = arena.allocate(opened.info(name).elements() * Dtype.F32.bytes());
                    opened.read(name, Dtype.F32, to);
                }
            }
        }
    }

    private static void config(byte[] input, Path folder) throws IOException {
        LlamaConfig config = LlamaConfig.of(JsonFiles.readObject(Files.write(folder.resolve("config.json"), input)));
        ParameterLayout.of(config).parameterCount();
        config.rope().inverseFrequencies(config.maxPositionEmbeddings());
        MemoryEstimate.of(config, 4096);
    }

    private static void index(byte[] input, Path folder) throws IOException {
        if (!Files.exists(folder.resolve("config.json"))) {
            try (Stream<Path> files = Files.list(GOLDEN.resolve("model-directory/sharded"))) {
                for (Path file : files.toList()) {
                    Files.copy(file, folder.resolve(file.getFileName().toString()));
                }
            }
        }
        Files.write(folder.resolve("model.safetensors.index.json"), input);
        try (ModelDirectory directory = ModelDirectory.open(folder)) {
            directory.tensorNames().forEach(directory::info);
        }
    }

    /// Up to the names and shapes of its weights: those of the first seed, which have no number but 0.
    private static void adapter(byte[] input, Path folder) throws IOException {
        Files.write(folder.resolve("adapter_config.json"), input);
        String name = "\"base_model.model.model.layers.0.self_attn.o_proj.lora_";
        Files.write(
                folder.resolve("adapter_model.safetensors"),
                file(
                        "{" + name + "A.weight\":{\"dtype\":\"F32\",\"shape\":[1,96],\"data_offsets\":[0,384]}," + name
                                + "B.weight\":{\"dtype\":\"F32\",\"shape\":[96,1],\"data_offsets\":[384,768]}}",
                        768));
        AdapterFiles.config(folder, MODEL);
    }

    private static void manifest(byte[] input, Path folder) throws IOException {
        Files.writeString(folder.resolve("a.txt"), "hello");
        Files.write(folder.resolve(Manifest.NAME), input);
        Manifest.fault(folder);
    }

    private static void trainerState(byte[] input, Path folder) throws IOException, NoSuchAlgorithmException {
        Path checkpoint = Files.createDirectories(folder.resolve("checkpoint-3"));
        Files.write(checkpoint.resolve("trainer_state.json"), input);
        String sha =
                HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(input));
        Files.writeString(
                checkpoint.resolve(Manifest.NAME),
                "{\"format_version\":1,\"files\":{\"trainer_state.json\":{\"size\":" + input.length + ",\"sha256\":\""
                        + sha + "\"}}}");
        Checkpoints.described(folder);
    }

    private static String[] templates() {
        return Stream.concat(
                        BuiltInTemplates.names().stream()
                                .map(name -> BuiltInTemplates.named(name).source()),
                        Stream.of(
                                "{% macro f(x, y=1) %}{{ x ~ y }}{% endmacro %}{{ f(messages|length) }}",
                                "{% for m in messages %}{{ m['content']|trim|upper }}{{ loop.index }}{% endfor %}",
                                "{% set ns = namespace(n=0) %}{% for i in range(9) %}{% set ns.n = ns.n * 2 + i %}"
                                        + "{% endfor %}{{ '%05d' % ns.n }}{{ messages|tojson(indent=2) }}",
                                "{{ 'a,b'.split(',')[::-1]|join('-') }}{{ {'a': [1, 2.5, none]}.items()|list }}"))
                .toArray(String[]::new);
    }

    private static void template(byte[] input, Path folder) throws IOException {
        ChatTemplate.parse(new String(input, StandardCharsets.UTF_8)).render(CONVERSATION, new Limits(50_000, 1_000));
    }

    private static void settings(byte[] input, Path folder) throws IOException {
        var given = SettingsFile.read(Files.write(folder.resolve("run.yaml"), input));
        TRAIN.bind(TRAIN.resolve(given));
    }

    /// Arguments, a line each; nothing is run: the work behind the command line is one that has nothing to do.
    private static void commandLine(byte[] input, Path folder) {
        Work idle = (Work)
                Proxy.newProxyInstance(Work.class.getClassLoader(), new Class<?>[] {Work.class}, (_, method, _) -> {
                    throw new InputException("not run: " + method.getName());
                });
        PrintStream out = new PrintStream(OutputStream.nullOutputStream());
        String[] arguments = new String(input, StandardCharsets.UTF_8).split("\n");
        if (Stream.of(arguments).anyMatch(argument -> argument.contains("onfig"))) {
            // a file that is there would be read, and --print-config has no other name
            arguments = Stream.of(arguments)
                    .filter(argument -> argument.equals("--print-config") || !argument.contains("onfig"))
                    .toArray(String[]::new);
        }
        int status = new CommandLineProgram(idle, out, out, false).run(arguments);
        if (status != CommandLineProgram.OK && status != CommandLineProgram.BAD_INPUT) {
            throw new IllegalStateException("exit status " + status);
        }
    }

    private static Value turn(String role, String content) {
        return Value.of(Map.of("role", Value.of(role), "content", Value.of(content)));
    }

    private static String text(String golden) {
        try {
            return Files.readString(GOLDEN.resolve(golden));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
