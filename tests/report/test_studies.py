"""A study's outcome on the page, from the result.json that it left in the store."""

import json
from pathlib import Path
from typing import Any

from icpo_cli.report.page import study_tables
from icpo_cli.tables.formats import html_tables
from tests.report.runs import run, trained
from tests.report.test_responses import Stored

TABLE: dict[str, Any] = {
    "columns": ["arm", "final", ""],
    "rows": [["a|b", "57.3 ± 0.7", "base"], ["<script>x</script>", "-", "one seed: no interval"]],
    "notes": ["Accuracy in percent, mean over seeds."],
}


def test_a_studys_table_with_its_note(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"study": "lab", "table": TABLE}))
    study = run("s", tags={"study.name": "lab"}, name="lab")
    store = Stored({("s", "result.json"): path})
    [report] = study_tables(store, [trained("t"), study])
    [table] = report.tables
    assert (report.title, report.notes) == ("Study lab", tuple(TABLE["notes"]))
    assert [column.name for column in table.columns] == TABLE["columns"]
    assert [list(row) for row in table.texts] == TABLE["rows"]
    assert "<script>" not in html_tables(report)


def test_a_study_without_a_result_gives_none(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text(json.dumps({"study": "lab"}))
    studies = [run("s", tags={"study.name": "lab"}), run("u", tags={"study.name": "lab"})]
    assert list(study_tables(Stored({("s", "result.json"): path}), studies)) == []
