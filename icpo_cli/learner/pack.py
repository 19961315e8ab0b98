"""Groups to rows: the prompt once, its G responses behind it, each seeing the prompt and itself.

    tokens      p0 p1 p2 | a0 a1 | b0 b1 b2
    positions    0  1  2 |  3  4 |  3  4  5
    segment      0  0  0 |  1  1 |  2  2  2

The model predicts the first token of every response from the prompt's last token, and each later
token from the one before it; a response's last token predicts nothing and is left out of the row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from icpo_cli.records import Group

PADDING = -1
"""Segment of padding: it sees only itself, so that no row of the mask is empty."""


@dataclass(frozen=True)
class Packed:
    """A micro-batch: B rows of L tokens, and where the N response tokens are predicted and belong."""

    input_ids: Tensor  # [B, L]
    position_ids: Tensor  # [B, L]
    segment: Tensor  # [B, L] 0 prompt, 1..G responses, -1 padding
    source: Tensor  # [N] index into the B*L hidden states that predicts each response token
    target: Tensor  # [N] the response token
    slot: Tensor  # [N] index into a [B, G, T] tensor where the token belongs
    shape: tuple[int, int, int]  # B, G, T

    def to(self, device: torch.device) -> "Packed":
        tensors = {name: value.to(device) for name, value in vars(self).items() if name != "shape"}
        return Packed(**tensors, shape=self.shape)

    def unpack(self, values: Tensor) -> Tensor:
        """Values of the response tokens to their places, 0 elsewhere. [N] -> [B, G, T]"""
        rows, group, length = self.shape
        return values.new_zeros(rows * group * length).index_copy(0, self.slot, values).view(self.shape)


def row_length(group: Group) -> int:
    """Tokens that a group takes in its row."""
    return len(group.prompt.tokens) + sum(max(len(response.tokens) - 1, 0) for response in group.responses)


def pack(groups: Sequence[Group]) -> Packed:
    """One row a group, padded to the longest."""
    width = max(row_length(group) for group in groups)
    group_size, longest = len(groups[0].responses), longest_response(groups)
    rows = [_row(group) for group in groups]
    source: list[int] = []
    target: list[int] = []
    slot: list[int] = []
    for row, group in enumerate(groups):
        last_of_prompt = row * width + len(group.prompt.tokens) - 1
        start = last_of_prompt + 1
        for member, response in enumerate(group.responses):
            count = len(response.tokens)
            source += [last_of_prompt, *range(start, start + count - 1)][:count]
            target += response.tokens
            slot += range((row * group_size + member) * longest, (row * group_size + member) * longest + count)
            start += max(count - 1, 0)
    return Packed(
        input_ids=_padded([tokens for tokens, _, _ in rows], width, 0),
        position_ids=_padded([positions for _, positions, _ in rows], width, 0),
        segment=_padded([segments for _, _, segments in rows], width, PADDING),
        source=torch.tensor(source, dtype=torch.long),
        target=torch.tensor(target, dtype=torch.long),
        slot=torch.tensor(slot, dtype=torch.long),
        shape=(len(groups), group_size, longest),
    )


def _row(group: Group) -> tuple[list[int], list[int], list[int]]:
    """Tokens, positions and segments of a group's row."""
    prompt = group.prompt.tokens
    tokens, positions, segments = list(prompt), list(range(len(prompt))), [0] * len(prompt)
    for number, response in enumerate(group.responses, 1):
        inputs = response.tokens[:-1]
        tokens += inputs
        positions += range(len(prompt), len(prompt) + len(inputs))
        segments += [number] * len(inputs)
    return tokens, positions, segments


def _padded(rows: list[list[int]], width: int, fill: int) -> Tensor:
    return torch.tensor([row + [fill] * (width - len(row)) for row in rows])


def longest_response(groups: Sequence[Group]) -> int:
    """T: tokens of the longest response, at least 1."""
    return max(1, *(len(response.tokens) for group in groups for response in group.responses))


def response_mask(groups: Sequence[Group]) -> Tensor:
    """1 on response tokens. [P, G, T] float32"""
    lengths = torch.tensor([[len(response.tokens) for response in group.responses] for group in groups])  # [P, G]
    return (torch.arange(longest_response(groups)) < lengths[..., None]).float()


def sees(segment: Tensor) -> Tensor:
    """Which token (row) sees which (column): itself, its own past, and the prompt's. [B, L] -> bool [B, 1, L, L]"""
    length = segment.shape[1]
    past = torch.ones(length, length, dtype=torch.bool, device=segment.device).tril()  # [L, L]
    own = segment[:, :, None] == segment[:, None, :]  # [B, L, L]
    prompt = (segment[:, None, :] == 0) & (segment[:, :, None] != PADDING)  # [B, L, L]
    alone = torch.eye(length, dtype=torch.bool, device=segment.device)  # [L, L]
    real = segment[:, :, None] != PADDING  # [B, L, 1]
    return torch.where(real, past & (own | prompt), alone)[:, None]


def micro_batches(lengths: Sequence[int], budget: int, at_least: int = 1) -> list[list[int]]:
    """Indices of rows, cut into micro-batches of at most `budget` tokens, padding included.

    Rows of like length go together; a row over the budget goes alone. `at_least` micro-batches are
    made by halving the largest, so that every rank can run as many as the rank that needs most.
    """
    order = sorted(range(len(lengths)), key=lambda index: (-lengths[index], index))
    batches: list[list[int]] = []
    for index in order:
        # Sorted by falling length, so the first row of a micro-batch sets its width.
        if batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= budget:
            batches[-1].append(index)
        else:
            batches.append([index])
    while len(batches) < min(at_least, len(lengths)):
        largest = max(range(len(batches)), key=lambda i: len(batches[i]))
        half = len(batches[largest]) // 2
        batches[largest : largest + 1] = [batches[largest][:half], batches[largest][half:]]
    return batches
