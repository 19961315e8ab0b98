"""What sort of run a past run is."""

from enum import StrEnum

from icpo_cli.track.read import PastRun


class Kind(StrEnum):
    """Named by the command that makes it."""

    TRAIN = "train"
    EVAL = "eval"
    STUDY = "study"


def kind_of(run: PastRun) -> Kind:
    if "eval.source" in run.tags:
        return Kind.EVAL
    return Kind.STUDY if "study.name" in run.tags else Kind.TRAIN
