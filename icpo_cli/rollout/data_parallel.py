"""Data-parallel sampling: several engines, each in its own process with all weights and a shard of the requests."""

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
from icpo_cli.interrupt import end_with_parent
from icpo_cli.records import Response
from icpo_cli.rollout.sampler import SampleRequest
from icpo_cli.rollout.vllm_sampler import EngineSpec, VLLMSampler

POLL_SECONDS = 1.0
"""Interval between checks that the engine processes are alive."""


class DataParallelSampler:
    """A StreamingSampler over `count` engines. A response is the same as from one engine (see StreamingSampler)."""

    def __init__(self, count: int, spec: EngineSpec, model: str, dtype: str, profile: DeviceProfile) -> None:
        self._count = count
        self._engine_arguments = (spec, model, dtype, profile)
        self._processes: list[BaseProcess] = []

    def stream(self, requests: Sequence[SampleRequest], temperature: float) -> Iterator[list[tuple[int, Response]]]:
        """Yield finished responses with their request's index. Raises RunFailed if a process ends before its shard."""
        spawn = multiprocessing.get_context("spawn")
        results: Any = spawn.Queue()
        self._processes = [
            self._start(spawn, rank, [(index, requests[index]) for index in indices], temperature, results)
            for rank, indices in enumerate(shard(requests, self._count))
        ]
        remaining = len(requests)
        try:
            while remaining:
                try:
                    finished = results.get(timeout=POLL_SECONDS)
                except queue.Empty:
                    _check_alive(self._processes)
                    finished = []
                remaining -= len(finished)
                yield finished
        finally:
            self.close()

    def close(self) -> None:
        """End the processes of a stream; Python waits for them when it exits."""
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.join()
        self._processes = []

    def _start(
        self, spawn: Any, rank: int, requests: list[tuple[int, SampleRequest]], temperature: float, results: Any
    ) -> BaseProcess:
        arguments = (os.getpid(), rank, self._count, self._engine_arguments, requests, temperature, results)
        # Not daemonic: an engine with tensor_parallel > 1 starts processes of its own.
        process: BaseProcess = spawn.Process(target=_run_engine, args=arguments, name=f"engine {rank}")
        process.start()
        return process


def shard(requests: Sequence[SampleRequest], count: int) -> list[list[int]]:
    """Split request indices over `count` engines, round-robin by prompt, so that a prompt's prefix is computed once."""
    shards: list[list[int]] = [[] for _ in range(count)]
    by_prompt = groupby(range(len(requests)), key=lambda index: requests[index].tokens)
    for number, (_, indices) in enumerate(by_prompt):
        shards[number % count].extend(indices)
    return [indices for indices in shards if indices]


def _run_engine(
    parent: int,
    rank: int,
    count: int,
    engine_arguments: tuple[EngineSpec, str, str, DeviceProfile],
    requests: Sequence[tuple[int, SampleRequest]],
    temperature: float,
    results: Any,
) -> None:
    """Generate one shard; the main function of an engine process."""
    end_with_parent(parent)
    # Ctrl-C reaches all of the process group; the parent process decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    spec, model, dtype, profile = engine_arguments
    pin_devices(rank, count, spec, profile)
    sampler = VLLMSampler(spec, model, dtype, profile)
    for finished in sampler.stream([request for _, request in requests], temperature):
        if finished:
            results.put([(requests[index][0], response) for index, response in finished])
    # At process exit the queue's thread still sends what is queued.


def pin_devices(rank: int, count: int, spec: EngineSpec, profile: DeviceProfile) -> None:
    """Restrict this process to its GPUs, before CUDA is initialized, or to its share of the CPU cores."""
    if profile.type == "cuda":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count * spec.tensor_parallel))))
        first = rank * spec.tensor_parallel
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible.split(",")[first : first + spec.tensor_parallel])
        return
    cores = sorted(os.sched_getaffinity(0))
    own = cores[rank * len(cores) // count : (rank + 1) * len(cores) // count] or cores
    os.sched_setaffinity(0, own)
    torch.set_num_threads(len(own))


def _check_alive(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        if process.exitcode not in (None, 0):
            raise RunFailed(
                f"{process.name} ended with status {process.exitcode}; finished responses are stored, and the same "
                "command continues from there"
            )
