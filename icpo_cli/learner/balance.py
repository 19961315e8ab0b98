"""Compute cost of groups, and balancing them over ranks: in every mini-batch, all ranks wait for the slowest."""

from collections.abc import Sequence

from icpo_cli.learner.pack import packed_length, shared_prefix
from icpo_cli.models.sizes import Architecture
from icpo_cli.records import Group


def cost_of(group: Group, hidden_size: int) -> float:
    """Cost of a forward and backward over a group, in tokens without attention.

    A layer has 12 H^2 weights per token, and 2 H multiplications for each (query, key) pair of attention.
    """
    prompt, lengths = len(group.prompt.tokens), [max(len(response.tokens) - 1, 0) for response in group.responses]
    pairs = prompt * (prompt + 1) / 2 + sum(length * prompt + length * (length + 1) / 2 for length in lengths)
    return packed_length(group, 0) + pairs / (6 * hidden_size)


def forward_flops(groups: Sequence[Group], sizes: Architecture) -> float:
    """Matmul FLOPs of a forward pass, each token counted once, also those of the prompts' shared prefix.

    Body weights per token, LM head weights per response token, and attention per pair of query and key.
    """
    prefix = shared_prefix(groups)
    tokens = prefix + sum(packed_length(group, prefix) for group in groups)
    predicted = sum(len(response.tokens) for group in groups for response in group.responses)
    pairs = prefix * (prefix + 1) / 2
    for group in groups:
        prompt = len(group.prompt.tokens)
        pairs += (prompt * (prompt + 1) - prefix * (prefix + 1)) / 2
        for response in group.responses:
            inputs = len(response.tokens) - 1
            pairs += inputs * prompt + inputs * (inputs + 1) / 2
    lm_head = sizes.vocab_size * sizes.hidden_size
    body = sizes.parameters - lm_head * (1 if sizes.tie_word_embeddings else 2)
    attention = 4 * sizes.num_hidden_layers * sizes.num_attention_heads * sizes.head_dim * pairs
    return 2 * body * tokens + 2 * lm_head * predicted + attention


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
