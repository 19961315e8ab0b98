"""Checkpoints that are whole or not there: written aside, synced, then renamed.

checkpoints/iteration-00010/          a Hugging Face folder: weights, tokenizer, chat template
checkpoints/iteration-00010/resume/   DeepSpeed's state of every rank, and state.json
checkpoints/last, checkpoints/best    links
"""

import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

SAVING = ".saving-"
REMOVING = ".removing-"
PROCESS_MODEL = "process_model"
"""Its state, inside a checkpoint's resume folder."""


@dataclass(frozen=True)
class LoopState:
    """Where the loop stands after an iteration: all it needs beside weights and optimiser.

    Order, seeds and schedule are functions of the run's seed and the iteration, so no generator has a state.
    """

    iteration: int = 0
    skipped_in_a_row: int = 0
    """Updates skipped for a non-finite loss or gradient since the last one done."""
    final_std: float | None = None
    """Running mean over iterations of their groups' std of final rewards; None before the first."""
    best_iteration: int | None = None
    best_accuracy: float | None = None
    ranks: int = 1


class Checkpoints:
    """The checkpoints folder of one run."""

    def __init__(self, folder: Path, keep: int) -> None:
        self.folder = folder
        self._keep = keep

    def begin(self, iteration: int) -> Path:
        """The folder to write a checkpoint into; every rank writes its part, then `finish`."""
        aside = self.folder / f"{SAVING}{_name(iteration)}"
        (aside / "resume").mkdir(parents=True, exist_ok=True)
        return aside

    def finish(self, aside: Path, state: LoopState) -> Path:
        """Sync, rename, move the links, drop what is no longer kept. Rank 0 calls it, after all have written."""
        (aside / "resume" / "state.json").write_text(json.dumps(asdict(state)))
        _sync(aside)
        final = self.folder / _name(state.iteration)
        if final.exists():
            _remove(final)
        aside.rename(final)
        _link(self.folder / "last", final.name)
        if state.best_iteration == state.iteration:
            _link(self.folder / "best", final.name)
        _sync_folder(self.folder)
        self._drop_old(state.best_iteration)
        return final

    def last(self) -> Path | None:
        """The newest whole checkpoint."""
        whole = self._whole()
        return whole[-1] if whole else None

    def clear_unfinished(self) -> None:
        """What a killed process left half-written or half-removed."""
        for prefix in (SAVING, REMOVING):
            for path in self.folder.glob(f"{prefix}*"):
                shutil.rmtree(path)

    def _drop_old(self, best: int | None) -> None:
        for path in self._whole()[: -self._keep]:
            if best is None or path.name != _name(best):
                _remove(path)

    def _whole(self) -> list[Path]:
        return sorted(self.folder.glob("iteration-*"))


def read_state(checkpoint: Path) -> LoopState:
    return LoopState(**json.loads((checkpoint / "resume" / "state.json").read_text()))


def _name(iteration: int) -> str:
    return f"iteration-{iteration:05d}"


def _remove(path: Path) -> None:
    """Renamed first, so that a folder half removed never looks whole."""
    doomed = path.with_name(f"{REMOVING}{path.name}")
    path.rename(doomed)
    shutil.rmtree(doomed)


def _link(link: Path, target: str) -> None:
    aside = link.with_name(f".{link.name}-link")
    aside.unlink(missing_ok=True)
    aside.symlink_to(target)
    aside.replace(link)


def _sync(folder: Path) -> None:
    """Every file and folder below, onto the disk."""
    for path in folder.rglob("*"):
        (_sync_folder if path.is_dir() else _sync_file)(path)
    _sync_folder(folder)


def _sync_file(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
