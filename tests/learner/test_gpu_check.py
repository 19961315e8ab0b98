"""scripts/gpu_check with tiny models on the CPU: every check runs and passes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.engine
def test_every_check_passes_in_tiny(tmp_path: Path) -> None:
    ours = {name: value for name, value in os.environ.items() if name not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    environment = ours | {"PYTHON": sys.executable, "OUT": str(tmp_path)}
    done = subprocess.run(
        [ROOT / "scripts/gpu_check", "--tiny"], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    rows = json.loads((tmp_path / "gpu_check.json").read_text(encoding="utf-8"))
    names = "\n".join(row["what"] for row in rows)
    for check in ("Gemma2, bfloat16", "attention of a layer", "TRL's form", "ZeRO 3", "NaN", "state saved"):
        assert check in names
    assert "| machine | CPU" in done.stdout
