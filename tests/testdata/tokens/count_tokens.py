"""Count the tokens of the texts beside this file under cl100k_base, and write them to counts.json.

    python -m venv counting && counting/bin/pip install litellm
    counting/bin/python tests/testdata/tokens/count_tokens.py

The litellm wheel carries the vocabulary, so nothing else is downloaded. With `--check` nothing is written,
and the exit status says whether the counts on disk are right.
"""

import importlib
import importlib.util
import json
import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
COUNTS = HERE / "counts.json"


def count_all() -> dict[str, int]:
    """Count every text, by its path below this folder."""
    found = importlib.util.find_spec("litellm")
    if found is None or found.origin is None:
        sys.exit("litellm is missing: pip install litellm")
    # tiktoken looks for a vocabulary here before it asks the network; the file names are hashes of its URLs.
    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(found.origin).parent / "litellm_core_utils" / "tokenizers")
    tiktoken = importlib.import_module("tiktoken")
    encoding = tiktoken.get_encoding("cl100k_base")
    return {
        str(path.relative_to(HERE)): len(encoding.encode(path.read_text("utf-8")))
        for path in sorted(HERE.glob("*/*.txt"))
    }


def main() -> None:
    """Write the counts, or compare them with those on disk."""
    counts = count_all()
    if "--check" in sys.argv[1:]:
        sys.exit(0 if counts == json.loads(COUNTS.read_text()) else "counts.json is out of date")
    COUNTS.write_text(json.dumps(counts, indent=1) + "\n")
    print(f"{len(counts)} texts, {sum(counts.values())} tokens")


if __name__ == "__main__":
    main()
