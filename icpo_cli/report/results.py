"""Past evaluations as rows of a table: the model that was evaluated, and its score on each benchmark."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from icpo_cli.data.benchmarks import BENCHMARKS, GROUPS, TITLES
from icpo_cli.report import names
from icpo_cli.runs.run_dir import Kind
from icpo_cli.track.read import PastRun

MEANS = ("general", "math")
"""Columns that are means over a group of benchmarks."""
COLUMNS = tuple(TITLES)
NORMAL_95 = 1.959964
UNKNOWN = "unknown"
RESCORE_HINT = "`icpo eval --rescore RUN` grades stored responses again, --mixed shows them all, marked"
DIGEST_DIGITS = 8


@dataclass(frozen=True)
class Score:
    """Accuracy on one benchmark, or the mean over several: percent, unrounded."""

    avg_at_k: float
    stderr: float = math.nan
    """Over questions; NaN if not known."""
    ci95: tuple[float, float] = (math.nan, math.nan)
    partial: bool = False
    """Not the whole benchmark with k responses each."""
    n: int = 0
    """Questions with a graded response; 0 for a mean."""
    k: int = 0
    run_id: str = ""
    """The evaluation; empty for a mean, and for numbers from a file."""
    grader: str = UNKNOWN
    """Version of the verifier, and grading rules that are not the benchmark's own."""
    data: str = UNKNOWN
    """Fingerprint of questions and golds."""


@dataclass(frozen=True)
class ModelVariant:
    """Model and training that a row's scores belong to."""

    family: str
    """gemma, llama, qwen, other, or the user's own word."""
    model: str
    method: str
    """base, grpo, icpo, icpo:constant, ...; unknown for a checkpoint whose training run is not in the store."""
    setting: str = ""
    """How the training differs from the method's usual one: coarse, noise 0.4."""
    verifier: str = "none"
    """Verifier of the training rewards: none, rule, model."""
    source: str = ""
    """The model's path, or the training run."""
    apart: str = ""
    """Tells it apart from rows with the same names."""


@dataclass(frozen=True)
class EvalRow:
    """One row of a table."""

    variant: ModelVariant
    scores: Mapping[str, Score]
    """By benchmark; a benchmark without an evaluation is absent."""
    printed: Mapping[str, str] = field(default_factory=dict)
    """The cells of a baseline's file, unchanged."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Equal for rows of the same model, method and setting, ours and the baseline's."""
        variant = self.variant
        return names.same_model(variant.model), names.same_method(variant.method), variant.setting

    @property
    def table(self) -> str:
        """The paper's table that a baseline's row is from: table1; empty for other rows."""
        return self.printed.get("table", "")

    @property
    def title(self) -> str:
        """One line: Qwen2.5-7B ICPO (coarse)."""
        variant = self.variant
        details = ", ".join(filter(None, (variant.setting, variant.apart)))
        return f"{variant.model} {names.method_title(variant.method)}" + (f" ({details})" if details else "")

    def score(self, column: str) -> Score | None:
        """Score of a benchmark, or the mean of a group if all its benchmarks have one."""
        if column not in MEANS:
            return self.scores.get(column)
        parts = [score for _, score in self.named_parts(column)]
        return mean_score(parts) if len(parts) == len(GROUPS[column]) else None

    def named_parts(self, column: str) -> list[tuple[str, Score]]:
        """(benchmark, score) of the scores that a column's number is made from."""
        return [(bench, self.scores[bench]) for bench in GROUPS.get(column, [column]) if bench in self.scores]


@dataclass(frozen=True)
class PastEvaluation:
    """One run of `icpo eval`, also of one that graded another run's responses again."""

    run: PastRun
    training: PastRun | None
    """The run whose checkpoint was evaluated."""
    variant: ModelVariant
    scores: Mapping[str, Score]


@dataclass(frozen=True)
class Versions:
    """Grader and data that the scores of a table share, so that they can be compared."""

    grader: str
    data: Mapping[str, str]
    """Fingerprint of the questions, by benchmark."""

    def match(self, bench: str, score: Score) -> bool:
        return score.grader == self.grader and score.data == self.data[bench]

    def differences(self, bench: str, score: Score) -> list[str]:
        """Notes on a score that does not match, for the table's readers."""
        notes = []
        if score.grader != self.grader:
            notes.append(f"Graded by verifier {score.grader}; unmarked ones by {self.grader}.")
        if score.data != self.data[bench]:
            notes.append(f"On other {TITLES[bench]} questions than unmarked ones: data {score.data[:DIGEST_DIGITS]}.")
        return notes

    def mismatch(self, scores: Iterable[tuple[str, Score]]) -> str:
        """Why these scores cannot share the table, in one line; empty if they can."""
        other = [(bench, score) for bench, score in scores if not self.match(bench, score)]
        graders = sorted({score.grader for _, score in other} - {self.grader})
        benches = sorted({TITLES[bench] for bench, score in other if score.data != self.data[bench]})
        parts = [f"by another grader (verifier {', '.join(graders)}; here {self.grader})"] if graders else []
        parts += [f"on other questions of {', '.join(benches)}"] if benches else []
        runs = len({score.run_id for _, score in other})
        return f"{runs} {'evaluation is' if runs == 1 else 'evaluations are'} {' or '.join(parts)}" if other else ""


def versions_of(results: Sequence[Mapping[str, Score]]) -> Versions:
    """Versions of the newest complete result; data of each benchmark from the newest result that has it.

    `results`: scores by benchmark, newest first, not empty. A partial result counts only if no complete one does.
    """
    scores = [(bench, score) for result in results for bench, score in result.items()]
    scores.sort(key=lambda named: named[1].partial)  # stable: complete ones first, newest of them first
    grader = scores[0][1].grader
    # Benchmarks that this grader never graded get the newest data.
    scores.sort(key=lambda named: named[1].grader != grader)
    data: dict[str, str] = {}
    for bench, score in scores:
        data.setdefault(bench, score.data)
    return Versions(grader, data)


def mean_score(parts: Sequence[Score]) -> Score:
    """Mean over benchmarks, whose errors are independent; the interval is the normal one."""
    mean = sum(part.avg_at_k for part in parts) / len(parts)
    stderr = math.sqrt(sum(part.stderr**2 for part in parts)) / len(parts)
    half = NORMAL_95 * stderr
    return Score(mean, stderr, (mean - half, mean + half), any(part.partial for part in parts))


def evaluations_of(runs: Sequence[PastRun]) -> list[PastEvaluation]:
    """Evaluations with a score on any benchmark, newest first."""
    by_id = {run.id: run for run in runs}
    found = []
    for run in sorted(runs, key=lambda run: run.start_ms, reverse=True):
        scores = _scores(run) if run.kind is Kind.EVAL else {}
        if scores:
            training = _training_of(run, by_id)
            found.append(PastEvaluation(run, training, _variant(run, training), scores))
    return found


def _scores(run: PastRun) -> dict[str, Score]:
    """Scores by benchmark; a benchmark without a graded response has none."""
    scores = {}
    for bench in BENCHMARKS:
        metrics = {
            key.removeprefix(f"eval/{bench}/"): value
            for key, value in run.metrics.items()
            if key.startswith(f"eval/{bench}/")
        }
        if "avg_at_k" in metrics:
            scores[bench] = Score(
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
    return scores


def _grader(run: PastRun) -> str:
    """Version of the verifier and rules of grading: equal ones give equal verdicts."""
    settings = {key: run.params.get(f"eval.{key}", "None") for key in ("rule", "extract")}
    own = [f"{key} {value}" for key, value in settings.items() if value != "None"]
    return ", ".join([run.tags.get("verifier.version", UNKNOWN), *own])


def _training_of(run: PastRun, by_id: Mapping[str, PastRun]) -> PastRun | None:
    """Training run of the checkpoint; for regraded responses, that of the first evaluation."""
    above = by_id.get(run.parent or "")
    while above is not None and above.kind is Kind.EVAL:
        above = by_id.get(above.parent or "")
    return above if above is not None and above.kind is Kind.TRAIN else None


def _variant(run: PastRun, training: PastRun | None) -> ModelVariant:
    if training is not None:
        model = names.model_title(training.params["model.path"])
        return ModelVariant(
            family=names.family(model),
            model=model,
            method=_method(training.params),
            setting=_setting(training),
            verifier="rule" if training.params["reward.judge.mode"] == "off" else "model",
        )
    label = run.tags["model.name"]
    # The label of responses from a file may be free text, which is kept whole.
    is_path = run.tags["eval.source"] != "responses" or re.fullmatch(r"[\w.-]+/[\w.-]+", label)
    model = names.model_title(label) if is_path else label
    if run.evaluated_iteration is not None:  # a checkpoint of a training run that is not in the store
        return ModelVariant(names.family(label), label, UNKNOWN, verifier=UNKNOWN, source=label)
    return ModelVariant(names.family(model), model, "base", source=label)


def _method(params: Mapping[str, str]) -> str:
    """Method name, with the schedule of omega if that is not the default."""
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
