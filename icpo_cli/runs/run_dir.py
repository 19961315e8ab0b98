"""The folder of a run: where each of its files is, and how a user's name for a run leads to it."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from icpo_cli.errors import UserError
from icpo_cli.runs.checkpoints import ITERATION, Checkpoint, Checkpoints, iteration_name, iteration_of
from icpo_cli.runs.files import Below
from icpo_cli.runs.journal import Journal

if TYPE_CHECKING:
    from icpo_cli.config.schema import Config

CONFIG = "config.yaml"


class Status(StrEnum):
    """How far a run, a job or a study is."""

    WAITING = "waiting"
    """It has not begun."""
    RUNNING = "running"
    UNFINISHED = "unfinished"
    """Running or interrupted: its files do not show which."""
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    """Saved after a stop request: it can be resumed."""

    @property
    def ended(self) -> bool:
        return self in (Status.STOPPED, Status.FAILED, Status.DONE)

    @property
    def mlflow(self) -> str:
        """MLflow's name for it."""
        return {"waiting": "SCHEDULED", "stopped": "KILLED", "done": "FINISHED"}.get(self, self.name)

    @classmethod
    def of_mlflow(cls, word: str) -> "Status":
        return next(status for status in cls if status.mlflow == word)


class Kind(StrEnum):
    """Which command made a run; recorded in MLflow as the tag KIND."""

    TRAIN = "train"
    EVAL = "eval"
    STUDY = "study"


KIND = "run.kind"
MODEL_ITERATION = "model.iteration"
"""Tag of an evaluation: the iteration of the evaluated checkpoint."""


@dataclass(frozen=True)
class RunDir:
    """A run's folder, named by its MLflow id."""

    path: Path

    config_file = Below(CONFIG)
    input_parity_file = Below("input_parity.json")
    """Hashes of the inputs, which must be equal across the arms of a study."""
    responses_folder = Below("responses")
    """Tables of sampled responses, one per iteration."""
    eval_responses_file = Below("responses.parquet")
    """An evaluation's responses, with their verdicts."""
    result_file = Below("result.json")
    """An evaluation's result; it is written last, so an evaluation that has it is complete."""
    table_file = Below("table.md")
    """The result as Markdown."""
    eval_log = Below("eval.log")
    """Standard error of an evaluation."""

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def journal(self) -> Journal:
        return Journal(self.path / "journal.jsonl")

    def input_parity(self) -> dict[str, str]:
        """Empty until the run has written all of them. Older runs have them in fairness.json."""
        for file in (self.input_parity_file, self.path / "fairness.json"):
            with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
                return dict(json.loads(file.read_text(encoding="utf-8")))
        return {}

    def log(self, rank: int = 0) -> Path:
        """Standard error of a training run's rank."""
        return self.path / (f"run.rank{rank}.log" if rank else "run.log")

    def exists(self) -> bool:
        return self.config_file.is_file()

    def config(self, overrides: Sequence[str] = ()) -> "Config":
        """The run's configuration, with FILE.yaml and key=value on top. Raises UserError."""
        from icpo_cli.config.load import load_config  # a study's jobs start without it

        return load_config([str(self.config_file), *overrides])

    def responses_file(self, iteration: int) -> Path:
        return self.responses_folder / f"{iteration_name(iteration)}.parquet"

    def responses(self) -> dict[int, Path]:
        """The stored tables by iteration, ascending."""
        return responses_in(self.responses_folder)

    def checkpoints(self, keep: int = 1) -> Checkpoints:
        return Checkpoints(self.path / "checkpoints", keep)

    def checkpoint(self, which: str = "last") -> Checkpoint | None:
        """A checkpoint: last, best, or the name of its folder; None if it does not exist."""
        if which == "last":
            return self.checkpoints().last()
        folder = self.checkpoints().folder / which
        return Checkpoint(folder.resolve()) if folder.is_dir() else None


ARTIFACTS = RunDir(Path())
"""The names that a run's files have as artifacts in an MLflow store."""


def responses_in(folder: Path) -> dict[int, Path]:
    """Tables of responses in a folder by iteration, ascending."""
    return {iteration_of(path): path for path in sorted(folder.glob(f"{ITERATION}*.parquet"))}


def runs_in(folder: Path) -> list[RunDir]:
    """The runs directly below a folder, sorted by id."""
    return [RunDir(path.parent) for path in sorted(folder.glob(f"*/{CONFIG}"))]


def find_run(output_dir: Path, run: str, option: str) -> RunDir:
    """The run that a path, an id or the unique beginning of an id names. Raises UserError naming the option."""
    found = matching_runs(output_dir, run)
    if len(found) == 1:
        return found[0]
    if found:
        raise UserError(f"{option} {run}: several ids start with this: {', '.join(each.id for each in found)}")
    known = ", ".join(each.id for each in runs_in(output_dir))
    raise UserError(f"{option} {run}: no such run in {output_dir}/; known runs: {known or 'none'}")


def matching_runs(output_dir: Path, run: str) -> list[RunDir]:
    """The runs whose id begins with `run`, or the one whose folder it is."""
    if RunDir(Path(run)).exists():
        return [RunDir(Path(run).resolve())]
    is_id = run.replace("-", "").isalnum()
    return [each for each in runs_in(output_dir) if each.id.startswith(run)] if is_id else []
