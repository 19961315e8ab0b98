"""Pack groups into one row without padding: the prompts' shared prefix once, each prompt's rest, then the responses.

    tokens      s0 s1 | p0 q0 q1 | a0 a1 b0 c0 c1 c2
    positions    0  1 |  2  2  3 |  3  4  3  4  5  6
    depth       0     |  1       |  2  (a and b answer prompt p, c answers q)

A token attends to its own segment up to itself, and to its ancestors: a response to its prompt, a prompt to the shared
prefix. Only attention pads, per depth. The first token of every response is predicted from the last token of the
prompt, each later token from the one before it; the last token of a response predicts nothing and is left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, takewhile

import torch
from torch import Tensor

from icpo_cli.records import Gold, Group, Prompt, Response


@dataclass(frozen=True)
class Level:
    """All segments of one depth: S segments of at most W tokens, the children of one parent next to each other.

    A token of it sees M keys: those of its ancestors, padded as they are, and its own segment's.
    """

    start: int
    """Index of its first token in the packed row; its segments follow one another from there."""
    position: Tensor  # [S, W] position of each token in its text
    real: Tensor  # bool [S, W] False on padding
    slot: Tensor  # [n] index of each of its n tokens in a [S * W] tensor
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
    """A micro-batch of P groups: a row of L tokens, and where the log-probs of its N response tokens come from."""

    input_ids: Tensor  # [1, L]
    position_ids: Tensor  # [1, L]
    levels: tuple[Level, ...]
    source: Tensor  # [N] index of the hidden state, of L, that predicts each response token
    target: Tensor  # [N] the response token
    slot: Tensor  # [N] index of the token in a flattened [P, G, T] tensor
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

    @property
    def padded_tokens(self) -> int:
        """Tokens of the levels, each segment padded to the longest of its level."""
        return sum(level.real.numel() for level in self.levels)

    def unpack(self, values: Tensor) -> Tensor:
        """Scatter values of the response tokens, 0 elsewhere. [N] -> [P, G, T]"""
        prompts, group, length = self.shape
        return values.new_zeros(prompts * group * length).index_copy(0, self.slot, values).view(self.shape)


def pack(groups: Sequence[Group]) -> Packed:
    """Pack groups that have equally many responses."""
    prefix = shared_prefix(groups)
    prompts = [group.prompt.tokens for group in groups]
    rests = [prompt[prefix:] for prompt in prompts]
    responses = [response.tokens for group in groups for response in group.responses]
    group_size, longest = len(groups[0].responses), longest_response(groups)
    # Segments by depth, each as (position of its first token, its tokens).
    depths: list[list[tuple[int, Sequence[int]]]] = [[(0, prompts[0][:prefix])]] if prefix else []
    depths.append([(prefix, rest) for rest in rests])
    depths.append([(len(prompts[number // group_size]), tokens[:-1]) for number, tokens in enumerate(responses)])
    segments = [segment for depth in depths for segment in depth]
    levels: list[Level] = []
    for depth in depths:
        levels.append(_level(depth, levels[-1] if levels else None))
    ends = list(accumulate(map(len, rests), initial=prefix))[1:]  # end of each prompt in the row
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
    """One text as a group: its first token is the prompt, the rest the only response."""
    prompt = Prompt("", "", Gold(""), tuple(tokens[:1]))
    return Group(prompt, (Response("", tuple(tokens[1:]), (), "stop"),))


def shared_prefix(groups: Sequence[Group]) -> int:
    """Number of tokens that all prompts begin with; at most all but a prompt's last, and 0 for one group alone."""
    first, *others = [group.prompt.tokens for group in groups]
    if not others:
        return 0
    alike = takewhile(lambda tokens: len(set(tokens)) == 1, zip(first, *others, strict=False))
    return min(sum(1 for _ in alike), min(len(tokens) for tokens in (first, *others)) - 1)


def packed_length(group: Group, prefix: int) -> int:
    """Tokens that a group adds to a packed row whose shared prefix has `prefix` tokens."""
    return len(group.prompt.tokens) - prefix + sum(max(len(response.tokens) - 1, 0) for response in group.responses)


def longest_response(groups: Sequence[Group]) -> int:
    """T: tokens of the longest response, at least 1."""
    return max(1, *(len(response.tokens) for group in groups for response in group.responses))


def response_mask(groups: Sequence[Group]) -> Tensor:
    """1 on response tokens, 0 on padding. [P, G, T] float32"""
    lengths = torch.tensor([[len(response.tokens) for response in group.responses] for group in groups])  # [P, G]
    return (torch.arange(longest_response(groups)) < lengths[..., None]).float()


def sampled_logprob(groups: Sequence[Group], length: int) -> Tensor:
    """The sampler's log-probs, padded with 0 to `length` tokens. [P, G, length] float32"""
    rows = [[[*r.logprobs, *[0.0] * (length - len(r.logprobs))] for r in group.responses] for group in groups]
    return torch.tensor(rows)


def micro_batches(lengths: Sequence[int], budget: int, at_least: int = 1) -> list[list[int]]:
    """Split group indices into micro-batches of at most `budget` tokens.

    Groups of similar length go together; a group over the budget gets a micro-batch of its own. The largest
    micro-batches are halved until there are `at_least`, so that all ranks run equally many.
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


def _level(segments: Sequence[tuple[int, Sequence[int]]], parent: Level | None) -> Level:
    """The level of segments given as (position of the first token, tokens)."""
    width = max(1, *(len(tokens) for _, tokens in segments))
    first = torch.tensor([at for at, _ in segments])  # [S]
    length = torch.tensor([len(tokens) for _, tokens in segments])  # [S]
    index = torch.arange(width)
    position, real = first[:, None] + index, index < length[:, None]  # [S, W]
    key_position, key_real = position, real
    if parent is not None:
        count = len(segments)
        key_position = torch.cat([broadcast_to_children(parent.key_position, count), position], 1)
        key_real = torch.cat([broadcast_to_children(parent.key_real, count), real], 1)
    slot = real.flatten().nonzero().squeeze(-1)
    return Level(parent.end if parent else 0, position, real, slot, key_position, key_real)


def broadcast_to_children(values: Tensor, count: int) -> Tensor:
    """Expand a level's values to the `count` segments of the next level. [S, M, ...] -> [count, M, ...]"""
    children = count // len(values)
    return values[:, None].expand(-1, children, *values.shape[1:]).flatten(0, 1)
