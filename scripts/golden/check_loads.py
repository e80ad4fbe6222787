"""Fails unless transformers loads a saved model directory without a warning, and finds in it what it should.

python scripts/golden/check_loads.py DIRECTORY [DIRECTORY_OF_THE_SAME_MODEL]
With a second directory, logits of both and their RoPE parameters must be equal. Tested with transformers 5.18.
"""
import logging
import sys
import warnings

import torch
import transformers

said = []


class Keep(logging.Handler):
    def emit(self, record):
        said.append(record.getMessage())


def load(directory):
    model, report = transformers.AutoModelForCausalLM.from_pretrained(directory, output_loading_info=True)
    return model.eval(), {kind: found for kind, found in report.items() if found}


logging.getLogger("transformers").addHandler(Keep(level=logging.WARNING))
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model, report = load(sys.argv[1])
    logits = model(torch.arange(10)[None] + 3).logits
    if len(sys.argv) > 2:
        other, _ = load(sys.argv[2])
        same = torch.equal(logits, other(torch.arange(10)[None] + 3).logits)
        if not same or model.config.rope_parameters != other.config.rope_parameters or model.dtype != other.dtype:
            said.append("the two directories are not the same model")
said += [str(warning.message) for warning in caught]
if said or report:
    sys.exit("\n".join(said + [f"{kind}: {found}" for kind, found in report.items()]))
print(f"{sys.argv[1]} loads without a warning")
