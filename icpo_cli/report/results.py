"""Past evaluations as rows of a table: whose they are, and the number of each benchmark with what it stands on."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from icpo_cli.data.benchmarks import BENCHMARKS, GROUPS
from icpo_cli.report import names
from icpo_cli.runs.run_dir import Kind
from icpo_cli.track.read import PastRun

MEANS = ("general", "math")
"""Columns that are means over the benchmarks of a group."""
COLUMNS = (*BENCHMARKS, *MEANS)
TITLES = {name: benchmark.title for name, benchmark in BENCHMARKS.items()} | {"general": "General", "math": "Math"}
NORMAL_95 = 1.959964
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Score:
    """An accuracy, percent, unrounded."""

    avg_at_k: float
    stderr: float = math.nan
    """Over questions; NaN where it is not known."""
    ci95: tuple[float, float] = (math.nan, math.nan)
    partial: bool = False
    """Not the whole benchmark, k responses each."""


@dataclass(frozen=True)
class BenchScore(Score):
    """One benchmark's number, and what it must share with those that it is compared with."""

    n: int = 0
    """Questions with a graded response."""
    k: int = 0
    run_id: str = ""
    grader: str = UNKNOWN
    """Version of the verifier, and the rules of grading where they are not the benchmark's own."""
    data: str = UNKNOWN
    """Fingerprint of the questions and golds."""


@dataclass(frozen=True)
class Subject:
    """What a row is of."""

    family: str
    """gemma, llama, qwen, other, or what the user calls it."""
    model: str
    method: str
    """base, grpo, icpo, icpo:constant, ...; unknown for a checkpoint whose training run is not in the store."""
    setting: str = ""
    """What sets the training apart from the method's usual one: coarse, noise 0.4."""
    verifier: str = "none"
    """Of the training rewards: none, rule, model."""
    source: str = ""
    """What it was made of: the model's path, or the run."""
    apart: str = ""
    """What is said of it where another row is called alike."""


@dataclass(frozen=True)
class EvalRow:
    """One row of a table."""

    subject: Subject
    cells: Mapping[str, BenchScore]
    """By benchmark; those that are not there were not evaluated."""

    @property
    def title(self) -> str:
        """In one line: Qwen2.5-7B ICPO (coarse)."""
        of = self.subject
        said = ", ".join(filter(None, (of.setting, of.apart)))
        return f"{of.model} {names.method_title(of.method)}" + (f" ({said})" if said else "")

    def score(self, column: str) -> Score | None:
        """Of a benchmark, or the mean of a group all of whose benchmarks are there."""
        if column not in MEANS:
            return self.cells.get(column)
        parts = [cell for _, cell in self.named_parts(column)]
        return mean_score(parts) if len(parts) == len(GROUPS[column]) else None

    def named_parts(self, column: str) -> list[tuple[str, BenchScore]]:
        """The benchmarks' numbers that a column's is from."""
        return [(bench, self.cells[bench]) for bench in GROUPS.get(column, [column]) if bench in self.cells]


@dataclass(frozen=True)
class Evaluation:
    """One run of `icpo eval`, or of another run's responses graded anew."""

    run: PastRun
    training: PastRun | None
    """The run whose checkpoint was evaluated."""
    subject: Subject
    cells: Mapping[str, BenchScore]


def mean_score(parts: Sequence[Score]) -> Score:
    """The mean of benchmarks, whose errors are independent; the interval is the normal one."""
    mean = sum(part.avg_at_k for part in parts) / len(parts)
    stderr = math.sqrt(sum(part.stderr**2 for part in parts)) / len(parts)
    half = NORMAL_95 * stderr
    return Score(mean, stderr, (mean - half, mean + half), any(part.partial for part in parts))


def evaluations_of(runs: Sequence[PastRun]) -> list[Evaluation]:
    """Those of benchmarks that came to numbers, newest first."""
    by_id = {run.id: run for run in runs}
    found = []
    for run in sorted(runs, key=lambda run: run.start_ms, reverse=True):
        cells = _cells(run) if run.kind is Kind.EVAL else {}
        if cells:
            training = _training_of(run, by_id)
            found.append(Evaluation(run, training, _subject(run, training), cells))
    return found


def _cells(run: PastRun) -> dict[str, BenchScore]:
    """Of the benchmarks that it has a number of: one without a graded response has none."""
    cells = {}
    for bench in BENCHMARKS:
        metrics = {
            key.removeprefix(f"eval/{bench}/"): value
            for key, value in run.metrics.items()
            if key.startswith(f"eval/{bench}/")
        }
        if "avg_at_k" in metrics:
            cells[bench] = BenchScore(
                avg_at_k=metrics["avg_at_k"],
                stderr=metrics.get("stderr", math.nan),
                ci95=(metrics.get("ci95_low", math.nan), metrics.get("ci95_high", math.nan)),
                partial=metrics["partial"] != 0,
                n=int(metrics["n"]),
                k=int(metrics["k"]),
                run_id=run.id,
                grader=_grader(run),
                data=run.tags.get(f"data.fingerprint.{bench}", UNKNOWN),
            )
    return cells


def _grader(run: PastRun) -> str:
    """Equal ones give equal verdicts."""
    settings = {key: run.params.get(f"eval.{key}", "None") for key in ("rule", "extract")}
    own = [f"{key} {value}" for key, value in settings.items() if value != "None"]
    return ", ".join([run.tags.get("verifier.version", UNKNOWN), *own])


def _training_of(run: PastRun, by_id: Mapping[str, PastRun]) -> PastRun | None:
    """The training run above it, or above the evaluation whose responses it graded anew."""
    above = by_id.get(run.parent or "")
    while above is not None and above.kind is Kind.EVAL:
        above = by_id.get(above.parent or "")
    return above if above is not None and above.kind is Kind.TRAIN else None


def _subject(run: PastRun, training: PastRun | None) -> Subject:
    if training is not None:
        model = names.model_title(training.params["model.path"])
        return Subject(
            family=names.family(model),
            model=model,
            method=_method(training.params),
            setting=_setting(training),
            verifier="rule" if training.params["reward.judge.mode"] == "off" else "model",
        )
    label = run.tags["model.name"]
    # The label of given responses may be the user's own words: of those nothing is cut off.
    is_path = run.tags["eval.source"] != "responses" or re.fullmatch(r"[\w.-]+/[\w.-]+", label)
    model = names.model_title(label) if is_path else label
    if run.evaluated_iteration is not None:  # of a training run that is not in the store (any more)
        return Subject(names.family(label), label, UNKNOWN, verifier=UNKNOWN, source=label)
    return Subject(names.family(model), model, "base", source=label)


def _method(params: Mapping[str, str]) -> str:
    """Its name, with the schedule of omega where it is not the default."""
    schedule = params["method.omega.schedule"]
    with_omega = params["method.bonus"] != "none" and schedule != names.DEFAULT_SCHEDULE
    return params["method.name"] + (f":{schedule}" if with_omega else "")


def _setting(training: PastRun) -> str:
    params = training.params
    noise = {
        "noise": params["reward.noise.fraction"],
        "false positives": params["reward.noise.false_positive"],
        "false negatives": params["reward.noise.false_negative"],
    }
    coarse_file = params["data.train.path"].endswith("coarse.jsonl")  # older runs did not record the selection
    coarse = training.tags["data.selected_by"] != "none" if "data.selected_by" in training.tags else coarse_file
    parts = ["coarse"] if coarse else []
    parts += [f"{name} {value}" for name, value in noise.items() if float(value) > 0]
    control = params["reward.control"]
    return ", ".join(parts + ([control.replace("_", " ")] if control != "none" else []))
