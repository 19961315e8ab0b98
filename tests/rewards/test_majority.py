"""TTRL: what most responses answer, equivalence decided by the verifier."""

from collections.abc import Iterator

import pytest

from icpo_cli.config.schema import RewardConfig, SandboxConfig
from icpo_cli.grading.verifier import Verifier
from icpo_cli.records import Gold, Group, Prompt, Response, RuleName, Verdict, VerdictKind
from icpo_cli.rewards.majority import vote
from icpo_cli.rewards.source import SourceOutput
from icpo_cli.rng import SeedKey
from tests.rewards.rewarding import source_output, verdicts_of

CONFIG = RewardConfig(source="majority", sandbox=SandboxConfig(workers=1))
DIFFERENT, TIMEOUT = Verdict(VerdictKind.WRONG, "", RuleName.TEXT), Verdict(VerdictKind.TIMEOUT, "", RuleName.DEADLINE)


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier(CONFIG) as made:
        yield made


def group(gold: str, *answers: str | None) -> Group:
    texts = ["no idea" if answer is None else f"<answer>{answer}</answer>" for answer in answers]
    responses = tuple(Response(text, (1,), (-0.1,), "stop") for text in texts)
    return Group(Prompt(f"p/{gold}", "?", Gold(gold), (1,)), responses)


def output(verifier: Verifier, voted: Group, trained: int) -> SourceOutput:
    kept = voted.first(trained)
    return source_output([kept], verdicts_of([kept], verifier, CONFIG), verifier, CONFIG, SeedKey(0, 1), votes=[voted])


def test_equal_values_are_one_vote(verifier: Verifier) -> None:
    made = output(verifier, group("0.5", "7", "2/4", "7", "0.5", r"\frac{1}{2}"), 5)
    assert made.answer == [[0.0, 1.0, 0.0, 1.0, 1.0]]
    assert made.columns["majority_share"] == [[0.6] * 5]
    assert made.columns["majority_right"] == [[1.0] * 5]
    assert made.decided == [True]


def test_the_majority_may_be_wrong_and_is_rewarded_all_the_same(verifier: Verifier) -> None:
    made = output(verifier, group("3", "4", "4", "3"), 3)
    assert made.answer == [[1.0, 1.0, 0.0]]
    assert made.columns["majority_right"] == [[0.0] * 3]


def test_more_vote_than_are_trained_on(verifier: Verifier) -> None:
    made = output(verifier, group("3", "4", "3", "3", "3"), 2)
    assert made.answer == [[0.0, 1.0]]
    assert made.columns["majority_share"] == [[0.75] * 2]


def test_no_answer_is_no_vote_and_nothing_is_right_without_any(verifier: Verifier) -> None:
    assert output(verifier, group("3", None, None, "3"), 3).answer == [[0.0, 0.0, 1.0]]
    nobody = output(verifier, group("3", None, None), 2)
    assert nobody.answer == [[0.0, 0.0]] and nobody.columns["majority_right"] == [[0.0, 0.0]]


def test_without_gold_answers_the_vote_is_the_same_and_nobody_says_how_often_it_is_right(verifier: Verifier) -> None:
    blind = group("", "4", "2/4", "0.5", None)
    made = output(verifier, blind, 3)
    assert made.answer == [[0.0, 1.0, 1.0]] and made.decided == [True]
    assert set(made.columns) == {"majority_share"}
    [verdicts] = verdicts_of([blind], verifier, CONFIG)
    assert [(verdict.kind, verdict.extracted) for verdict in verdicts] == [
        (VerdictKind.NO_GOLD, "4"),
        (VerdictKind.NO_GOLD, "2/4"),
        (VerdictKind.NO_GOLD, "0.5"),
        (VerdictKind.NO_GOLD, None),
    ]


def test_a_tie_is_broken_by_the_seed_and_by_it_alone() -> None:
    answers = ["a", "b", "b", "a"]
    equal = {("a", "b"): DIFFERENT, ("b", "a"): DIFFERENT}
    labels = {seed: vote(answers, equal, SeedKey(seed, 1, "p")).label for seed in range(40)}
    assert set(labels.values()) == {"a", "b"}
    assert labels == {seed: vote(answers[::-1], equal, SeedKey(seed, 1, "p")).label for seed in range(40)}


def test_answers_that_nobody_could_compare_leave_the_group_undecided() -> None:
    assert not vote(["a", "b"], {("a", "b"): TIMEOUT}, SeedKey(0, 1, "p")).decided
    assert vote(["a", "b"], {("a", "b"): DIFFERENT}, SeedKey(0, 1, "p")).decided
