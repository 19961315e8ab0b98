"""The outcomes of studies as the page shows them: the first table of the Markdown that each left in the store."""

import re
from collections.abc import Iterator, Sequence

from icpo_cli.report.page import PageTable
from icpo_cli.runs.run_dir import Kind
from icpo_cli.tables.html import html_tables
from icpo_cli.tables.table import Cell, Column, Document, Table
from icpo_cli.track.read import PastRun, RunStore

TABLE = "table.md"
MOST_STUDIES = 8
BETWEEN_CELLS = re.compile(r"(?<!\\)\|")


def study_tables(store: RunStore, runs: Sequence[PastRun]) -> Iterator[PageTable]:
    """Of the newest studies among `runs` that have come to a table."""
    studies = [run for run in runs if run.kind is Kind.STUDY][:MOST_STUDIES]
    for run in studies:
        path = store.artifact(run.id, TABLE)
        document = None if path is None else outcome_of(run.name, path.read_text(encoding="utf-8"))
        if document is not None:
            yield PageTable(document.title, html_tables(document), ())


def outcome_of(study: str, markdown: str) -> Document | None:
    """The first table and the paragraph beneath it; None where there is no table."""
    blocks = [block.splitlines() for block in markdown.split("\n\n")]
    place = next((place for place, lines in enumerate(blocks) if lines and lines[0].startswith("|")), None)
    if place is None:
        return None
    headers, _, *rows = map(_cells, blocks[place])
    group = ("", tuple(tuple(Cell(text) for text in row) for row in rows))
    grid = Table(study, tuple(Column(name, numeric=False) for name in headers), (group,))
    return Document(f"Study {study}", (grid,), tuple(" ".join(lines) for lines in blocks[place + 1 : place + 2]))


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in BETWEEN_CELLS.split(line.strip())[1:-1]]
