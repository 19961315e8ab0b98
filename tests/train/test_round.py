"""Rounds of sampling to one batch of the size that the update needs."""

from dataclasses import replace

import torch

from icpo_cli.config.load import load_config
from icpo_cli.learner.rows import select
from icpo_cli.records import Gold, Group, LogProbs, Prompt, Response, RuleName, Verdict
from icpo_cli.train.metrics import response_table
from icpo_cli.train.round import Round, derive_round, select_for_update, update_batch
from tests.train.tables import KINDS, round_of

CONFIG = load_config(["method=dapo", "rollout.group_size=2"])


def made(name: str, tokens: int, *verdicts: str) -> Round:
    """Groups of two responses of that many tokens."""
    response = Response("<answer>7</answer>", (5,) * tokens, (-0.1,) * tokens, "stop")
    groups = [Group(Prompt(f"{name}{p}", "?", Gold("7"), (1, 2)), (response,) * 2) for p in range(len(verdicts))]
    kinds = [[Verdict(KINDS[kind], "7", RuleName.EXACT) for kind in each] for each in verdicts]
    ones = torch.ones(len(verdicts), 2, tokens)
    return round_of(groups, kinds, LogProbs(-0.1 * ones, None, ones, ones), 0.0, CONFIG)


def advantages(rounds: list[Round], selected: list[int]) -> list[list[float]]:
    """[P][G], of the first token."""
    advantage = update_batch(rounds, selected).advantage
    assert advantage is not None
    values: list[list[float]] = advantage[..., 0].tolist()
    return values


def test_groups_to_keep_come_in_the_order_they_were_sampled_up_to_the_batch_size() -> None:
    rounds = [made("a", 3, "++", "+-", "--"), made("b", 5, "-+", "+-", "+-")]
    selected = select_for_update(rounds, 3)
    batch = update_batch(rounds, selected)
    assert [group.prompt.id for group in batch.groups] == ["a1", "b0", "b1"]
    assert selected == [1, 3, 4]
    assert advantages(rounds, selected) == [[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0]]
    assert batch.old is not None and batch.old.mask.shape == (3, 2, 5)
    assert batch.old.mask.sum(-1).tolist() == [[3.0, 3.0], [5.0, 5.0], [5.0, 5.0]]


def test_too_few_groups_are_filled_up_with_others_of_advantage_0() -> None:
    rounds = [made("a", 3, "++", "+-", "t-")]
    selected = select_for_update(rounds, 2)
    assert [group.prompt.id for group in update_batch(rounds, selected).groups] == ["a1", "a0"]
    assert advantages(rounds, selected) == [[1.0, -1.0], [0.0, 0.0]]


def test_the_table_holds_all_sampled_groups_and_whether_they_were_trained_on() -> None:
    rounds = [made("a", 3, "++", "+-"), made("b", 5, "-+", "--")]
    rows = response_table(rounds, select_for_update(rounds, 2))
    assert [(row["prompt_id"], row["trained"]) for row in rows[::2]] == [
        ("a0", False),
        ("a1", True),
        ("b0", True),
        ("b1", False),
    ]


def test_importance_weights_multiply_each_tokens_advantage() -> None:
    """Learner over sampler: exp(-0.1 + 0.1) for each token at first, then half and double that, then over the cap."""
    config = load_config(["method=dapo", "rollout.group_size=2", "learner.importance_cap=2"])
    one = made("a", 3, "+-")
    ones = torch.ones(1, 2, 3)
    old = LogProbs(-0.1 + torch.tensor([[[0.5, 2.0, 8.0]]]).log() * ones, None, ones, ones)
    derived = derive_round(config, one, old, 0.0, None)
    expected = torch.tensor([[[0.5, 2.0, 2.0], [-0.5, -2.0, -2.0]]])
    assert derived.advantage is not None and torch.allclose(derived.advantage, expected, atol=1e-6)


def test_one_round_of_all_groups_is_that_round() -> None:
    one = made("a", 3, "++", "+-")
    assert one.old is not None and one.derivation is not None
    keeps_all = replace(one, kept=[True, True])
    batch = update_batch([keeps_all], select_for_update([keeps_all], 2))
    assert batch.old is not None and torch.equal(batch.old.logprob, one.old.logprob)
    assert batch.advantage is not None
    assert torch.equal(batch.advantage, one.derivation.advantage.float()[..., None].expand(2, 2, 3))


def test_the_derivation_of_some_groups_is_that_of_the_whole_round() -> None:
    """A micro-batch of the first update trains on the values that the table stores, bit for bit."""
    config = load_config(["method=icpo", "rollout.group_size=2"])
    generator = torch.Generator().manual_seed(0)
    whole = made("a", 11, "+-", "-+", "++", "--", "+-")
    mask = (torch.arange(11) < torch.tensor([[[11], [4]], [[7], [2]], [[1], [9]], [[5], [5]], [[11], [3]]])).float()
    logprob = -torch.rand(5, 2, 11, generator=generator) * mask
    old, indices = LogProbs(logprob, None, mask, mask), [3, 0]
    sampled = Round(whole.groups, whole.rewards, whole.output)
    all_groups = derive_round(config, sampled, old, 0.7, None)
    some = derive_round(config, sampled.select(indices), select(old, indices), 0.7, None)
    assert some.advantage is not None and all_groups.advantage is not None
    assert some.derivation is not None and all_groups.derivation is not None
    assert torch.equal(some.advantage, all_groups.advantage[indices])
    assert torch.equal(some.derivation.bonus, all_groups.derivation.bonus[indices])
