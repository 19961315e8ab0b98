"""Tables as HTML: fragments for another page, or a whole page without external files."""

import base64
import hashlib
from html import escape

from icpo_cli.tables.table import Cell, Column, Document, Rank, Table
from icpo_cli.text import one_line

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
    """Whole page; its Content-Security-Policy allows its own style sheet and nothing else."""
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
    """Tables and notes as a fragment. Classes: number, best, second, below, note, wide; no style, no handlers.

    `links`: a number links to its evaluation on the same page, #run/ID.
    """
    captions = len(document.tables) > 1
    tables = "".join(_table(table, captions, links) for table in document.tables)
    return tables + "".join(f'<p class="note">{text(note)}</p>\n' for note in document.notes)


def text(raw: str) -> str:
    """Escaped, control codes replaced."""
    return escape(one_line(raw))


def _table(table: Table, caption: bool, links: bool) -> str:
    """A table with its footnotes; a single table needs no caption, the heading above names it."""
    head = "".join(_header(column) for column in table.columns)
    body = []
    for heading, rows in table.groups:
        title = f'<tr><th scope="rowgroup" colspan="{len(table.columns)}">{text(heading)}</th></tr>\n'
        lines = "".join(f"<tr>{_row(table, row, links)}</tr>\n" for row in rows)
        body.append(f"<tbody>\n{title if heading else ''}{lines}</tbody>\n")
    footnotes = "".join(f'<p class="note"><sup>{text(mark)}</sup> {text(note)}</p>\n' for mark, note in table.footnotes)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{text(table.title)}">\n<table>\n'
        f"{f'<caption>{text(table.title)}</caption>' if caption else ''}"
        f"<thead>\n<tr>{head}</tr>\n</thead>\n{''.join(body)}</table>\n</div>\n{footnotes}"
    )


def _header(column: Column) -> str:
    below = f'<br><span class="below">{text(column.below)}</span>' if column.below else ""
    return f'<th scope="col"{_number(column)}>{text(column.name)}{below}</th>'


def _number(column: Column) -> str:
    return ' class="number"' if column.numeric else ""


def _row(table: Table, row: tuple[Cell, ...], links: bool) -> str:
    cells = []
    for index, (column, cell) in enumerate(zip(table.columns, row, strict=True)):
        tag = "td" if index else 'th scope="row"'
        cells.append(f"<{tag}{_number(column)}>{_cell(column, cell, links)}</{tag.split()[0]}>")
    return "".join(cells)


def _cell(column: Column, cell: Cell, links: bool) -> str:
    shown = text(cell.text) if column.numeric else f"<bdi>{text(cell.text)}</bdi>"
    if links and cell.run_id:
        shown = f'<a href="#run/{escape(cell.run_id)}">{shown}</a>'
    if cell.rank is not None:
        tag = "strong" if cell.rank is Rank.BEST else "span"
        shown = f'<{tag} class="{cell.rank.value}">{shown}</{tag}>'
    if cell.error:
        shown += f" ± {text(cell.error)}"
    return shown + (f"<sup>{text(cell.marks)}</sup>" if cell.marks else "")
