"""Figures of the report: plotted numbers checked by hand, and reproducible files."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from icpo_cli.figures import Line, Panel, Stack, draw, save
from icpo_cli.report.curves import METRICS, ReportFigure, comparisons_of, curve_figures
from icpo_cli.report.figures import response_figures, verdict_figure
from icpo_cli.report.results import evaluations_of
from icpo_cli.runs.parquet import write_table
from icpo_cli.runs.run_dir import Status
from icpo_cli.track.read import PastRun, Points
from tests.report.runs import evaluated, trained
from tests.report.test_responses import Stored, iteration

LAST = {"entropy": 0.1, "accuracy": 0.5}


def ran(id: str, *settings: str, status: Status = Status.DONE, **tags: str) -> PastRun:
    return replace(trained(id, *settings, **tags), metrics=LAST, status=status)


def newest_first(*runs: PastRun) -> list[PastRun]:
    return sorted(runs, key=lambda run: -run.start_ms)


def line(figure: ReportFigure, title: str, label: str) -> Line:
    panel = next(panel for panel in figure.panels if panel.title == title)
    return next(line for line in panel.lines if line.label == label)


def points(*values: float, first: int = 1) -> Points:
    return tuple(enumerate(values, first))


def test_seeds_are_one_line_and_settings_one_figure() -> None:
    runs = newest_first(
        ran("a", "method=icpo", "seed=0", "name=one"),
        ran("b", "method=icpo", "seed=1", "name=two"),
        ran("c", "method=grpo"),
        ran("d", "method=icpo", "method.delta=0.3"),
        ran("e", "method=icpo", "method.delta=0.3", status=Status.RUNNING),
        ran("f", "method=dapo", status=Status.RUNNING),
        ran("g", "method=icpo", status=Status.FAILED),
        ran("h", "method=icpo", "reward.noise.fraction=0.4"),
        ran("i", "model.path=/models/other"),
        replace(ran("j"), metrics={}),
        replace(ran("foreign"), params={"lr": "0.1"}),
        replace(ran("k"), tags={"data.fingerprint": "another"}),
    )
    found = {comparison.title: comparison for comparison in comparisons_of(runs)}
    noisy = "Qwen2.5-7B, noisy rewards"
    assert list(found) == ["Qwen2.5-7B, data anothe", "other", noisy, "Qwen2.5-7B, data f"]
    assert [comparison.noisy for comparison in found.values()] == [False, False, True, False]
    settings = found["Qwen2.5-7B, data f"].settings
    lines = [(label, [run.id for run in its]) for label, its in settings.items()]
    assert lines == [
        ("DAPO (running)", ["f"]),
        ("GRPO", ["c"]),
        ("ICPO, delta 0.3", ["d"]),
        ("ICPO, delta 0.4", ["b", "a"]),
    ]


def test_no_more_settings_and_seeds_than_can_be_told_apart() -> None:
    deltas = [ran(f"d{place}", f"method.delta=0.{place}1") for place in range(9)]
    seeds = [ran(f"s{seed}", f"seed={seed}") for seed in range(12)]
    [comparison] = comparisons_of(newest_first(*deltas, *seeds))
    assert (len(comparison.settings), comparison.older_settings) == (6, 4)
    [most] = [its for its in comparison.settings.values() if len(its) > 1]
    assert comparison.older_seeds and [run.id for run in most] == [f"s{seed}" for seed in range(11, 1, -1)]
    histories = {run.id: {"entropy": points(1.0)} for run in comparison.runs}
    [figure] = curve_figures([comparison], [], histories)
    assert "At most 10 seeds of a setting, the newest." in figure.caption
    assert "The newest 6 settings; 4 older ones are left out." in figure.caption


def test_curves_are_means_over_seeds_with_their_error() -> None:
    runs = newest_first(ran("a", "seed=0"), ran("b", "seed=1"), ran("c", "seed=2"), ran("g", "method=grpo"))
    histories = {
        "a": {"entropy": points(1.0, 0.5), "omega": points(0.5, 1.0), "eval/heldout/avg_at_k": points(10, 20, first=0)},
        "b": {"entropy": points(2.0, 0.7), "omega": points(0.5, 1.0), "eval/heldout/avg_at_k": points(20, 20, first=0)},
        "c": {"entropy": points(3.0, 0.9), "omega": points(0.5, 1.0), "eval/heldout/avg_at_k": points(30, 20, first=0)},
        "g": {"entropy": points(1.0), "omega": points(0.0), "accuracy": points(0.25), "bonus/share": points(0.0)},
    }
    training, omega = curve_figures(comparisons_of(runs), runs, histories)
    assert (training.stem, omega.stem) == ("training-1", "omega-1")
    assert training.title == "Accuracy and entropy over training: Qwen2.5-7B"
    assert [panel.title for panel in training.panels] == ["held-out accuracy", "training accuracy", "entropy"]
    accuracy = line(training, "held-out accuracy", "ICPO")
    assert (accuracy.x, accuracy.y) == ([0, 1], [20.0, 20.0])
    assert accuracy.high[0] == pytest.approx(20 + 10 / math.sqrt(3)) and accuracy.low[1] == 20.0
    assert line(training, "training accuracy", "GRPO").y == [25.0]
    assert line(training, "entropy", "ICPO").y == pytest.approx([2.0, 0.7])
    assert line(omega, "omega", "ICPO").y == [0.5, 1.0]
    assert {each.label: each.look for panel in (*training.panels, *omega.panels) for each in panel.lines} == {
        "GRPO": 0,
        "ICPO": 1,
    }
    assert "± one standard error" in training.caption and "Without a band: one seed." in training.caption


def test_benchmarks_of_checkpoints_are_drawn_and_partial_ones_are_not() -> None:
    run = ran("a" * 8)
    scores = {50: {"math500": 40.0, "aime24": 10.0}, 100: {"math500": 50.0, "aime24": 20.0, "gpqa": 30.0}}
    evaluations = [
        evaluated(f"e{step}", its, model=f"{run.id}/iteration-{step:05d}", parent=run.id)
        for step, its in scores.items()
    ]
    evaluations.append(
        evaluated("p", {"math500": 99.0}, model=f"{run.id}/iteration-00150", parent=run.id, partial=True)
    )
    evaluations.append(evaluated("other", {"math500": 98.0}, model="x/iteration-00150", parent="x"))
    runs = newest_first(run, *evaluations)
    histories = {run.id: {"entropy": points(1.0), "eval/math500/avg_at_k": ((10, 1.0), (20, 2.0))}}
    [figure] = curve_figures(comparisons_of(runs), runs, histories)
    means = line(figure, "mean of 2 benchmarks", "ICPO")  # one score of GPQA is no curve
    assert (means.x, means.y) == ([50, 100], [25.0, 35.0])


def test_every_metric_that_is_drawn_is_read() -> None:
    assert {"entropy", "omega", "bonus/share", "accuracy", "eval/heldout/avg_at_k", "eval/aime24/avg_at_k"} <= set(
        METRICS
    )


def test_noise_is_named() -> None:
    run = ran("n", "reward.noise.fraction=0.4")
    [figure] = curve_figures(comparisons_of([run]), [], {"n": {"entropy": points(1.0, 0.9)}})
    assert figure.stem == "noise-1"
    assert figure.title == "Accuracy and entropy over training: Qwen2.5-7B, noisy rewards"


def test_responses_by_group_and_by_confidence(tmp_path: Path) -> None:
    rows = iteration(1, groups=20, size=2)  # confidence -0.1 right, -0.2 wrong
    rows[3]["verdict"] = "no_answer"
    write_table(rows, tmp_path / "iteration-00001.parquet")
    store = Stored({("a", "responses"): tmp_path})
    figures = {figure.stem: figure for figure in response_figures(store, comparisons_of([ran("a")]), [])}
    assert list(figures) == ["logprobs", "confidence-training", "calibration"]
    [panel] = figures["logprobs"].panels
    dots = {each.label: each for each in panel.lines}
    assert dots["correct"].x == list(range(1, 21)) and set(dots["correct"].y) == {-0.1}
    assert (dots["no answer"].x, dots["no answer"].y) == ([2], [-0.2])
    [panel] = figures["confidence-training"].panels
    correct, wrong = panel.lines
    # 15 bins from exp(-0.2) to 1: all wrong ones in the first, all right ones in the one that holds exp(-0.1).
    assert wrong.y == [100.0] + [0.0] * 14
    width = (1 - math.exp(-0.2)) / 15
    assert correct.y.index(100.0) == int((math.exp(-0.1) - math.exp(-0.2)) / width)
    [panel] = figures["calibration"].panels
    [calibration] = panel.lines
    assert calibration.x == pytest.approx([math.exp(-0.2), math.exp(-0.1)])
    assert calibration.y == [0.0, 100.0]


def test_equal_confidences_tell_nothing(tmp_path: Path) -> None:
    rows = iteration(1, 10, 4, confidence=-0.25)
    write_table(rows, tmp_path / "iteration-00001.parquet")
    store = Stored({("a", "responses"): tmp_path})
    assert list(response_figures(store, comparisons_of([ran("a")]), [])) == []


def test_verdicts_are_shares() -> None:
    run = replace(ran("a"), metrics={**LAST, "verdict/correct": 3.0, "verdict/wrong": 1.0, "verdict/timeout": 4.0})
    counts = {"eval/gpqa/verdict/correct": 10.0, "eval/aime24/verdict/wrong": 30.0}
    evaluation = evaluated("e", {"gpqa": 25.0}, model="Llama")
    evaluation = replace(evaluation, metrics={**evaluation.metrics, **counts})
    figure = verdict_figure(comparisons_of([run]), evaluations_of([evaluation]))
    assert figure is not None
    training, evaluations = figure.panels
    assert [(stack.label, stack.lengths) for stack in training.stacks] == [
        ("correct", [37.5]),
        ("wrong", [12.5]),
        ("timeout", [50.0]),
    ]
    assert evaluations.stacks[0].names == ["Llama base"] and evaluations.stacks[0].lengths == [25.0]
    assert verdict_figure([], []) is None


def test_dots_and_bars_are_drawn_alike_each_time(tmp_path: Path) -> None:
    points = Line("right $1", 1, [1, 2], [0.1, 0.2], joined=False), Line("wrong", 2, [1], [0.3], joined=False)
    dots = Panel("d", "x", "y", points)
    names = ("a very long name of a run that goes on and on, further than two lines of it go", "b")
    bars = Panel("b", "percent", "", stacks=(Stack("right $1", 1, names, [60, 20]), Stack("wrong", 2, names, [40, 80])))
    files = [[path.read_bytes() for path in save(draw([dots, bars], "caption"), tmp_path / "t")] for _ in range(2)]
    assert files[0] == files[1] and files[0][1].startswith(b"%PDF")
    figure = draw([dots, bars], "caption")
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["right \\$1", "wrong"]
    ticks = [label.get_text() for label in figure.axes[1].get_yticklabels()]
    assert ticks[0].count("\n") == 1 and ticks[0].endswith("…")
    bars_drawn: list[Any] = list(figure.axes[1].patches)
    widths = [patch.get_width() for patch in bars_drawn]
    starts = [patch.get_x() for patch in bars_drawn]
    assert (widths, starts) == ([60, 20, 40, 80], [0, 0, 60, 20])
