"""A study's outcome on the page, from the Markdown it left."""

from icpo_cli.report.formats.html import html_tables
from icpo_cli.report.studies import outcome_of

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
    [grid] = document.grids
    assert [header.name for header in grid.headers] == ["arm", "final", ""]
    rows = [[cell.text for cell in row] for row in grid.groups[0].rows]
    assert rows == [["a|b", "57.3 ± 0.7", "base"], ["<script>x</script>", "-", "one seed: no interval"]]
    assert document.notes == ("Accuracy in percent, mean over seeds.",)
    assert "<script>" not in html_tables(document)


def test_a_text_without_a_table_gives_none() -> None:
    assert outcome_of("lab", "# lab\n\nNo job was evaluated.\n") is None
