"""`icpo` that kills itself at a chosen moment: killed_process.py MOMENT COUNT ARGUMENTS. Run by test_resume.py."""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from icpo_cli.__main__ import main


def die_at(owner: Any, name: str, count: int) -> None:
    """SIGKILL this process right after the `count`-th call of owner.name has done its work."""
    real: Callable = getattr(owner, name)
    calls = 0

    def counting(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        result = real(*args, **kwargs)
        calls += 1
        if calls == count:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, counting)


def arm(moment: str, count: int) -> None:
    if moment == "rollout":
        from icpo_cli.rollout.vllm_sampler import VLLMSampler

        die_at(VLLMSampler, "sample", count)
    elif moment == "update":
        from icpo_cli.learner.optimizer import SkippableAdamW

        die_at(SkippableAdamW, "step", count)
    elif moment == "log":
        from icpo_cli.runs.journal import Journal

        die_at(Journal, "append", count)
    elif moment == "save":
        from icpo_cli.runs import checkpoints

        # A checkpoint syncs twice: the first time everything is written and nothing is renamed.
        die_at(checkpoints, "sync", 2 * count - 1)
    elif moment == "judge":
        from icpo_cli.grading.judge.cache import JudgeCache

        die_at(JudgeCache, "put", count)
    else:
        raise ValueError(moment)


if __name__ == "__main__":
    arm(sys.argv[1], int(sys.argv[2]))
    sys.argv = ["icpo", *sys.argv[3:]]
    main()
