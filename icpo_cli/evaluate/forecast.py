"""What an evaluation will do, from its configuration alone: nothing is started and nothing fetched."""

from collections.abc import Sequence
from dataclasses import dataclass

from icpo_cli.config.schema import Config
from icpo_cli.data.benchmarks import BENCHMARKS, resolve_names
from icpo_cli.data.benchmarks.load import find, how_to_get
from icpo_cli.evaluate.plan import data_folder, responses_a_question


@dataclass(frozen=True)
class Forecast:
    """One benchmark's part."""

    bench: str
    title: str
    questions: int
    k: int
    responses: int
    data: str | None
    """Where its data is on this machine."""
    how_to_get: str | None
    """In words, where it is not."""


def forecast(config: Config, names: Sequence[str]) -> list[Forecast]:
    """Raises UserError on an unknown name."""
    planned = []
    for name in resolve_names(names):
        benchmark = BENCHMARKS[name]
        found = find(benchmark, data_folder(config))
        questions = min(benchmark.count, config.eval.limit or benchmark.count)
        k = responses_a_question(config, benchmark)
        planned.append(
            Forecast(
                bench=name,
                title=benchmark.title,
                questions=questions,
                k=k,
                responses=questions * k,
                data=str(found.path) if found else None,
                how_to_get=None if found else how_to_get(benchmark),
            )
        )
    return planned
