"""`icpo eval` that kills itself, again and again: killed_eval.py MOMENT:COUNT ... -- ARGUMENTS. Run by test_eval.py.

Each MOMENT is one evaluation's: step, after COUNT steps of the engine; or write, with the COUNT-th write of responses
or verdicts half done. Every one is a process of its own, forked once the libraries are imported: importing them takes
most of a start. Prints each one's exit status, and the whole lines that it left in the store.
"""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from icpo_cli.__main__ import main


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_a_step(count: int) -> None:
    from icpo_cli.rollout.vllm_sampler import VLLMSampler

    real = VLLMSampler.stream

    def counting(*args: Any) -> Iterator[Any]:
        for step, finished in enumerate(real(*args), 1):
            yield finished
            if step == count:
                die()

    VLLMSampler.stream = counting  # type: ignore[method-assign, assignment]


def die_in_a_write(count: int) -> None:
    from icpo_cli.evaluate import store

    writes = 0

    class HalfWriting:
        """The os module, whose count-th write writes only half."""

        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        def write(self, file: int, text: bytes) -> int:
            nonlocal writes
            writes += 1
            if writes == count:
                os.write(file, text[: len(text) // 2])
                die()
            return os.write(file, text)

    store.os = HalfWriting()  # type: ignore[attr-defined, assignment]


MOMENTS = {"step": die_in_a_step, "write": die_in_a_write}


def evaluate_until(moment: str, count: int, arguments: list[str]) -> int:
    """Run an evaluation in a forked process; returns its exit status, negative for a signal."""
    process = os.fork()
    if process == 0:
        MOMENTS[moment](count)
        sys.argv = ["icpo", "eval", *arguments]
        main()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


if __name__ == "__main__":
    import transformers  # noqa: F401
    import vllm  # noqa: F401

    import icpo_cli.evaluate.session  # noqa: F401

    divide = sys.argv.index("--")
    for wish in sys.argv[1:divide]:
        moment, count = wish.split(":")
        status = evaluate_until(moment, int(count), sys.argv[divide + 1 :])
        lines = [line for path in Path("evals").glob("stored/*/responses.jsonl") for line in path.open()]
        print("KILLED", status, sum(line.endswith("\n") for line in lines), flush=True)
