"""A tiny random Llama that transformers saves in shards and in one file, for ModelDirectoryTest and ModelWriterTest.

Run from the repository's root: python scripts/golden/model_directory_golden.py
Needs torch and transformers; the versions that wrote the committed files are in versions.json beside them.
state_dict.json has the names in the order of the model, by which save_pretrained fills shards.
"""
import json
import pathlib

import safetensors
import torch
import transformers

OUT = pathlib.Path("src/test/resources/golden/model-directory")

torch.manual_seed(0)
config = transformers.LlamaConfig(
    vocab_size=64, hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
    num_key_value_heads=1, max_position_embeddings=512,
    rope_parameters={"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
                     "high_freq_factor": 4.0, "original_max_position_embeddings": 64})
model = transformers.LlamaForCausalLM(config).to(torch.bfloat16)
model.save_pretrained(OUT / "sharded", max_shard_size="2KB")
model.save_pretrained(OUT / "single")
(OUT / "state_dict.json").write_text(json.dumps({"names": list(model.state_dict())}, indent=2) + "\n")
(OUT / "versions.json").write_text(json.dumps({
    "safetensors": safetensors.__version__, "torch": torch.__version__, "transformers": transformers.__version__,
}, indent=2) + "\n")
