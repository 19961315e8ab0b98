import pytest

from icpo_cli.config.schema import RewardConfig
from icpo_cli.records import VerdictKind
from icpo_cli.rewards.extraction import answer_tag
from icpo_cli.rewards.reward import is_well_formed, reward_of
from icpo_cli.rewards.verifier import verify

GOOD = "<think> 3 + 4 = 7 </think> <answer> 7 </answer>"


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (GOOD, "7"),
        ("<answer>two\nlines</answer>", "two\nlines"),
        ("the answer is 7", None),
        ("<answer> </answer>", None),
        ("<answer>7</answer><answer>8</answer>", None),
        ("<answer>7", None),
        ("</answer>7<answer>", None),
        ("<answer><answer>7</answer>", None),
    ],
)
def test_extraction_is_strict(response: str, answer: str | None) -> None:
    assert answer_tag(response) == answer


@pytest.mark.parametrize(
    ("answer", "gold", "kind"),
    [
        ("7", "7", VerdictKind.CORRECT),
        ("7.0", "7", VerdictKind.CORRECT),
        ("7.", "7", VerdictKind.CORRECT),
        ("1,234", "1234", VerdictKind.CORRECT),
        ("2.5e3", "2500", VerdictKind.CORRECT),
        ("-7", "7", VerdictKind.WRONG),
        ("77", "7", VerdictKind.WRONG),
        ("7 or 8", "7", VerdictKind.WRONG),
        ("12,34", "1234", VerdictKind.WRONG),
        ("0.1", "0.10000000000000001", VerdictKind.WRONG),
        ("٧", "7", VerdictKind.WRONG),  # a digit of another script
        ("nan", "7", VerdictKind.WRONG),
        ("Paris", " paris ", VerdictKind.CORRECT),
        ("9" * 100_000, "7", VerdictKind.WRONG),
        ("1e9999", "7", VerdictKind.WRONG),
    ],
)
def test_verdicts(answer: str, gold: str, kind: VerdictKind) -> None:
    assert verify(f"<answer>{answer}</answer>", gold).kind is kind


def test_nothing_found_is_no_answer() -> None:
    verdict = verify("seven", "7")
    assert (verdict.kind, verdict.extracted) == (VerdictKind.NO_ANSWER, None)


@pytest.mark.parametrize(
    ("response", "with_think", "answer_only"),
    [
        (GOOD, True, True),
        ("<answer>7</answer>", False, True),
        ("so it is <answer>7</answer>", False, True),
        (GOOD + " and more", False, False),
        ("well, " + GOOD, False, True),
        ("<think>a</think><think>b</think><answer>7</answer>", False, True),
        ("<answer>7</answer><think>a</think>", False, False),
        ("", False, False),
    ],
)
def test_format(response: str, with_think: bool, answer_only: bool) -> None:
    assert is_well_formed(response, think=True) is with_think
    assert is_well_formed(response, think=False) is answer_only


@pytest.mark.parametrize(
    ("response", "verif"),
    [(GOOD, 1.0), ("<think>x</think><answer>8</answer>", 0.1), ("<answer>7</answer>", 0.9), ("7", 0.0)],
)
def test_reward_weighs_answer_and_format(response: str, verif: float) -> None:
    assert reward_of(response, "7", True, RewardConfig()).verif == pytest.approx(verif)
