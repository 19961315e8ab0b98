"""The report as one HTML page that needs nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from icpo_cli.track.read import PastRun, RunStore


@dataclass(frozen=True)
class PageTable:
    """A table as the page shows it."""

    title: str
    html: str
    """A <table> and what belongs to it, escaped already. The page's policy forbids style attributes and handlers; its
    style sheet knows the classes `best` (bold), `second` (underlined), `number` (to the right) and `note`."""
    run_ids: tuple[str, ...]
    """The runs that its numbers are from: their responses and curves come first where not all have room."""


def write_page(store: RunStore, runs: Sequence[PastRun], tables: Sequence[PageTable], folder: Path) -> Path:
    """FOLDER/index.html, and the figures as FOLDER/figures/NAME.pdf and .png; returns the page's path.

    `runs`: all that the page lists, newest first. A page of an earlier report is replaced; raises UserError where
    FOLDER holds an index.html that is none, or cannot be written.
    """
    raise NotImplementedError
