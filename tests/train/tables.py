"""Rounds and response tables from hand-written verdicts."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from icpo_cli.config.schema import Config
from icpo_cli.records import Group, LogProbs, Prompt, Response, RuleName, Verdict, VerdictKind
from icpo_cli.rewards.reward import rewards_of
from icpo_cli.rng import SeedKey
from icpo_cli.runs.parquet import Row
from icpo_cli.train.metrics import response_table
from icpo_cli.train.round import Round, derive_round
from tests.rewards.rewarding import source_output

KINDS = {
    "+": VerdictKind.CORRECT,
    "-": VerdictKind.WRONG,
    "0": VerdictKind.NO_ANSWER,
    "t": VerdictKind.TIMEOUT,
    "e": VerdictKind.ERROR,
}


@dataclass(frozen=True)
class Graded:
    """A prompt and the verdicts on its responses, one character of KINDS each."""

    prompt: Prompt
    verdicts: str


def table_of(graded: Sequence[Graded], config: Config, omega: float = 1.0, well_formed: bool = True) -> list[Row]:
    """The table of an iteration with responses of three tokens; within a group, confidence falls with the number."""
    group_size = len(graded[0].verdicts)
    text = "<answer>7</answer>" if well_formed else "7"
    response = Response(text, (5, 6, 7), (-0.1, -0.2, -0.3), "stop")
    groups = [Group(each.prompt, (response,) * group_size) for each in graded]
    verdicts = [[Verdict(KINDS[kind], "7", RuleName.EXACT) for kind in each.verdicts] for each in graded]
    confidence = -0.1 * torch.arange(1, group_size + 1).expand(len(graded), -1)  # [P, G]
    ones = torch.ones(len(graded), group_size, 3)  # [P, G, T]
    old = LogProbs(confidence[..., None] * ones, None, ones, ones)
    return response_table([round_of(groups, verdicts, old, omega, config)], range(len(groups)))


def round_of(
    groups: Sequence[Group],
    verdicts: Sequence[Sequence[Verdict]],
    old: LogProbs,
    omega: float,
    config: Config,
    think: bool = False,
    iteration: int = 1,
) -> Round:
    """The round that the loop makes of verdicts and old log-probs."""
    key = SeedKey(config.seed, iteration)
    output = source_output(groups, verdicts, None, config.reward, key, old=old)  # type: ignore[arg-type]
    rewards = rewards_of(groups, verdicts, output, think, config.reward, config.rollout.max_response_tokens, key)
    return derive_round(config, Round(groups, rewards, output), old, omega, None)
