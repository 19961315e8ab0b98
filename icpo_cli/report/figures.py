"""All figures of a report, and their files."""

from collections.abc import Sequence
from pathlib import Path

from icpo_cli import figures
from icpo_cli.report.curves import curve_figures
from icpo_cli.report.distributions import response_figures, verdict_figure
from icpo_cli.report.figure import Histories, ReportFigure
from icpo_cli.report.results import evaluations_of
from icpo_cli.report.settings import Comparison
from icpo_cli.track.read import PastRun, RunStore


def figures_of(
    store: RunStore, runs: Sequence[PastRun], comparisons: Sequence[Comparison], histories: Histories
) -> list[ReportFigure]:
    """What there is something to draw for. `runs`: newest first; `histories`: of all runs in the comparisons."""
    evaluations = evaluations_of(runs)
    found = list(curve_figures(comparisons, runs, histories))
    found += response_figures(store, comparisons, evaluations)
    verdicts = verdict_figure(comparisons, evaluations)
    return [*found, verdicts] if verdicts else found


def save_figures(drawn: Sequence[ReportFigure], folder: Path) -> dict[str, bytes]:
    """FOLDER/STEM.pdf and STEM.png; returns each PNG by its stem."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {}
    for each in drawn:
        png, _ = figures.save(figures.draw(each.panels, each.caption), folder / each.stem)
        pictures[each.stem] = png.read_bytes()
    return pictures
