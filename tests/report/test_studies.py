"""A study's outcome on the page, from the Markdown it left."""

from icpo_cli.report.studies import outcome_of
from icpo_cli.tables.html import html_tables

LEFT = """# lab

About it

| arm | final |  |
| --- | --- | --- |
| a\\|b | 57.3 ± 0.7 | base |
| <script>x</script> | - | one seed: no interval |

Accuracy in percent,
mean over seeds.

more
"""


def test_the_first_table_with_what_is_said_of_it() -> None:
    document = outcome_of("lab", LEFT)
    assert document is not None
    [table] = document.tables
    assert [column.name for column in table.columns] == ["arm", "final", ""]
    rows = [list(row) for row in table.texts]
    assert rows == [["a|b", "57.3 ± 0.7", "base"], ["<script>x</script>", "-", "one seed: no interval"]]
    assert document.notes == ("Accuracy in percent, mean over seeds.",)
    assert "<script>" not in html_tables(document)


def test_a_text_without_a_table_gives_none() -> None:
    assert outcome_of("lab", "# lab\n\nNo job was evaluated.\n") is None
