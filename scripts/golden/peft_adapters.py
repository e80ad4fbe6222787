"""Adapters made and saved by PEFT over the tiny llama2 model of architectures.py, and what PEFT computes with them.

Writes src/test/resources/golden/adapters/NAME/: adapter_config.json and adapter_model.safetensors as `save_pretrained`
writes them, and golden.safetensors: `input_ids` (n) i64, `logits` (n, V) fp32, and `merged.WEIGHT` of every weight that
`merge_and_unload` changes. One thread, fixed seeds.
Run from the project root: python3 scripts/golden/peft_adapters.py
With `check BASE ADAPTER OUT` it lets PEFT load an adapter directory over a model, and writes `logits` of the ids
3, 4, .. 22 into the file OUT: what AdapterPeftTest asks.
With `check-merged MODEL OUT` it does the same with a merged model, and fails if transformers warns of anything.
"""
import json
import shutil
import sys
from pathlib import Path

from common import GOLDEN, torch_on_one_thread, versions, write_json

torch = torch_on_one_thread()
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

BASE = GOLDEN / "arch" / "llama2"

ADAPTERS = {
    "plain": dict(r=4, lora_alpha=6, target_modules=["q_proj", "v_proj"]),
    "all-linear": dict(r=3, lora_alpha=8, target_modules="all-linear", lora_dropout=0.05),
    "rslora-patterns": dict(
        r=4, lora_alpha=5, use_rslora=True, target_modules=["q_proj", "o_proj", "up_proj", "down_proj"],
        rank_pattern={"down_proj": 7, r"layers\.0\.self_attn\.q_proj": 2}, alpha_pattern={"up_proj": 3, "model.layers.1.mlp.down_proj": 11},
    ),
    "dora": dict(r=4, lora_alpha=8, use_dora=True, target_modules=["q_proj", "k_proj", "o_proj", "gate_proj", "down_proj"]),
    "saved-modules": dict(r=2, lora_alpha=4, target_modules=["v_proj", "gate_proj"], modules_to_save=["lm_head", "embed_tokens"]),
    "regex": dict(r=2, lora_alpha=4, target_modules=r".*\.1\.(self_attn|mlp)\.(v|up)_proj"),
    "one-layer": dict(r=2, lora_alpha=4, target_modules=["k_proj", "v_proj", "down_proj"], layers_to_transform=[1], layers_pattern="layers"),
    "excluded": dict(r=2, lora_alpha=4, target_modules="all-linear", exclude_modules=["up_proj", "layers.0.self_attn.o_proj"]),
}


def base(path=BASE):
    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32, attn_implementation="eager").eval()


def fill(model, generator):
    """B is zero and magnitudes are the norms at the start: values that show a mistake take their place."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if not p.requires_grad:
                continue
            noise = torch.randn(p.shape, generator=generator)
            if "lora_magnitude" in name:
                p.mul_(1 + 0.2 * noise)
            elif "lora_" in name:
                p.copy_(0.3 * noise)
            else:
                p.add_(0.1 * noise)


def logits(model, ids):
    with torch.no_grad():
        return model(input_ids=ids[None], use_cache=False).logits[0].contiguous()


def make(name, settings, seed):
    generator = torch.Generator().manual_seed(seed)
    model = get_peft_model(base(), LoraConfig(task_type="CAUSAL_LM", **settings)).eval()
    fill(model, generator)
    folder = GOLDEN / "adapters" / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder, save_embedding_layers=False)
    (folder / "README.md").unlink()
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "arch/llama2"  # no path of the machine that made it
    if isinstance(config["target_modules"], list):
        config["target_modules"].sort()  # a set: its order is another at each run
    write_json(folder / "adapter_config.json", config)
    ids = torch.randint(3, 128, (19,), generator=generator)
    golden = {"input_ids": ids, "logits": logits(model, ids)}
    before = base().state_dict()
    after = model.merge_and_unload().state_dict()
    assert before.keys() == after.keys(), before.keys() ^ after.keys()
    golden |= {f"merged.{key}": value.contiguous() for key, value in after.items() if not torch.equal(value, before[key])}
    assert len(golden) > 3
    save_file(golden, folder / "golden.safetensors", metadata={"format": "pt"})
    for file in folder.iterdir():
        file.chmod(0o644)
    print(name, sum(f.stat().st_size for f in folder.iterdir()) // 1000, "kB", sorted(golden)[:4])


def check(model, out):
    save_file({"logits": logits(model, torch.arange(3, 23))}, out)


def main():
    if sys.argv[1:2] == ["check"]:
        _, _, model, adapter, out = sys.argv
        loaded = PeftModel.from_pretrained(base(model), adapter)
        # merging reads every field that scales: a second way to the same numbers
        one, two = logits(loaded, torch.arange(3, 23)), logits(loaded.merge_and_unload(), torch.arange(3, 23))
        assert (one - two).abs().max() < 1e-4 * one.abs().max(), "PEFT's own merge differs"
        save_file({"logits": one}, out)
        return
    if sys.argv[1:2] == ["check-merged"]:
        import logging

        from transformers.utils import logging as hf

        hf.set_verbosity_warning()
        said = []
        handler = logging.Handler()
        handler.emit = lambda record: said.append(record.getMessage())
        logging.getLogger("transformers").addHandler(handler)
        model, info = AutoModelForCausalLM.from_pretrained(sys.argv[2], output_loading_info=True, dtype=torch.float32, attn_implementation="eager")
        assert not said and not any(info.values()), (said, info)
        check(model.eval(), sys.argv[3])
        return
    for i, (name, settings) in enumerate(ADAPTERS.items()):
        make(name, settings, 300 + i)
    write_json(GOLDEN / "adapters" / "versions.json", versions("torch", "transformers", "peft", "safetensors"))


if __name__ == "__main__":
    main()
