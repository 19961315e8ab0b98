"""What a figure of the report is, before it is drawn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from icpo_cli.figures import Panel
from icpo_cli.track.read import Points

Histories = Mapping[str, Mapping[str, Points]]
"""{run: {metric: points}}"""


@dataclass(frozen=True)
class ReportFigure:
    """Drawn as STEM.pdf and STEM.png."""

    stem: str
    title: str
    caption: str
    panels: Sequence[Panel]
