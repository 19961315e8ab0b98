"""Tensors with one row per group, [P, ...], and LogProbs made of them: select, concatenate, reorder."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from icpo_cli.records import LogProbs


def select(logprobs: LogProbs, indices: Sequence[int]) -> LogProbs:
    """The groups at `indices`."""
    rows: dict[str, Any] = {name: values[indices] for name, values in _tensors(logprobs).items()}
    return replace(logprobs, **rows)


def resize(logprobs: LogProbs, length: int) -> LogProbs:
    """Pad with zeros, or cut off padding, to `length` tokens."""
    resized: dict[str, Any] = {
        name: pad(values, (0, length - values.shape[-1])) for name, values in _tensors(logprobs).items()
    }
    return replace(logprobs, **resized)


def concat(parts: Sequence[LogProbs], rows: Sequence[int]) -> LogProbs:
    """Concatenate along the groups, padded to the longest, then take `rows`."""
    joined: dict[str, Any] = {
        name: concat_tensors([vars(part)[name] for part in parts], rows) for name in _tensors(parts[0])
    }
    return replace(parts[0], **joined)


def concat_tensors(parts: Sequence[Tensor], rows: Sequence[int]) -> Tensor:
    """Concatenate [P, ..., T] tensors along the groups, padded to the longest, then take `rows`."""
    longest = max(part.shape[-1] for part in parts)
    return torch.cat([pad(part, (0, longest - part.shape[-1])) for part in parts])[rows]


def original_order(indices: Iterable[Sequence[int]]) -> list[int]:
    """The rows that undo a split: for parts with the groups at `indices`, their order after concatenation."""
    flat = list(chain.from_iterable(indices))
    return sorted(range(len(flat)), key=flat.__getitem__)


def _tensors(logprobs: LogProbs) -> dict[str, Tensor]:
    """The fields that are not None."""
    return {name: values for name, values in vars(logprobs).items() if values is not None}
