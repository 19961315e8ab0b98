"""Checkpoints of a run: written to a temporary folder, synced, then renamed, so that each is complete or absent.

checkpoints/iteration-00010/          a Hugging Face folder: weights, tokenizer, chat template
checkpoints/iteration-00010/resume/   master weights and optimizer state, from every rank, and state.json
checkpoints/last, checkpoints/best    links
"""

import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from icpo_cli.runs.files import atomic_write, sync

SAVING = ".saving-"
REMOVING = ".removing-"
ITERATION = "iteration-"


@dataclass(frozen=True)
class LoopState:
    """The state of the training loop after an iteration: all that a resume needs besides weights and optimizer state.

    Order, seeds and schedule are functions of the run's seed and the iteration, so no random generator has a state.
    """

    iteration: int = 0
    skipped_in_a_row: int = 0
    """Updates skipped for a non-finite loss or gradient since the last one done."""
    running_std: float | None = None
    """Running mean over iterations of the std of final rewards within a group; None before the first."""
    best_iteration: int | None = None
    best_accuracy: float | None = None
    ranks: int = 1
    """Ranks that wrote it; a resume may have another number."""


@dataclass(frozen=True)
class Checkpoint:
    """The folder of one checkpoint: a model, and below it what a resumed run continues from."""

    folder: Path

    @property
    def resume(self) -> Path:
        """State of the learner, for every rank."""
        return self.folder / "resume"

    @property
    def process_model(self) -> Path:
        """State of the process model, for every rank."""
        return self.resume / "process_model"

    @property
    def state_file(self) -> Path:
        return self.resume / "state.json"

    def has_state(self) -> bool:
        return any(self.resume.glob("*.safetensors"))

    def state(self) -> LoopState:
        """The state of the loop. Runs of earlier versions call `running_std` `final_std`."""
        fields = json.loads(self.state_file.read_text(encoding="utf-8"))
        return LoopState(**{"running_std" if name == "final_std" else name: fields[name] for name in fields})


class Checkpoints:
    """The checkpoints folder of one run."""

    def __init__(self, folder: Path, keep: int = 1) -> None:
        """`keep`: how many of the newest stay; the best stays too."""
        self.folder = folder
        self._keep = keep

    def begin(self, iteration: int) -> Checkpoint:
        """A temporary checkpoint, into which every rank writes its part before `finish`."""
        tmp = Checkpoint(self.folder / f"{SAVING}{iteration_name(iteration)}")
        tmp.resume.mkdir(parents=True, exist_ok=True)
        return tmp

    def finish(self, tmp: Checkpoint, state: LoopState) -> Checkpoint:
        """Sync, rename, move the links, remove old checkpoints. Rank 0 calls it, after all ranks have written."""
        tmp.state_file.write_text(json.dumps(asdict(state)), encoding="utf-8")
        sync(tmp.folder)
        best, final = state.best_iteration, self.folder / iteration_name(state.iteration)
        if final.exists():
            _remove(final)
        tmp.folder.rename(final)
        _link(self.folder / "last", final.name)
        if best == state.iteration:
            _link(self.folder / "best", final.name)
        sync(self.folder, recursive=False)
        for old in self._complete()[: -self._keep]:
            if best is None or old.name != iteration_name(best):
                _remove(old)
        return Checkpoint(final)

    def last(self) -> Checkpoint | None:
        """The newest complete checkpoint."""
        complete = self._complete()
        return Checkpoint(complete[-1]) if complete else None

    def clear_unfinished(self) -> None:
        """Remove what a killed process left half-written or half-removed."""
        for prefix in (SAVING, REMOVING):
            for path in self.folder.glob(f"{prefix}*"):
                shutil.rmtree(path)

    def _complete(self) -> list[Path]:
        return sorted(self.folder.glob(f"{ITERATION}*"))


def iteration_name(iteration: int) -> str:
    return f"{ITERATION}{iteration:05d}"


def iteration_of(path: Path) -> int:
    """The iteration in the name of a checkpoint or a table of responses."""
    return int(path.stem.removeprefix(ITERATION))


def iteration_in(name: str) -> int | None:
    """The iteration of the checkpoint that a model's name leads to, as in RUN/iteration-00014; None for other names."""
    found = re.search(rf"(?:^|/){ITERATION}(\d+)/?$", name)
    return int(found[1]) if found else None


def _remove(path: Path) -> None:
    """Renamed first, so that a half-removed folder never looks complete."""
    to_delete = path.with_name(f"{REMOVING}{path.name}")
    path.rename(to_delete)
    shutil.rmtree(to_delete)


def _link(link: Path, target: str) -> None:
    with atomic_write(link, durable=False) as tmp:
        tmp.symlink_to(target)
