"""Tensors with a row a group, [P, ...], alone and as fields of a record: some rows, and several tensors as one."""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, TypeVar

import torch
from torch.nn.functional import pad

R = TypeVar("R")


def rows_of(record: R, places: Sequence[int], length: int) -> R:
    """Some groups, cut to so many tokens. Of fields [P, G, T], or None."""
    return type(record)(**{name: None if v is None else v[places, :, :length] for name, v in vars(record).items()})


def joined(records: Sequence[R], rows: Sequence[int]) -> R:
    """These rows of all records' one after another."""
    fields = {name: tensors_joined([vars(each)[name] for each in records], rows) for name in vars(records[0])}
    return type(records[0])(**fields)


def tensors_joined(tensors: Sequence[Any], rows: Sequence[int]) -> Any:
    """The same of tensors [P, ..., N], as wide as the widest; None of nothing but None."""
    if tensors[0] is None:
        return None
    widest = max(each.shape[-1] for each in tensors)
    return torch.cat([pad(each, (0, widest - each.shape[-1])) for each in tensors])[rows]


def in_order(places: Iterable[Sequence[int]]) -> list[int]:
    """The rows, of parts with these places one after another, that put each in its place."""
    flat = list(chain.from_iterable(places))
    return sorted(range(len(flat)), key=flat.__getitem__)
