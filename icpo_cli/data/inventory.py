"""The data sets that configurations and benchmarks use: which are on this machine, and how to get the others."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from icpo_cli.config.schema import Config, SourceConfig
from icpo_cli.data.benchmarks import BENCHMARKS, Benchmark
from icpo_cli.data.benchmarks.load import BenchmarkFile, find, how_to_get


@dataclass(frozen=True)
class Need:
    """A data set and what uses it."""

    data_set: str
    wanted_by: tuple[str, ...]
    here: str | None
    """Its path on this machine, or None."""
    how: str
    """How to get it."""


def needs(configs: Mapping[str, Config], data_dir: Path | None) -> list[Need]:
    """The training and held-out data of the named configurations, then the benchmarks."""
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
    return None if found is None else path_shown(found)


def path_shown(found: BenchmarkFile) -> str:
    """The file's path; for a file of the cache the data set it was fetched from."""
    return str(found.path) if found.hub is None else f"fetched from {found.hub.id}"


def source_name(source: SourceConfig) -> str:
    if source.source == "reasoning_gym":
        return f"reasoning_gym {source.task}"
    return f"{source.path}, split {source.split}" if source.source == "hub" else str(source.path)


def source_here(source: SourceConfig) -> str | None:
    """Where the data is on this machine, or None; a hub data set is here if the hub's cache has its files."""
    if source.source == "reasoning_gym":
        return "generated when needed"
    path = Path(str(source.path))
    if path.exists():
        return str(path)
    if source.source == "file":
        return None

    from huggingface_hub.constants import HF_HUB_CACHE

    snapshots = Path(HF_HUB_CACHE) / f"datasets--{str(source.path).replace('/', '--')}" / "snapshots"
    return "in the hub's cache" if snapshots.is_dir() and any(snapshots.iterdir()) else None


def how_to_get_source(source: SourceConfig) -> str:
    """Instructions; empty for generated data."""
    if source.source == "hub":
        return "get it with network by `icpo data prepare train` and the configuration"
    return f"put a file at {source.path}" if source.source == "file" else ""
