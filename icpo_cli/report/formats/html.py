"""A report as HTML: tables for another page, or a page of their own that needs nothing else."""

import base64
import hashlib
from html import escape

from icpo_cli.report.formats.plain import one_line
from icpo_cli.report.grid import Document, Grid, GridCell, Header, Rank

STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; border-block: 2px solid; }
caption { text-align: left; font-weight: 600; padding-block: .5rem; }
th, td { padding: .2rem .6rem; text-align: left; white-space: nowrap; font-weight: 400; }
thead { border-bottom: 1px solid; }
thead th { font-weight: 600; vertical-align: bottom; }
tbody + tbody { border-top: 1px solid; }
tbody th[scope=rowgroup] { font-weight: 600; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.best { font-weight: 700; }
.second { text-decoration: underline; }
.below, .note { font-size: .85rem; }
sup { line-height: 0; }
"""


def to_html(document: Document) -> str:
    """A whole page. Its policy lets nothing in but its own style sheet."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'"
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{text(document.title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{text(document.title)}</h1>
{html_tables(document)}</body>
</html>
"""


def html_tables(document: Document, links: bool = False) -> str:
    """The tables and notes alone. Classes: number, best, second, below, note, wide; no style, no handlers.

    `links`: a number leads to its evaluation on the page that they stand on, #run/ID.
    """
    captions = len(document.grids) > 1
    tables = "".join(_table(grid, captions, links) for grid in document.grids)
    return tables + "".join(f'<p class="note">{text(note)}</p>\n' for note in document.notes)


def _table(grid: Grid, caption: bool, links: bool) -> str:
    """With its footnotes; a table that stands alone is named by the heading above it."""
    head = "".join(_header(header) for header in grid.headers)
    body = []
    for group in grid.groups:
        title = f'<tr><th scope="rowgroup" colspan="{len(grid.headers)}">{text(group.title)}</th></tr>\n'
        rows = "".join(f"<tr>{_row(grid, row, links)}</tr>\n" for row in group.rows)
        body.append(f"<tbody>\n{title if group.title else ''}{rows}</tbody>\n")
    footnotes = "".join(f'<p class="note"><sup>{text(mark)}</sup> {text(note)}</p>\n' for mark, note in grid.footnotes)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{text(grid.title)}">\n<table>\n'
        f"{f'<caption>{text(grid.title)}</caption>' if caption else ''}"
        f"<thead>\n<tr>{head}</tr>\n</thead>\n{''.join(body)}</table>\n</div>\n{footnotes}"
    )


def text(raw: str) -> str:
    """Escaped, control codes made visible."""
    return escape(one_line(raw))


def _header(header: Header) -> str:
    below = f'<br><span class="below">{text(header.below)}</span>' if header.below else ""
    return f'<th scope="col"{_number(header)}>{text(header.name)}{below}</th>'


def _number(header: Header) -> str:
    return ' class="number"' if header.numeric else ""


def _row(grid: Grid, row: tuple[GridCell, ...], links: bool) -> str:
    cells = []
    for place, (header, cell) in enumerate(zip(grid.headers, row, strict=True)):
        tag = "td" if place else 'th scope="row"'
        cells.append(f"<{tag}{_number(header)}>{_cell(header, cell, links)}</{tag.split()[0]}>")
    return "".join(cells)


def _cell(header: Header, cell: GridCell, links: bool) -> str:
    shown = text(cell.text) if header.numeric else f"<bdi>{text(cell.text)}</bdi>"
    if links and cell.run_id:
        shown = f'<a href="#run/{escape(cell.run_id)}">{shown}</a>'
    if cell.rank is not None:
        tag = "strong" if cell.rank is Rank.BEST else "span"
        shown = f'<{tag} class="{cell.rank.value}">{shown}</{tag}>'
    if cell.error:
        shown += f" ± {text(cell.error)}"
    return shown + (f"<sup>{text(cell.marks)}</sup>" if cell.marks else "")
