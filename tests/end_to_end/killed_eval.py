"""`icpo eval` that kills itself: killed_eval.py MOMENT COUNT ARGUMENTS. Run by test_eval.py.

MOMENT: "step", after COUNT steps of the engine; "write", with the COUNT-th write of responses or verdicts half done.
"""

import os
import signal
import sys
from collections.abc import Iterator
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


if __name__ == "__main__":
    MOMENTS[sys.argv[1]](int(sys.argv[2]))
    sys.argv = ["icpo", "eval", *sys.argv[3:]]
    main()
