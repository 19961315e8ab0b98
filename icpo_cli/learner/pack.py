"""Groups to one flat row: what their prompts begin with once, then each prompt's rest, then the responses.

    tokens      h0 h1 | p0 q0 q1 | a0 a1 b0 c0 c1 c2
    positions    0  1 |  2  2  3 |  3  4  3  4  5  6
    levels       head |  prompts | responses (a and b are p's, c is q's)

A token sees its own segment up to itself, and the segments it stands under: a response its prompt, a prompt the head.
Nothing is padded but within attention. The model predicts the first token of every response from the prompt's last
token, and each later token from the one before it; a response's last token predicts nothing and is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile

import torch
from torch import Tensor

from icpo_cli.records import Gold, Group, Prompt, Response


@dataclass(frozen=True)
class Level:
    """Segments of one depth: S of them, of at most W tokens. Each stands under one of the level before, in order.

    It sees M tokens: those of the segments above it, padded as they are, and its own.
    """

    start: int
    """Of its first token in the flat row; its segments follow one another from there."""
    position: Tensor  # [S, W] of each token in its text
    real: Tensor  # bool [S, W] False on padding
    slot: Tensor  # [n] where its tokens stand in a [S * W] tensor
    key_position: Tensor  # [S, M]
    key_real: Tensor  # bool [S, M]

    @property
    def end(self) -> int:
        return self.start + len(self.slot)

    def to(self, device: torch.device) -> "Level":
        tensors = {name: value.to(device) for name, value in vars(self).items() if name != "start"}
        return Level(self.start, **tensors)


@dataclass(frozen=True)
class Packed:
    """A micro-batch of P groups: a row of L tokens, and where the N response tokens are predicted and belong."""

    input_ids: Tensor  # [1, L]
    position_ids: Tensor  # [1, L]
    levels: tuple[Level, ...]
    source: Tensor  # [N] index into the L hidden states that predicts each response token
    target: Tensor  # [N] the response token
    slot: Tensor  # [N] index into a [P, G, T] tensor where the token belongs
    shape: tuple[int, int, int]  # P, G, T

    def to(self, device: torch.device) -> "Packed":
        return Packed(
            self.input_ids.to(device),
            self.position_ids.to(device),
            tuple(level.to(device) for level in self.levels),
            self.source.to(device),
            self.target.to(device),
            self.slot.to(device),
            self.shape,
        )

    def unpack(self, values: Tensor) -> Tensor:
        """Values of the response tokens to their places, 0 elsewhere. [N] -> [P, G, T]"""
        prompts, group, length = self.shape
        return values.new_zeros(prompts * group * length).index_copy(0, self.slot, values).view(self.shape)


def pack(groups: Sequence[Group]) -> Packed:
    """Groups of equally many responses."""
    head = shared_head(groups)
    prompts = [group.prompt.tokens for group in groups]
    rests = [prompt[head:] for prompt in prompts]
    responses = [response.tokens for group in groups for response in group.responses]
    group_size, longest = len(groups[0].responses), longest_response(groups)
    heads = [(0, prompts[0][:head])] if head else []
    parts = [heads, [(head, rest) for rest in rests]]
    parts.append([(len(prompts[number // group_size]), tokens[:-1]) for number, tokens in enumerate(responses)])
    segments = [segment for part in parts for segment in part]
    levels: list[Level] = []
    for part in parts:
        if part:
            levels.append(_level(part, levels[-1] if levels else None))
    ends = list(accumulate(map(len, rests), initial=head))[1:]  # of each prompt
    starts = list(accumulate((max(len(tokens) - 1, 0) for tokens in responses), initial=ends[-1]))
    source: list[int] = []
    slot: list[int] = []
    for number, tokens in enumerate(responses):
        first = starts[number]
        source += [ends[number // group_size] - 1, *range(first, first + len(tokens) - 1)][: len(tokens)]
        slot += range(number * longest, number * longest + len(tokens))
    return Packed(
        input_ids=torch.tensor([[token for _, tokens in segments for token in tokens]]),
        position_ids=torch.tensor([[p for at, tokens in segments for p in range(at, at + len(tokens))]]),
        levels=tuple(levels),
        source=torch.tensor(source, dtype=torch.long),
        target=torch.tensor([token for tokens in responses for token in tokens], dtype=torch.long),
        slot=torch.tensor(slot, dtype=torch.long),
        shape=(len(groups), group_size, longest),
    )


def text_as_group(tokens: Sequence[int]) -> Group:
    """Its first token as a prompt, the rest as the one response."""
    prompt = Prompt("", "", Gold(""), tuple(tokens[:1]))
    return Group(prompt, (Response("", tuple(tokens[1:]), (), "stop"),))


def shared_head(groups: Sequence[Group]) -> int:
    """Tokens with which all their prompts begin, each prompt's last left to itself; 0 of one group alone."""
    first, *others = [group.prompt.tokens for group in groups]
    if not others:
        return 0
    alike = takewhile(lambda tokens: len(set(tokens)) == 1, zip(first, *others, strict=False))
    return min(sum(1 for _ in alike), min(len(tokens) for tokens in (first, *others)) - 1)


def own_length(group: Group, head: int) -> int:
    """Tokens that a group takes beside a head of so many."""
    return len(group.prompt.tokens) - head + sum(max(len(response.tokens) - 1, 0) for response in group.responses)


def longest_response(groups: Sequence[Group]) -> int:
    """T: tokens of the longest response, at least 1."""
    return max(1, *(len(response.tokens) for group in groups for response in group.responses))


def response_mask(groups: Sequence[Group]) -> Tensor:
    """1 on response tokens. [P, G, T] float32"""
    lengths = torch.tensor([[len(response.tokens) for response in group.responses] for group in groups])  # [P, G]
    return (torch.arange(longest_response(groups)) < lengths[..., None]).float()


def sampled_logprob(groups: Sequence[Group]) -> Tensor:
    """The sampler's log-probs; 0 on padding. [P, G, T] float32"""
    longest = longest_response(groups)
    rows = [[[*r.logprobs, *[0.0] * (longest - len(r.logprobs))] for r in group.responses] for group in groups]
    return torch.tensor(rows)


def micro_batches(lengths: Sequence[int], budget: int, at_least: int = 1) -> list[list[int]]:
    """Indices of groups, cut into micro-batches of at most `budget` tokens.

    Groups of like length go together; one over the budget goes alone. `at_least` micro-batches are made by halving
    the largest, so that every rank can run as many as the rank that needs most.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for index in order:
        if batches and sum(lengths[other] for other in batches[-1]) + lengths[index] <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    while len(batches) < min(at_least, len(lengths)):
        largest = max(range(len(batches)), key=lambda i: len(batches[i]))
        half = len(batches[largest]) // 2
        batches[largest : largest + 1] = [batches[largest][:half], batches[largest][half:]]
    return batches


def _level(segments: Sequence[tuple[int, Sequence[int]]], above: Level | None) -> Level:
    """Of segments as (position of the first token, tokens)."""
    width = max(1, *(len(tokens) for _, tokens in segments))
    first = torch.tensor([at for at, _ in segments])  # [S]
    length = torch.tensor([len(tokens) for _, tokens in segments])  # [S]
    place = torch.arange(width)
    position, real = first[:, None] + place, place < length[:, None]  # [S, W]
    key_position, key_real = position, real
    if above is not None:
        count = len(segments)
        key_position = torch.cat([handed_down(above.key_position, count), position], 1)
        key_real = torch.cat([handed_down(above.key_real, count), real], 1)
    slot = real.flatten().nonzero().squeeze(-1)
    return Level(above.end if above else 0, position, real, slot, key_position, key_real)


def handed_down(values: Tensor, count: int) -> Tensor:
    """From a level's segments to the `count` of the next that stand under them. [S, M, ...] -> [count, M, ...]"""
    each = count // len(values)
    return values[:, None].expand(-1, each, *values.shape[1:]).flatten(0, 1)
