"""The examples of the policy table in docs/GRADING.md."""

import pytest

from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import Gold

EQUAL = [
    ("1/2", "2/4"),
    ("1/2", "0.5"),
    (r"\binom42", "6"),
    (r"\sqrt{2}", "1.41"),
    ("0.53", r"\frac{10}{19}"),
    ("0.53", "0.529"),
    ("1.50", "1.5"),
    ("50%", "0.5"),
    (r"\$5", "5"),
    ("5 m", "500 cm"),
    ("5 m", "5"),
    (r"20^\circ C", r"68^\circ F"),
    ("2x+4=0", "x+2=0"),
    ("x=5", "5"),
    ("5", "x=5"),
    ("1,2", "2,1"),
    (r"\{1,2\}", "2,1"),
    ("(1,2)", "1,2"),
    ("(0,1)", "0<x<1"),
    ("(2,5]", "]2,5]"),
    ("3:4", "6:8"),
    ("5 PM", "17:00"),
    ("True", "yes"),
    ("red giants", "a red giant"),
    (r"\frac{x^2}{2}+C", r"\frac{x^2}{2}+K"),
]
DIFFERENT = [
    ("50!", "50!+1"),
    ("10^6", "999999"),
    ("1234", "1230"),
    ("0.5", "0.53"),
    ("2.5", "2.54"),
    ("50", "50%"),
    ("5 m", "5 s"),
    (r"20^\circ C", r"20^\circ F"),
    (r"\$5 profit", r"\$5 loss"),
    ("AB", "AC"),
    ("R", "r"),
    ("x=5", "y=5"),
    ("1,2", "1"),
    ("(1,2)", "(2,1)"),
    ("(1,2)", "[1,2]"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{vmatrix}1&2\\3&4\end{vmatrix}"),
    ("[0,1]", "(0,1)"),
    ("52", "52_8"),
    ("9:00", "3:00"),
    ("True", "true or false"),
    ("increases", "does not increase"),
    ("from left to right", "from right to left"),
]


@pytest.mark.parametrize(("pairs", "equal"), [(EQUAL, True), (DIFFERENT, False)], ids=["equal", "different"])
def test_the_policy_is_as_stated(pairs: list[tuple[str, str]], equal: bool, verifier: Verifier) -> None:
    verdicts = verifier.verify([Answer(answer, Gold(gold)) for gold, answer in pairs], Grading("none"))
    assert [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.correct is not equal] == []
