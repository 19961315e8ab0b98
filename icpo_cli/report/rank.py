"""Best and second of a column, by Table 1's rule."""

from collections.abc import Sequence

from icpo_cli.tables.table import Rank

DIGITS = 1
"""Printed: what a reader sees equal is equal, as the paper marks it (Gemma's Math: 15.80 and 15.77, both best)."""


def ranks(values: Sequence[float | None]) -> list[Rank | None]:
    """Of values that are compared with one another; None takes no part.

    Equal ones share their mark, and the second is the next lower value however many are best. Of one value alone
    nothing is best.
    """
    printed = [None if value is None else printed_value(value) for value in values]
    present = [value for value in printed if value is not None]
    if len(present) < 2:
        return [None] * len(values)
    highest = sorted(set(present), reverse=True)
    marks = dict(zip(highest, (Rank.BEST, Rank.SECOND), strict=False))
    return [None if value is None else marks.get(value) for value in printed]


def printed_value(value: float) -> float:
    return float(f"{value:.{DIGITS}f}")
