"""A rule that misbehaves on request; the answer says how."""

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

from icpo_cli.grading.rules import strict
from icpo_cli.grading.verifier import Rule
from icpo_cli.records import Gold, RuleName, Verdict, VerdictKind


def misbehave(gold: Gold, answer: str) -> Verdict:
    """Misbehave as the answer requests; compare any other answer by the strict rule."""
    request, _, detail = answer.partition(" ")
    if request == "pid":
        return Verdict(VerdictKind.CORRECT, answer, RuleName.EXACT, str(os.getpid()))
    if request == "note":  # that it was compared
        with Path(detail).open("a") as notes:
            notes.write("compared\n")
    if request == "wait":  # until it is killed: its process's id goes to the file
        Path(f"{detail}.part").write_text(str(os.getpid()))
        Path(f"{detail}.part").rename(detail)
        time.sleep(10_000)
    if request in FAULTS:
        FAULTS[request]()
    return strict.thorough(gold, answer)


def spin() -> None:
    while True:
        pass


def ignore_signals() -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    spin()


def swallow() -> None:
    """Catch every exception, as some third-party graders do."""
    while True:
        with contextlib.suppress(BaseException):
            time.sleep(0.01)


def one_big_list() -> None:
    bytearray(8 * 2**30)


def grow() -> None:
    held = []
    while True:
        held.append(bytearray(2**24))


def recurse() -> None:
    recurse()


def overrun() -> None:
    """Cause a segmentation fault."""
    ctypes.string_at(0)


def leave() -> None:
    """Exit with status 0, which a pool cannot distinguish from a busy worker."""
    os._exit(0)


def give_up() -> None:
    raise SystemExit(3)


def abort() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


HANGS = {"spin": spin, "ignore_signals": ignore_signals, "swallow": swallow, "leave": leave}
CRASHES = {
    "one_big_list": one_big_list,
    "grow": grow,
    "recurse": recurse,
    "overrun": overrun,
    "give_up": give_up,
    "abort": abort,
}
FAULTS = {**HANGS, **CRASHES}

RULE = Rule(quick=lambda gold, answer: None, thorough=misbehave)
