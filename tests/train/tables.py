"""Tables of responses, as an iteration leaves them, from verdicts written by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from icpo_cli.config.schema import Config
from icpo_cli.objective.methods import derive
from icpo_cli.objective.selection import KEEP, Candidates
from icpo_cli.records import Group, Prompt, Response, RuleName, Scores, Verdict, VerdictKind
from icpo_cli.rewards.reward import rewards_of
from icpo_cli.rng import SeedKey
from icpo_cli.runs.parquet import Row
from icpo_cli.train.round import Round
from icpo_cli.train.table import response_table
from tests.rewards.rewarding import credit_of

KINDS = {
    "+": VerdictKind.CORRECT,
    "-": VerdictKind.WRONG,
    "0": VerdictKind.NO_ANSWER,
    "t": VerdictKind.TIMEOUT,
    "e": VerdictKind.ERROR,
}


@dataclass(frozen=True)
class Graded:
    """A prompt and the verdicts on its responses, a character of KINDS each."""

    prompt: Prompt
    verdicts: str


def table_of(graded: Sequence[Graded], config: Config, omega: float = 1.0, well_formed: bool = True) -> list[Row]:
    """Of responses of three tokens, the n-th of a group the less sure the higher n is."""
    group_size = len(graded[0].verdicts)
    text = "<answer>7</answer>" if well_formed else "7"
    response = Response(text, (5, 6, 7), (-0.1, -0.2, -0.3), "stop")
    groups = [Group(each.prompt, (response,) * group_size) for each in graded]
    verdicts = [[Verdict(KINDS[kind], "7", RuleName.EXACT) for kind in each.verdicts] for each in graded]
    confidence = -0.1 * torch.arange(1, group_size + 1, dtype=torch.float64).expand(len(graded), -1)  # [P, G]
    ones = torch.ones(len(graded), group_size, 3)  # [P, G, T]
    made = round_of(groups, verdicts, Scores(-0.2 * ones, None, ones, ones), confidence, omega, config)
    return response_table([made], [[True] * len(groups)])


def round_of(
    groups: Sequence[Group],
    verdicts: Sequence[Sequence[Verdict]],
    scores: Scores,
    confidence: Tensor,
    omega: float,
    config: Config,
    think: bool = False,
    iteration: int = 1,
) -> Round:
    """As the loop makes it of verdicts and scores."""
    key = SeedKey(config.seed, iteration)
    credit = credit_of(groups, verdicts, None, config.reward, key, scores=scores)
    rewards = rewards_of(groups, verdicts, credit, think, config.reward, config.rollout.max_response_tokens, key)
    verif = torch.tensor([[reward.verif for reward in group] for group in rewards], dtype=torch.float64)  # [P, G]
    derivation = derive(confidence, verif, omega, config.method, torch.tensor(credit.decided))
    correct = torch.tensor([[verdict.correct for verdict in of_group] for of_group in verdicts])
    kept = KEEP[config.rollout.keep](Candidates(derivation.final_reward, correct, 0.0), config.rollout).tolist()
    return Round(groups, rewards, credit, scores, derivation, None, kept)
