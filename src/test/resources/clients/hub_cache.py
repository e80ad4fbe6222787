"""huggingface_hub and a cache: hub_cache.py local|fetch CACHE REPOSITORY REVISION

`local` reads what is there without a network, `fetch` downloads from HF_ENDPOINT. Prints the snapshot's directory, and
each file with the SHA-256 of its content.
"""

import hashlib
import sys
from pathlib import Path

from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download

how, cache, repository, revision = sys.argv[1:]
wanted = ["*.json", "*.safetensors"]
directory = snapshot_download(
    repository, revision=revision, cache_dir=cache, local_files_only=how == "local", allow_patterns=wanted
)
found = hf_hub_download(
    repository, "model.safetensors", revision=revision, cache_dir=cache, local_files_only=how == "local"
)
assert Path(found).parent == Path(directory), (found, directory)
info = scan_cache_dir(cache)
assert not info.warnings, info.warnings
assert [r.repo_id for r in info.repos] == [repository], info
print(directory)
for file in sorted(Path(directory).iterdir()):
    print(file.name, hashlib.sha256(file.read_bytes()).hexdigest())
