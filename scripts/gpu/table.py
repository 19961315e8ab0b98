"""The table of measurements, and how time and memory are measured."""

import gc
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch


@dataclass(frozen=True)
class Row:
    """One measurement: what, its value, the value to expect, and whether it is as expected (None: no expectation)."""

    what: str
    measured: str
    expected: str
    passed: bool | None


@dataclass
class Table:
    """Collects rows and prints each at once."""

    rows: list[Row] = field(default_factory=list)
    start: float = field(default_factory=time.perf_counter)

    def add(self, what: str, measured: str, expected: str = "", passed: bool | None = None) -> None:
        self.rows.append(Row(what, measured, expected, passed))
        print(f"[{time.perf_counter() - self.start:4.0f} s] {' | '.join(_cells(self.rows[-1]))}", flush=True)

    @property
    def failed(self) -> int:
        return sum(row.passed is False for row in self.rows)

    def markdown(self) -> str:
        lines = [["what", "measured", "expected", ""], ["---"] * 4, *map(_cells, self.rows)]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)

    def write(self, path: Path) -> None:
        path.write_text(json.dumps([vars(row) for row in self.rows], indent=1) + "\n", encoding="utf-8")


def _cells(row: Row) -> list[str]:
    return [row.what, row.measured, row.expected, {None: "", True: "ok", False: "FAILED"}[row.passed]]


def seconds(work: Callable[[], object], repeats: int = 3) -> float:
    """The least time of some repeats, after one that is not counted."""
    work()
    best = math.inf
    for _ in range(repeats):
        synchronize()
        start = time.perf_counter()
        work()
        synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def reset_peak() -> float:
    """Start a new peak of GPU memory; returns what is allocated now, in GiB."""
    gc.collect()  # models are in reference cycles
    if not torch.cuda.is_available():
        return 0.0
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    return torch.cuda.memory_allocated() / 2**30


def peak_gib() -> float:
    """Peak of allocated GPU memory since `reset_peak`."""
    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
