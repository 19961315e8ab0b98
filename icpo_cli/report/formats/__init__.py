"""A report in each form that it is wanted in."""

import csv
import io
import json
from collections.abc import Callable

from icpo_cli.report.formats.html import to_html
from icpo_cli.report.formats.latex import to_latex
from icpo_cli.report.formats.markdown import to_markdown
from icpo_cli.report.report import Report


def to_csv(report: Report) -> str:
    """Numbers unrounded."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(report.lines)
    return text.getvalue()


def to_json(report: Report) -> str:
    return json.dumps(report.data, indent=2) + "\n"


FORMATS: dict[str, Callable[[Report], str]] = {
    "md": lambda report: to_markdown(report.document),
    "csv": to_csv,
    "tex": lambda report: to_latex(report.document),
    "html": lambda report: to_html(report.document),
    "json": to_json,
}
"""By the ending of such a file. A terminal has its own."""
