"""Figures for a paper's column, in one style; metrics over training as panels. No other module imports matplotlib.

Colours are Okabe and Ito's, which colour-blind readers can distinguish, without yellow, which is too light on white.
Line styles and markers differ too, for grey print. Figures are drawn without pyplot, which keeps global state.
"""

import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from icpo_cli.runs.files import atomic_write
from icpo_cli.text import printable

COLOURS = ("#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("-", (0, (5, 1.5)), (0, (5, 1.5, 1, 1.5)), (0, (1.2, 1.2)), (0, (8, 1.5, 1, 1.5, 1, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "X")
"""7 colours, 5 dashes and 6 markers have no common divisor: 210 lines before a look repeats."""
HATCHES = ("", "////", "....", "xxxx", "----")

COLUMN_INCHES, PAGE_INCHES = 3.5, 7.2
PANEL_INCHES = 1.9
"""Height of one panel."""
LINE_INCHES = 0.14
"""Height of a line of the legend or caption."""
HANDLE_CHARACTERS = 10
"""Width of a legend's line sample, in characters."""
POINTS, SMALL_POINTS = 8, 7
DPI = 200
MARKERS_A_LINE = 8
BAND_OPACITY = 0.18
FEW_DOTS = 100
BAR_INCHES = 0.26
NAME_CHARACTERS = 26
"""Characters of a bar's name that fit into a line."""


WINDOWS_A_RUN, WIDEST_WINDOW = 40, 25

Points = Sequence[tuple[int, float]]
"""(step, value), by step."""
History = Mapping[str, Points]
"""One run's points by metric."""


@dataclass(frozen=True)
class Line:
    """One curve: y over x, [N] each, and an optional band from low to high (NaN: no band at that point)."""

    label: str
    look: int
    """Index of colour, dash and marker: equal ones look the same in every panel and figure."""
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    joined: bool = True
    """False: unconnected points, without a band."""


@dataclass(frozen=True)
class Stack:
    """One part of each of N stacked horizontal bars."""

    label: str
    look: int
    names: Sequence[str]
    """Names of the bars, [N], from top to bottom."""
    lengths: Sequence[float]
    """Lengths of this part, [N]."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes. All stacks have the same bars."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[Line, ...] = ()
    stacks: tuple[Stack, ...] = ()
    whole_x: bool = True
    """Whether x is a count: ticks only at whole numbers."""

    @property
    def marks(self) -> tuple[Line | Stack, ...]:
        return (*self.lines, *self.stacks)

    @property
    def inches(self) -> float:
        """Height."""
        return max(PANEL_INCHES, BAR_INCHES * len(self.stacks[0].names) + 0.6) if self.stacks else PANEL_INCHES


@dataclass(frozen=True)
class Curve:
    """A metric over the iterations: one panel."""

    metric: str
    title: str
    unit: str
    smoothed: bool = False
    """Moving mean: a mean over one batch of prompts says little alone."""
    factor: float = 1.0
    """Multiplies the metric's values: 100 for shares in percent."""


def draw(panels: Sequence[Panel], caption: str) -> Figure:
    """Draw panels, at most three side by side, with one legend above and the caption below; one panel fits a column."""
    across = min(len(panels), 3)
    down = math.ceil(len(panels) / across)
    width = COLUMN_INCHES if across == 1 else PAGE_INCHES
    characters = int(width * 72 / (0.55 * SMALL_POINTS))  # that fit in a line
    text = textwrap.fill(plain(caption), characters)

    figure = Figure(dpi=DPI, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    handles: dict[int, Line2D | Patch] = {}
    axes = figure.subplots(down, across, squeeze=False).ravel()
    for panel, its_axes in zip(panels, axes, strict=False):
        for line in panel.lines:
            handles[line.look] = (_draw_line if line.joined else _draw_dots)(its_axes, line)
        handles |= _draw_stacks(its_axes, panel.stacks)
        _style_axes(its_axes, panel, characters // across)
    for unused in axes[len(panels) :]:
        unused.remove()
    labels = {mark.look: mark.label for panel in panels for mark in panel.marks}
    looks = sorted(handles)
    legend_rows = _add_legend(figure, [handles[look] for look in looks], [labels[look] for look in looks], characters)
    figure.supxlabel(text, x=0.01, ha="left", fontsize=SMALL_POINTS)
    height = max(panel.inches for panel in panels) * down
    figure.set_size_inches(width, height + LINE_INCHES * (legend_rows + text.count("\n") + 2))
    return figure


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write STEM.png and STEM.pdf, each atomically. Equal figures give equal files."""
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "pdf")]
    for path in paths:
        undated = {"CreationDate": None} if path.suffix == ".pdf" else None
        # Type 42 keeps text as text, which publishers require.
        with matplotlib.rc_context({"pdf.fonttype": 42}), atomic_write(path, durable=False) as tmp:
            figure.savefig(tmp, format=path.suffix[1:], metadata=undated)
        figure.set_layout_engine("none")  # keep this layout: a second one takes a third of the time
    return paths


def plain(text: str) -> str:
    """Escape text for matplotlib: dollars do not start mathematics, control codes are replaced."""
    return printable(text).replace("$", r"\$")


def _add_legend(figure: Figure, handles: Sequence[Line2D | Patch], labels: Sequence[str], characters: int) -> int:
    """Add a legend above the panels, in as many columns as fit into `characters`; returns its number of text lines."""
    width = characters - HANDLE_CHARACTERS
    wrapped = [textwrap.fill(plain(label), width) for label in labels]
    longest = max(len(row) for label in wrapped for row in label.splitlines())
    columns = max(1, min(len(labels), characters // (longest + HANDLE_CHARACTERS)))
    figure.legend(
        handles,
        wrapped,
        loc="outside upper center",
        ncols=columns,
        fontsize=SMALL_POINTS,
        frameon=False,
        handlelength=3.2,
    )
    return math.ceil(len(labels) / columns) * max(label.count("\n") + 1 for label in wrapped)


def _draw_line(axes: Axes, line: Line) -> Line2D:
    colour = COLOURS[line.look % len(COLOURS)]
    every = max(1, math.ceil(len(line.x) / MARKERS_A_LINE))
    (drawn,) = axes.plot(
        line.x,
        line.y,
        color=colour,
        linestyle=DASHES[line.look % len(DASHES)],
        linewidth=1.2,
        marker=MARKERS[line.look % len(MARKERS)],
        markersize=3,
        # Shifted, so that markers of two close lines do not cover each other.
        markevery=(line.look * every // 3 % every, every),
    )
    if len(line.low):
        axes.fill_between(line.x, line.low, line.high, color=colour, alpha=BAND_OPACITY, linewidth=0)
    return drawn


def _draw_dots(axes: Axes, dots: Line) -> Line2D:
    hollow = dots.look % 2 == 0  # distinguishable in grey print
    (drawn,) = axes.plot(
        dots.x,
        dots.y,
        color=COLOURS[dots.look % len(COLOURS)],
        linestyle="none",
        marker=MARKERS[dots.look % len(MARKERS)],
        markersize=4 if len(dots.x) < FEW_DOTS else 2.5,
        fillstyle="none" if hollow else "full",
        markeredgewidth=0.9 if hollow else 0,
        alpha=0.8,
        rasterized=True,  # a PDF would store thousands of dots one by one
    )
    return drawn


def _draw_stacks(axes: Axes, stacks: Sequence[Stack]) -> dict[int, Patch]:
    """Draw stacked bars, the first one on top."""
    drawn: dict[int, Patch] = {}
    ends: list[float] = [0.0] * (len(stacks[0].names) if stacks else 0)
    for stack in stacks:
        bars = axes.barh(
            range(len(ends)),
            stack.lengths,
            left=ends,
            color=COLOURS[stack.look % len(COLOURS)],
            hatch=HATCHES[stack.look % len(HATCHES)],
            edgecolor="white",
            linewidth=0.4,
        )
        drawn[stack.look] = bars.patches[0]
        ends = [start + length for start, length in zip(ends, stack.lengths, strict=True)]
    if stacks:
        names = [_wrapped(name, NAME_CHARACTERS) for name in stacks[0].names]
        axes.set_yticks(range(len(names)), names)
        axes.invert_yaxis()
    return drawn


def _wrapped(name: str, width: int) -> str:
    """At most two lines of `width` characters."""
    return "\n".join(textwrap.wrap(plain(name), width, max_lines=2, placeholder="…"))


def _style_axes(axes: Axes, panel: Panel, characters: int) -> None:
    axes.set_title(_wrapped(panel.title, int(characters * SMALL_POINTS / POINTS * 0.85)), fontsize=POINTS)
    axes.set_xlabel(plain(panel.x_label), fontsize=SMALL_POINTS)
    axes.set_ylabel(plain(panel.y_label), fontsize=SMALL_POINTS)
    axes.tick_params(labelsize=SMALL_POINTS)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=panel.whole_x, steps=[1, 2, 5, 10]))
    if not panel.stacks:
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.grid(True, linewidth=0.4, color="#DDDDDD")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def curve_panel(curve: Curve, seeds: Sequence[tuple[str, Sequence[History]]], window: int) -> Panel:
    """A line for each (label, histories of its seeds) that has the metric; its look is its index in `seeds`."""
    window = window if curve.smoothed else 1
    lines = []
    for look, (label, histories) in enumerate(seeds):
        points = [history[curve.metric] for history in histories if curve.metric in history]
        scaled = [[(step, curve.factor * value) for step, value in each] for each in points]
        line = over_seeds(label, look, scaled, window) if scaled else None
        lines += [line] if line else []
    return Panel(curve.title, "iteration", curve.unit, tuple(lines))


def window_of(iterations: int) -> int:
    """Iterations in the moving mean of a run of that length: a 40th of them, odd, at most 25."""
    return min(iterations // WINDOWS_A_RUN // 2 * 2 + 1, WIDEST_WINDOW)


def smooth(values: Sequence[float], window: int) -> list[float]:
    """Centred moving mean over `window` (odd) values; at the ends over the values that exist."""
    sums, half = np.concatenate([[0.0], np.cumsum(values)]), window // 2
    spans = [(max(at - half, 0), min(at + half + 1, len(values))) for at in range(len(values))]
    return [float((sums[end] - sums[start]) / (end - start)) for start, end in spans]


def over_seeds(label: str, look: int, seeds: Sequence[Points], window: int) -> Line | None:
    """Mean over seeds with a band of ± one standard error, at the steps that all seeds have; None without such steps.

    With two seeds the band reaches from the lower to the higher value; with one there is no band.
    """
    by_step = [dict(points) for points in seeds]
    steps = sorted(set.intersection(*map(set, by_step)))
    if not steps:
        return None
    values = np.array([smooth([points[step] for step in steps], window) for points in by_step])  # [seeds, steps]
    mean = values.mean(0)
    if len(values) < 2:
        return Line(label, look, steps, mean.tolist())
    error = values.std(0, ddof=1) / math.sqrt(len(values))
    return Line(label, look, steps, mean.tolist(), (mean - error).tolist(), (mean + error).tolist())


def seeds_caption(counts: Collection[int]) -> str:
    """Explain the lines and bands of means over that many seeds each."""
    many = sorted(count for count in counts if count > 2)
    bands = []
    if many:
        seeds = str(many[0]) if many[0] == many[-1] else f"{many[0]} to {many[-1]}"
        bands.append(f"± one standard error over {seeds} seeds")
    if 2 in counts:
        bands.append("from the lower to the higher of 2 seeds")
    if not bands:
        return "One seed each: no band."
    text = f"Line: mean over seeds; band: {', or '.join(bands)}."
    return text + (" Without a band: one seed." if 1 in counts else "")
