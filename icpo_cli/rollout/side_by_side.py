"""Several engines side by side, each in a process of its own with all the weights and a share of the requests."""

import multiprocessing
import os
import queue
import signal
from collections.abc import Iterator, Sequence
from itertools import groupby
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from icpo_cli.device import DeviceProfile
from icpo_cli.errors import RunFailed
from icpo_cli.records import Response
from icpo_cli.rollout.sampler import Request
from icpo_cli.rollout.vllm_sampler import EngineSpec, VLLMSampler

POLL_SECONDS = 1.0
"""Between two looks at whether the processes are alive."""

Finished = list[tuple[int, Response]]


class SideBySide:
    """`count` engines. A response is the same as from one engine: it depends on its own request alone."""

    def __init__(self, count: int, spec: EngineSpec, model: str, dtype: str, profile: DeviceProfile) -> None:
        self._count = count
        self._made_of = (spec, model, dtype, profile)

    def stream(self, requests: Sequence[Request], temperature: float) -> Iterator[Finished]:
        """As VLLMSampler's. Raises RunFailed where a process ends before its share is done."""
        spawn = multiprocessing.get_context("spawn")
        results: Any = spawn.Queue()
        shares = deal(requests, self._count)
        processes = [
            self._start(spawn, number, [(place, requests[place]) for place in share], temperature, results)
            for number, share in enumerate(shares)
        ]
        left = len(requests)
        try:
            while left:
                try:
                    finished = results.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    _check_alive(processes)
                    finished = []
                left -= len(finished)
                yield finished
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.join()

    def close(self) -> None:
        """Nothing is held between streams."""

    def _start(
        self, spawn: Any, number: int, share: list[tuple[int, Request]], temperature: float, results: Any
    ) -> BaseProcess:
        arguments = (number, self._count, self._made_of, share, temperature, results)
        process: BaseProcess = spawn.Process(target=_work, args=arguments, name=f"engine {number}", daemon=True)
        process.start()
        return process


def deal(requests: Sequence[Request], count: int) -> list[list[int]]:
    """The places of each engine's requests: prompt by prompt in turn, so that a prefix is computed once."""
    shares: list[list[int]] = [[] for _ in range(count)]
    by_prompt = groupby(range(len(requests)), key=lambda place: requests[place].tokens)
    for number, (_, places) in enumerate(by_prompt):
        shares[number % count].extend(places)
    return [share for share in shares if share]


def _work(
    number: int,
    count: int,
    made_of: tuple[EngineSpec, str, str, DeviceProfile],
    share: Sequence[tuple[int, Request]],
    temperature: float,
    results: Any,
) -> None:
    """One engine's process."""
    # Ctrl-C reaches the whole group; the process that started this one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spec, model, dtype, profile = made_of
    _take_place(number, count, spec, profile)
    sampler = VLLMSampler(spec, model, dtype, profile)
    for finished in sampler.stream([request for _, request in share], temperature):
        if finished:
            results.put([(share[place][0], response) for place, response in finished])
    # The queue's thread sends what is still in it before the process ends.


def _take_place(number: int, count: int, spec: EngineSpec, profile: DeviceProfile) -> None:
    """This engine's GPUs, before CUDA is looked at; or its part of the cores."""
    if profile.type == "cuda":
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count * spec.tensor_parallel))))
        first = number * spec.tensor_parallel
        mine = seen.split(",")[first : first + spec.tensor_parallel]
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(mine)
        return
    cores = sorted(os.sched_getaffinity(0))
    own = cores[number * len(cores) // count : (number + 1) * len(cores) // count] or cores
    os.sched_setaffinity(0, own)
    torch.set_num_threads(len(own))


def _check_alive(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        if process.exitcode not in (None, 0):
            raise RunFailed(
                f"{process.name} ended with status {process.exitcode}; what was generated is stored, and the same "
                "command goes on from there"
            )
