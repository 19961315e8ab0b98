"""An evaluation that was made before: its responses, to be graded anew or compared with."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from icpo_cli.config.load import load_config
from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError
from icpo_cli.evaluate.plan import Key
from icpo_cli.evaluate.store import Stored
from icpo_cli.runs.parquet import read_table
from icpo_cli.runs.run_dir import find_run

RESPONSES = "responses.parquet"
RESULT = "result.json"


@dataclass(frozen=True)
class Past:
    """What an evaluation left."""

    folder: Path
    config: Config
    model: str
    """As it was named."""
    responses: dict[str, dict[Key, Stored]]
    """By benchmark."""
    unknown: dict[str, int]
    """Responses it was given to questions that the benchmark has not, by benchmark."""

    @property
    def run_id(self) -> str:
        return self.folder.name


def read_past(run: str, option: str, arguments: Sequence[str]) -> Past:
    """The evaluation that `run` names: its folder, its id or a beginning of it. Raises UserError.

    Its configuration is that of the evaluation under files and key=value of the command line.
    """
    found = find_run(Path(load_config(arguments).eval.output_dir), run, option)
    folder = found.path
    if not (folder / RESULT).is_file() or not (folder / RESPONSES).is_file():
        raise UserError(f"{option} {run}: {folder}: is no evaluation that came to an end: it has no {RESULT}")
    document = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    responses: dict[str, dict[Key, Stored]] = {result["bench"]: {} for result in document["results"]}
    for row in read_table(folder / RESPONSES):
        stored = _stored(row)
        responses[row["bench"]][stored.key] = stored
    return Past(
        folder=folder,
        config=found.config(arguments),
        model=document["model"],
        responses=responses,
        unknown={result["bench"]: result["missing"]["unknown"] for result in document["results"]},
    )


def _stored(row: dict) -> Stored:
    tokens = row["tokens"]
    return Stored(
        id=row["id"],
        index=row["index"],
        text=row["text"],
        tokens=None if tokens is None else tuple(tokens),
        finish_reason=row["finish_reason"],
        seed=row["seed"],
        mean_prob=row["mean_prob"],
        mean_logprob=row["mean_logprob"],
    )
