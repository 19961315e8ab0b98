"""Outcomes of groups, by which coarse data is selected."""

import pytest

from icpo_cli.records import UNIFORM, group_outcome
from tests.train.tables import KINDS


@pytest.mark.parametrize(
    ("group", "outcome"),
    [
        ("+++++", "all_right"),
        ("-----", "all_wrong"),
        ("+----", "mixed"),
        ("++++-", "mixed"),
        ("00000", "all_wrong"),
        ("-0-00", "all_wrong"),
        ("+0+++", "mixed"),
        ("--t--", "undecided"),
        ("++++e", "undecided"),
        ("+-t--", "undecided"),
    ],
)
def test_the_outcome_of_a_group(group: str, outcome: str) -> None:
    assert group_outcome([KINDS[kind] for kind in group]) == outcome
    assert (outcome in UNIFORM) == (outcome.startswith("all"))
