"""RLPR: the gold answer's tokens behind a response's own reasoning."""

import math
from collections.abc import Sequence

import pytest
import torch

from icpo_cli.config.schema import RewardConfig
from icpo_cli.records import Gold, Group, LogProbs, Prompt, Response
from icpo_cli.rewards.reference import (
    from_reference_likelihood,
    from_reference_probability,
    reference_texts,
    with_reference,
)
from icpo_cli.rewards.source import SourceInput
from tests.rewards.rewarding import KEY, NO_LOGPROBS

PROMPT = Prompt("p", "?", Gold(" 42 "), (1,))
TEXTS = ("<think>a</think><answer> 7 </answer>", "<think>b</think><answer>", "no tag", "<answer>1<answer>2")


def group(*texts: str) -> Group:
    return Group(PROMPT, tuple(Response(text, (9,), (-0.1,), "stop") for text in texts))


def characters(text: str) -> list[int]:
    return [ord(character) for character in text]


def test_the_reference_takes_the_answers_place_with_the_space_before_it() -> None:
    asked, counts = with_reference(group(*TEXTS), characters)
    texts = ["".join(map(chr, response.tokens)) for response in asked.responses]
    assert texts == ["<think>a</think><answer> 42", "<think>b</think><answer>42", "", "", "<answer>42"]
    assert counts == [3, 2, 0, 0, 2]


def test_the_reward_is_the_mean_probability_less_that_without_reasoning() -> None:
    def logprobs(groups: Sequence[Group]) -> LogProbs:
        [asked] = groups
        longest = max(len(response.tokens) for response in asked.responses)
        mask = torch.tensor([[[float(t < len(each.tokens)) for t in range(longest)] for each in asked.responses]])
        logprob = torch.full_like(mask, -50.0)  # of all that is not the reference's last two tokens
        for g, last_two in enumerate([(0.9, 0.5), (0.1, 0.2), (1.0, 1.0), (0.3, 0.3)]):
            length = len(asked.responses[g].tokens)
            if length:
                logprob[0, g, length - 2 : length] = torch.tensor(last_two).log()
        return LogProbs(logprob * mask, None, mask, mask)

    groups = [group("<answer>1</answer>", "<think>b</think><answer>2", "no tag")]
    config = RewardConfig(source="reference")
    output = from_reference_probability(
        SourceInput(groups, groups, [], NO_LOGPROBS, None, config, KEY, characters, logprobs, None)  # type: ignore[arg-type]
    )
    assert output.answer == [pytest.approx([0.4, 0.0, 0.0])]
    assert output.columns["reference_prob"] == [pytest.approx([0.7, 0.15, 0.0])]
    assert output.columns["reference_prob_alone"] == [pytest.approx([0.3] * 3)]


def test_what_is_taught_is_the_reference_with_its_closing_tag_or_the_response_itself() -> None:
    cut_off = Response("<think>c</think><answer>4", (7, 8), (-0.1, -0.1), "length")
    own = group("<think>a</think><answer>7</answer>", "no tag")
    taught, counts = reference_texts(Group(PROMPT, (*own.responses, cut_off)), characters)
    assert "".join(map(chr, taught.responses[0].tokens)) == "<think>a</think><answer>42</answer>"
    assert taught.responses[1:] == (own.responses[1], cut_off)
    assert counts == [len("42</answer>"), 0, 0]


def test_the_likelihood_is_the_product_over_the_references_tokens() -> None:
    def logprobs(groups: Sequence[Group]) -> LogProbs:
        [texts] = groups
        longest = max(len(response.tokens) for response in texts.responses)
        mask = torch.tensor([[[float(t < len(each.tokens)) for t in range(longest)] for each in texts.responses]])
        return LogProbs(-0.1 * mask, None, mask, mask)

    groups = [group("<think>a</think><answer>7", "no tag")]
    config = RewardConfig(source="likelihood")
    output = from_reference_likelihood(
        SourceInput(groups, groups, [], NO_LOGPROBS, None, config, KEY, characters, logprobs, None)  # type: ignore[arg-type]
    )
    assert output.answer == [pytest.approx([math.exp(-0.1 * len("42</answer>")), 0.0])]
    assert output.targets is not None
    assert output.targets.reference.sum(-1).tolist() == [[len("42</answer>"), 0]]
    assert output.targets.reference[0, 0, -1] == 1  # they end the longest text
