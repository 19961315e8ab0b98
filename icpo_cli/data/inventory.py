"""Which data sets there are to have, which of them are on this machine, and how to get the rest."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from icpo_cli.config.schema import Config, SourceConfig
from icpo_cli.data.benchmarks.benchmark import Benchmark
from icpo_cli.data.benchmarks.load import Found, find, how_to_get
from icpo_cli.data.benchmarks.registry import BENCHMARKS


@dataclass(frozen=True)
class Need:
    """A data set and who asks for it."""

    data_set: str
    wanted_by: tuple[str, ...]
    here: str | None
    """Where it is on this machine; None where it is not."""
    how: str
    """How to get it."""


def needs(configs: Mapping[str, Config], data_dir: Path | None) -> list[Need]:
    """What the configurations, by name, train and check on, then the benchmarks."""
    wanted: dict[str, tuple[SourceConfig, list[str]]] = {}
    for name, config in configs.items():
        for source in (config.data.train, config.data.heldout):
            if source is not None:
                names = wanted.setdefault(source_name(source), (source, []))[1]
                names += [] if name in names else [name]
    trained = [
        Need(name, tuple(names), source_here(source), how_to_get_source(source))
        for name, (source, names) in wanted.items()
    ]
    return trained + [
        Need(name, (f"--bench {benchmark.group}",), benchmark_here(benchmark, data_dir), how_to_get(benchmark))
        for name, benchmark in BENCHMARKS.items()
    ]


def benchmark_here(benchmark: Benchmark, data_dir: Path | None) -> str | None:
    found = find(benchmark, data_dir)
    return None if found is None else found_at(found)


def found_at(found: Found) -> str:
    return str(found.path) if found.hub is None else f"fetched from {found.hub.id}"


def source_name(source: SourceConfig) -> str:
    if source.source == "reasoning_gym":
        return f"reasoning_gym {source.task}"
    return f"{source.path}, split {source.split}" if source.source == "hub" else str(source.path)


def source_here(source: SourceConfig) -> str | None:
    """A hub data set counts as here once its files are in the hub's own cache."""
    if source.source == "reasoning_gym":
        return "made when it is needed"
    path = Path(str(source.path))
    if path.exists():
        return str(path)
    if source.source == "file":
        return None

    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE) / f"datasets--{str(source.path).replace('/', '--')}" / "snapshots"
    return "in the hub's cache" if snapshots.is_dir() and any(snapshots.iterdir()) else None


def how_to_get_source(source: SourceConfig) -> str:
    """Empty where nothing is to be got."""
    if source.source == "hub":
        return "get it with network by `icpo data prepare train` and the configuration"
    return f"put a file at {source.path}" if source.source == "file" else ""
