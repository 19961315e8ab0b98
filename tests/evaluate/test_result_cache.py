"""One of several runs computes the result, the others read it; an incomplete file is never used."""

import json
import math
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from icpo_cli.distributed import Ranks
from icpo_cli.evaluate.result_cache import Numbers, ResultCache, get_or_compute
from tests.fork_server import ForkServer, Process

PROCESS = Path(__file__).with_name("sharing_process.py")
ALONE = Ranks(0, 1, 1, torch.device("cpu"))
IDENTITY = {"model": "m", "seeds": (1, 2)}


def made_of(folder: Path, identity: dict, numbers: Numbers, lasting: bool = True) -> tuple[Numbers, bool]:
    return get_or_compute(ResultCache(folder, "numbers", identity), ALONE, lambda: numbers, lambda made: lasting)


def file_of(folder: Path) -> Path:
    [path] = folder.glob("numbers-*.json")
    return path


def test_only_equal_runs_share_a_result(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "made"
    assert made_of(folder, IDENTITY, {"accuracy": 50.1}) == ({"accuracy": 50.1}, False)
    assert made_of(folder, IDENTITY, {"accuracy": 0.0}) == ({"accuracy": 50.1}, True)
    assert made_of(folder, {**IDENTITY, "model": "n"}, {"accuracy": 7.0}) == ({"accuracy": 7.0}, False)


def test_numbers_are_read_as_they_were_stored(tmp_path: Path) -> None:
    made_of(tmp_path, IDENTITY, {"third": 1 / 3, "missing": math.nan, "at": {1: 0.5, 16: 0.25, 2: 0.5}, "ci": (1.5, 2)})
    numbers, taken = made_of(tmp_path, IDENTITY, {})
    assert taken and math.isnan(numbers.pop("missing"))
    assert numbers == {"third": 1 / 3, "at": {"1": 0.5, "16": 0.25, "2": 0.5}, "ci": [1.5, 2]}


def test_an_incomplete_file_is_never_used(tmp_path: Path) -> None:
    made_of(tmp_path, IDENTITY, {"accuracy": 50.1})
    path = file_of(tmp_path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert made_of(tmp_path, IDENTITY, {"accuracy": 9.0}) == ({"accuracy": 9.0}, False), length
    path.write_bytes(whole.replace(b"50.1", b"51.1"))
    assert made_of(tmp_path, IDENTITY, {"accuracy": 9.0}) == ({"accuracy": 9.0}, False)
    others: list[Any] = [{}, [], None, {**json.loads(whole), "identity": {}}]
    for other in others:
        path.write_text(json.dumps(other))
        assert made_of(tmp_path, IDENTITY, {"accuracy": 9.0}) == ({"accuracy": 9.0}, False), other


def test_a_result_that_is_not_lasting_is_computed_again(tmp_path: Path) -> None:
    assert made_of(tmp_path, IDENTITY, {"errors": 1}, lasting=False) == ({"errors": 1}, False)
    assert made_of(tmp_path, IDENTITY, {"errors": 0}) == ({"errors": 0}, False)


def test_after_a_failure_the_next_run_computes(tmp_path: Path) -> None:
    def fail() -> Numbers:
        raise RuntimeError("out of memory")

    cache = ResultCache(tmp_path, "numbers", IDENTITY)
    with pytest.raises(RuntimeError, match="out of memory"):
        get_or_compute(cache, ALONE, fail, lambda made: True)
    assert made_of(tmp_path, IDENTITY, {"accuracy": 1.0}) == ({"accuracy": 1.0}, False)


@pytest.fixture(scope="module")
def server() -> Iterator[ForkServer]:
    """Forks the ranks: each would import torch for seconds."""
    with ForkServer("icpo_cli.distributed", "icpo_cli.evaluate.result_cache") as running:
        yield running


def start(server: ForkServer, folder: Path, run: str, seconds: float, ranks: int = 1) -> list[Process]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        place = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    arguments = [str(folder), run, str(seconds)]
    return [server.start(str(PROCESS), arguments, folder, {**place, "RANK": str(rank)}) for rank in range(ranks)]


def ends_well(*processes: Process) -> bool:
    return all(process.wait(timeout=60) == 0 for process in processes)


def outcome(folder: Path, run: str, rank: int = 0) -> list:
    return json.loads((folder / f"{run}-{rank}").read_text())


def wait_until_made(folder: Path) -> None:
    while not (folder / "made").exists():
        time.sleep(0.02)


def test_one_of_several_concurrent_runs_computes(tmp_path: Path) -> None:
    """In threads: a lock belongs to the open file, and each run opens the file itself."""
    makers: list[int] = []

    def run(number: int) -> tuple[Numbers, bool]:
        def make() -> Numbers:
            makers.append(number)
            time.sleep(0.2)
            return {"by": number}

        return get_or_compute(ResultCache(tmp_path, "numbers", IDENTITY), ALONE, make, lambda made: True)

    with ThreadPoolExecutor(8) as threads:
        outcomes = list(threads.map(run, range(8)))
    [maker] = makers
    assert outcomes == [({"by": maker}, number != maker) for number in range(8)]


def test_a_killed_run_releases_the_lock(tmp_path: Path, server: ForkServer) -> None:
    [first] = start(server, tmp_path, "first", 600)
    wait_until_made(tmp_path)
    [second] = start(server, tmp_path, "second", 0)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert ends_well(second)
    assert outcome(tmp_path, "second") == [{"by": "second"}, False]


def test_all_ranks_wait_and_read_together(tmp_path: Path, server: ForkServer) -> None:
    first = start(server, tmp_path, "first", 1)
    wait_until_made(tmp_path)
    second = start(server, tmp_path, "second", 0, ranks=2)
    assert ends_well(*first, *second)
    assert (tmp_path / "made").read_text().split() == ["first"]
    assert [outcome(tmp_path, "second", rank) for rank in (0, 1)] == [[{"by": "first"}, True]] * 2


def test_all_ranks_compute_together(tmp_path: Path, server: ForkServer) -> None:
    assert ends_well(*start(server, tmp_path, "both", 0, ranks=2))
    assert (tmp_path / "made").read_text().split() == ["both", "both"]
    assert [outcome(tmp_path, "both", rank) for rank in (0, 1)] == [[{"by": "both"}, False]] * 2
