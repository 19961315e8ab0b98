import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from icpo_cli import figures
from icpo_cli.ablate import curves
from icpo_cli.ablate.curves import TRAINING, caption_of, draw_curves
from icpo_cli.ablate.result import StudyResult, collect, result_of
from icpo_cli.ablate.study import Study
from icpo_cli.figures import Panel, smooth
from tests.ablate.studies import finish, job_of, jobs, make_study, write_run

NAMES = ("a$b_{", "_c $\\frac", "x\ny")


@pytest.fixture
def panels(monkeypatch: pytest.MonkeyPatch) -> list[Panel]:
    """The panels that would be drawn, without drawing them."""
    seen: list[Panel] = []
    monkeypatch.setattr(curves, "draw", lambda panels, caption: seen.extend(panels))
    monkeypatch.setattr(curves, "save", lambda figure, stem: [stem])
    return seen


def result(study: Study) -> StudyResult:
    return result_of(study, "parent", collect(jobs(study)))


def drawn(study: Study) -> list[str]:
    return sorted(path.name for path in draw_curves(result(study)))


def panel(panels: list[Panel], title: str) -> Panel:
    return next(panel for panel in panels if panel.title == title)


def test_every_metric_has_a_figure_whatever_the_arms_are_called(tmp_path: Path) -> None:
    study = make_study(tmp_path, {NAMES[0]: None, NAMES[1]: NAMES[0], NAMES[2]: NAMES[0]}, seeds=(0, 1))
    for job in jobs(study):
        finish(job, {0: 20.0, 4: 30.0, 8: 40.0 + job.seed})
    metrics = ["accuracy_heldout", "bonus_share", "entropy", "omega", "response_length", "reward"]
    assert drawn(study) == sorted(f"{name}.{kind}" for name in ("all", *metrics) for kind in ("png", "pdf"))
    folder = tmp_path / "curves"
    assert not list(folder.glob("*.tmp"))
    assert all(path.read_bytes().startswith(b"%PDF") for path in folder.glob("*.pdf"))
    width, height = struct.unpack(">II", (folder / "all.png").read_bytes()[16:24])
    assert width == int(figures.PAGE_INCHES * figures.DPI) and height > figures.PANEL_INCHES * 2 * figures.DPI


def test_names_are_not_parsed_as_markup(tmp_path: Path) -> None:
    lines = tuple(figures.Line(name, look, [0, 1], [0.0, 1.0]) for look, name in enumerate(NAMES))
    figure = figures.draw([Panel("$t$", "x", "y", lines)], "a caption of $5 or $6")
    figure.draw_without_rendering()
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["a\\$b_{", "_c \\$\\frac", "x\N{REPLACEMENT CHARACTER}y"]  # a dollar so written is shown as one
    shown: list[Any] = figure.legends[0].get_texts()
    assert not any(text._preprocess_math(text.get_text())[1] for text in shown)


def test_the_same_figure_is_the_same_file(tmp_path: Path) -> None:
    panel = Panel("t", "x", "y", (figures.Line("grpo", 0, [0, 1], [0.0, 1.0]),))
    files = [
        [path.read_bytes() for path in figures.save(figures.draw([panel], "caption"), tmp_path / "t")] for _ in range(2)
    ]
    assert files[0] == files[1] and b"CreationDate" not in files[0][1]


def test_mean_and_band_are_over_seeds(tmp_path: Path, panels: list[Panel]) -> None:
    study = make_study(tmp_path, {"grpo": None, "icpo": "grpo", "late": "grpo"})
    for seed, final in enumerate((52.0, 64.0, 79.0)):  # mean 65, error sqrt(183 / 3) = 7.810
        finish(job_of(study, "grpo", seed), {0: 20.0, 8: final})
    for seed, final in enumerate((50.0, 60.0)):
        finish(job_of(study, "icpo", seed), {0: 20.0, 8: final})
    write_run(job_of(study, "icpo", 2), {0: 20.0, 4: 99.0}, iterations=5)
    write_run(job_of(study, "late", 0), {0: 20.0, 4: 33.0}, iterations=5)
    write_run(job_of(study, "late", 1), {0: 21.0}, iterations=1)
    draw_curves(result(study))
    grpo, icpo, late = panel(panels, "held-out accuracy").lines
    assert (list(grpo.x), grpo.label, grpo.y[1]) == ([0, 8], "grpo", 65)
    assert (grpo.low[1], grpo.high[1]) == pytest.approx((65 - 7.8102, 65 + 7.8102), abs=1e-3)
    assert (icpo.y[1], icpo.low[1], icpo.high[1]) == (55, 50, 60)  # of the two that are done: lower and higher
    assert icpo.label == "icpo (2 of 3 seeds)"
    assert (late.label, list(late.y), list(late.low)) == ("late (seed 0, unfinished)", [20, 33], [])
    assert caption_of(result(study), list(TRAINING.values())) == (
        "Line: mean over seeds; band: ± one standard error over 3 seeds, or from the lower to the higher of 2 seeds. "
        "Without a band: one seed."
    )
    assert [line.look for line in panel(panels, "entropy").lines] == [0, 1, 2]


def test_an_iteration_that_one_seed_lacks_is_left_out(tmp_path: Path, panels: list[Panel]) -> None:
    """Values that are not finite are not in the journal."""
    study = make_study(tmp_path, {"grpo": None}, seeds=(0, 1))
    for job in jobs(study):
        finish(job, {0: 20.0, 8: 40.0})
    journal = job_of(study, "grpo", 1).folder / "run0" / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"entropy": 0.3,', ""))
    draw_curves(result(study))
    assert list(panel(panels, "entropy").lines[0].x) == [1, 2, 4, 5, 6, 7, 8]


def test_one_seed_has_no_band(tmp_path: Path, panels: list[Panel]) -> None:
    study = make_study(tmp_path, {"grpo": None}, seeds=(0,))
    finish(job_of(study, "grpo", 0), {0: 20.0, 8: 40.0})
    draw_curves(result(study))
    assert all(not line.low for panel in panels for line in panel.lines)
    assert caption_of(result(study), list(TRAINING.values())) == "One seed each: no band."


def test_a_study_without_data_has_no_figure(tmp_path: Path) -> None:
    assert drawn(make_study(tmp_path, {"grpo": None})) == []
    assert not (tmp_path / "curves").exists()


@pytest.mark.usefixtures("panels")
def test_uniform_groups_are_drawn_for_a_coarse_study(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"grpo": None}, seeds=(0,), probe_run="abc")
    run = write_run(job_of(study, "grpo", 0), {0: 20.0}, iterations=2)
    with (run / "journal.jsonl").open("a") as journal:
        journal.write('{"step": 2, "time_ms": 0, "metrics": {"groups/uniform_reward_share": 0.4}}\n')
    assert "uniform_groups" in drawn(study)
    assert "uniform_groups" not in drawn(replace(study, probe_run=None))


def test_smoothing_is_a_centred_mean_over_the_values_that_exist() -> None:
    assert smooth([3.0, 0.0, 3.0, 0.0, 3.0], 3) == [1.5, 2, 1, 2, 1.5]
    assert smooth([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 3) == pytest.approx([0.5, 1, 2, 3, 4, 4.5])
    assert smooth([1.0, 5.0], 1) == [1, 5]


def test_a_long_run_is_smoothed_and_says_so(tmp_path: Path, panels: list[Panel]) -> None:
    study = make_study(tmp_path, {"grpo": None}, seeds=(0,))
    arm = study.arms[0]
    longer = replace(arm.config, train=replace(arm.config.train, iterations=200))
    study = replace(study, arms=(replace(arm, config=longer),))
    finish(job_of(study, "grpo", 0), {0: 20.0, 200: 40.0}, iterations=200)
    journal = job_of(study, "grpo", 0).folder / "run0" / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"entropy": 10.0,', '"entropy": 15.0,'))  # of iteration 100
    draw_curves(result(study))
    curves = list(TRAINING.values())
    captions = [caption_of(result(study), shown) for shown in (curves[:3], curves[:1], curves[2:3])]
    assert [text.removeprefix("One seed each: no band.") for text in captions] == [
        " Moving mean of entropy, reward over 5 iterations.",
        " Moving mean over 5 iterations.",
        "",
    ]
    assert panel(panels, "entropy").lines[0].y[99] == pytest.approx(10 + 5 / 5)
    assert panel(panels, "omega").lines[0].y[0] == pytest.approx(0.1)  # not smoothed, nor cut at the end
