"""The benchmarks that an evaluation asks, as far as their data is to be had."""

from collections.abc import Sequence
from dataclasses import dataclass

from icpo_cli.config.schema import Config
from icpo_cli.data.benchmarks import BENCHMARKS, LoadedBenchmark, resolve_names
from icpo_cli.data.benchmarks.load import find, load
from icpo_cli.errors import UserError
from icpo_cli.evaluate.plan import data_folder


@dataclass(frozen=True)
class Loaded:
    """The benchmarks that are there, and those whose data is not to be had with how to get it."""

    benchmarks: tuple[LoadedBenchmark, ...]
    missing: dict[str, str]


def load_benchmarks(names: Sequence[str], config: Config) -> Loaded:
    """Raises UserError on an unknown name, on data that is at fault, and where none of them is there."""
    loaded, missing = [], {}
    folder = data_folder(config)
    resolved = resolve_names(names)
    for name in resolved:
        try:
            loaded.append(load(BENCHMARKS[name], folder))
        except UserError as error:
            if len(resolved) == 1 or find(BENCHMARKS[name], folder) is not None:
                raise
            missing[name] = str(error)
    if not loaded:
        raise UserError(f"none of the benchmarks' data is there: {'; '.join(missing.values())}")
    return Loaded(tuple(loaded), missing)
