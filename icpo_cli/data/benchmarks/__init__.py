"""The seven benchmarks of the paper, by name and by group: one file each, one loader that checks what it loads."""

from collections.abc import Sequence
from pathlib import Path

from icpo_cli.config.load import nearest
from icpo_cli.data.benchmarks.aime24 import AIME24
from icpo_cli.data.benchmarks.benchmark import Benchmark
from icpo_cli.data.benchmarks.gpqa import GPQA
from icpo_cli.data.benchmarks.load import LoadedBenchmark, load
from icpo_cli.data.benchmarks.math500 import MATH500
from icpo_cli.data.benchmarks.minerva import MINERVA
from icpo_cli.data.benchmarks.mmlu_pro import MMLU_PRO
from icpo_cli.data.benchmarks.theoremqa import THEOREMQA
from icpo_cli.data.benchmarks.webinstruct import WEBINSTRUCT
from icpo_cli.errors import UserError

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark for benchmark in (MMLU_PRO, GPQA, THEOREMQA, WEBINSTRUCT, MATH500, MINERVA, AIME24)
}
"""In the order of the paper's tables."""

GROUPS: dict[str, list[str]] = {
    "general": [name for name, benchmark in BENCHMARKS.items() if benchmark.group == "general"],
    "math": [name for name, benchmark in BENCHMARKS.items() if benchmark.group == "math"],
    "all": list(BENCHMARKS),
}
GROUP_TITLES = {"general": "General", "math": "Math"}
"""Groups whose mean accuracy is shown."""
TITLES = {name: benchmark.title for name, benchmark in BENCHMARKS.items()} | GROUP_TITLES
"""In the order of the tables."""


def resolve_names(names: Sequence[str]) -> list[str]:
    """Expand groups; each benchmark once, in the order of BENCHMARKS. Raises UserError on an unknown name."""
    selected: set[str] = set()
    for name in names:
        if name not in BENCHMARKS and name not in GROUPS:
            raise UserError(f"unknown benchmark '{name}'{nearest(name, [*BENCHMARKS, *GROUPS])}")
        selected.update(GROUPS.get(name, [name]))
    return [name for name in BENCHMARKS if name in selected]


def load_benchmark(name: str, data_dir: Path | None) -> LoadedBenchmark:
    """Load a benchmark by name, as load() does. Raises UserError on an unknown name too."""
    return load(BENCHMARKS[resolve_names([name])[0]], data_dir)
