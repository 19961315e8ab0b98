"""Groups to ranks so that each has about as much to compute in every mini-batch: all wait for the slowest."""

from collections.abc import Sequence

from icpo_cli.learner.pack import own_length
from icpo_cli.records import Group


def cost_of(group: Group, hidden_size: int) -> float:
    """Of a forward and a backward over a group, in tokens without attention.

    A layer multiplies 12 H^2 weights a token, and 2 H numbers for each pair of tokens that attention sees.
    """
    prompt, lengths = len(group.prompt.tokens), [max(len(response.tokens) - 1, 0) for response in group.responses]
    pairs = prompt * (prompt + 1) / 2 + sum(length * prompt + length * (length + 1) / 2 for length in lengths)
    return own_length(group, 0) + pairs / (6 * hidden_size)


def balanced(costs: Sequence[float], mini_batch: int, ranks: int) -> list[list[int]]:
    """For each rank the places it computes, in order; equally many of each mini-batch, a run of `mini_batch` places.

    The dearest first, each to the rank that has least so far and is not full.
    """
    shares: list[list[int]] = [[] for _ in range(ranks)]
    for start in range(0, len(costs), mini_batch):
        members = range(start, min(start + mini_batch, len(costs)))
        room = len(members) // ranks
        given: list[list[int]] = [[] for _ in range(ranks)]
        for place in sorted(members, key=lambda each: (-costs[each], each)):
            free = [rank for rank in range(ranks) if len(given[rank]) < room]
            given[min(free, key=lambda rank: (sum(costs[each] for each in given[rank]), rank))].append(place)
        for rank in range(ranks):
            shares[rank] += sorted(given[rank])
    return shares
