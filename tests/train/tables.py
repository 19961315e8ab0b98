"""Tables of responses, as an iteration leaves them, from verdicts written by hand."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from icpo_cli.config.schema import Config
from icpo_cli.objective.methods import derive
from icpo_cli.records import Group, Prompt, Response, Reward, Scores, Verdict, VerdictKind
from icpo_cli.rewards.reward import decided_of, reward_of
from icpo_cli.track.parquet import Row
from icpo_cli.train.table import response_table

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
    rewards = [[_reward(kind, text, config) for kind in each.verdicts] for each in graded]
    verif = torch.tensor([[reward.verif for reward in group] for group in rewards], dtype=torch.float64)  # [P, G]
    confidence = -0.1 * torch.arange(1, group_size + 1, dtype=torch.float64).expand(len(graded), -1)  # [P, G]
    derivation = derive(confidence, verif, omega, config.method, torch.tensor(decided_of(rewards)))
    ones = torch.ones(len(graded), group_size, 3)  # [P, G, T]
    return response_table(groups, rewards, Scores(-0.2 * ones, None, ones, ones), derivation)


def _reward(kind: str, text: str, config: Config) -> Reward:
    return reward_of(text, Verdict(KINDS[kind], "7", "exact"), False, config.reward)
