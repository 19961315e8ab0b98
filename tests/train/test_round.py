"""Rounds of sampling to one batch of the size that the update needs."""

from dataclasses import replace

import torch

from icpo_cli.config.load import load_config
from icpo_cli.records import Gold, Group, Prompt, Response, RuleName, Scores, Verdict
from icpo_cli.train.round import Round, trained_of
from icpo_cli.train.table import response_table
from tests.train.tables import KINDS, round_of

CONFIG = load_config(["method=dapo", "rollout.group_size=2"])


def made(name: str, tokens: int, *verdicts: str) -> Round:
    """Groups of two responses of that many tokens."""
    response = Response("<answer>7</answer>", (5,) * tokens, (-0.1,) * tokens, "stop")
    groups = [Group(Prompt(f"{name}{p}", "?", Gold("7"), (1, 2)), (response,) * 2) for p in range(len(verdicts))]
    kinds = [[Verdict(KINDS[kind], "7", RuleName.EXACT) for kind in each] for each in verdicts]
    ones = torch.ones(len(verdicts), 2, tokens)
    confidence = torch.full((len(verdicts), 2), -0.1, dtype=torch.float64)
    return round_of(groups, kinds, Scores(-0.1 * ones, None, ones, ones), confidence, 0.0, CONFIG)


def test_wanted_groups_come_in_the_order_they_were_sampled_up_to_the_number_asked_for() -> None:
    rounds = [made("a", 3, "++", "+-", "--"), made("b", 5, "-+", "+-", "+-")]
    made_up = trained_of(rounds, 3)
    batch, trained = made_up.batch, made_up.had
    assert [group.prompt.id for group in batch.groups] == ["a1", "b0", "b1"]
    assert trained == [[False, True, False], [True, True, False]]
    assert batch.advantage[..., 0].tolist() == [[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]]
    assert batch.scores.mask.shape == (3, 2, 5)
    assert batch.scores.mask.sum(-1).tolist() == [[3.0, 3.0], [5.0, 5.0], [5.0, 5.0]]


def test_too_few_are_made_up_by_groups_that_teach_nothing() -> None:
    made_up = trained_of([made("a", 3, "++", "+-", "t-")], 2)
    batch, trained = made_up.batch, made_up.had
    assert [group.prompt.id for group in batch.groups] == ["a1", "a0"]
    assert batch.advantage[..., 0].tolist() == [[1.0, -1.0], [0.0, 0.0]]
    assert trained == [[True, True, False]]


def test_all_that_was_sampled_is_in_the_table_and_says_whether_it_was_trained_on() -> None:
    rounds = [made("a", 3, "++", "+-"), made("b", 5, "-+", "--")]
    rows = response_table(rounds, trained_of(rounds, 2).had)
    assert [(row["prompt_id"], row["trained"]) for row in rows[::2]] == [
        ("a0", False),
        ("a1", True),
        ("b0", True),
        ("b1", False),
    ]


def test_importance_weighs_each_token_of_its_response() -> None:
    one = made("a", 3, "+-")
    weights = torch.tensor([[[1.0, 0.5, 2.0], [1.0, 1.0, 0.25]]])
    weighed = replace(one, importance=weights).taught.advantage
    assert torch.equal(weighed, one.derivation.advantage.float()[..., None] * weights)


def test_one_round_of_all_groups_is_that_round() -> None:
    one = made("a", 3, "++", "+-")
    kept = Round(one.groups, one.rewards, one.credit, one.scores, one.derivation, None, [True, True])
    made_up = trained_of([kept], 2)
    batch, trained = made_up.batch, made_up.had
    assert trained == [[True, True]]
    assert torch.equal(batch.scores.logprob, one.scores.logprob)
    assert torch.equal(batch.advantage, one.derivation.advantage.float()[..., None].expand(2, 2, 3))
