"""Balance groups over ranks by compute cost: in every mini-batch, all ranks wait for the slowest."""

from collections.abc import Sequence

from icpo_cli.learner.pack import packed_length
from icpo_cli.records import Group


def cost_of(group: Group, hidden_size: int) -> float:
    """Cost of a forward and backward over a group, in tokens without attention.

    A layer has 12 H^2 weights per token, and 2 H multiplications for each (query, key) pair of attention.
    """
    prompt, lengths = len(group.prompt.tokens), [max(len(response.tokens) - 1, 0) for response in group.responses]
    pairs = prompt * (prompt + 1) / 2 + sum(length * prompt + length * (length + 1) / 2 for length in lengths)
    return packed_length(group, 0) + pairs / (6 * hidden_size)


def balance_by_cost(costs: Sequence[float], mini_batch: int, ranks: int) -> list[list[int]]:
    """Indices of each rank's groups, ascending; every rank has equally many of each mini-batch.

    Greedy LPT: most expensive group first, to the least-loaded rank with room.
    """
    shares: list[list[int]] = [[] for _ in range(ranks)]
    for start in range(0, len(costs), mini_batch):
        members = range(start, min(start + mini_batch, len(costs)))
        room = len(members) // ranks
        assigned: list[list[int]] = [[] for _ in range(ranks)]
        for index in sorted(members, key=lambda each: (-costs[each], each)):
            free = [rank for rank in range(ranks) if len(assigned[rank]) < room]
            least = min(free, key=lambda rank: (sum(costs[each] for each in assigned[rank]), rank))
            assigned[least].append(index)
        for rank in range(ranks):
            shares[rank] += sorted(assigned[rank])
    return shares
