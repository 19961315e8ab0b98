"""Attention at the sizes of a 7B model: each implementation's time for a layer, forward and backward."""

from collections.abc import Callable
from typing import Any

import torch

from icpo_cli.learner.attention import prefix_tree_attention
from icpo_cli.learner.pack import pack
from icpo_cli.learner.prefix_tree import PrefixTree
from icpo_cli.records import Group
from scripts.gpu.table import Table, peak_gib, reset_peak, seconds
from scripts.gpu.workload import Device, paper_groups


def check_attention(table: Table, device: Device, with_varlen: Callable[[bool], Any]) -> None:
    """`with_varlen(False)`: a context in which the masked implementation runs instead."""
    heads, key_heads, size = (4, 2, 16) if device.tiny else (28, 4, 128)
    groups = paper_groups(2 if device.tiny else 5, 4096, device)
    packed = pack(groups).to(torch.device(device.type))
    tokens = packed.input_ids.shape[1]
    query, key, value = (
        torch.randn(1, count, tokens, size, device=device.type, dtype=device.dtype, requires_grad=True)
        for count in (heads, key_heads, key_heads)
    )
    flops = 3.5 * 4 * heads * size * visible_pairs(groups)  # forward 1, backward 2.5
    outputs = {}
    for varlen in (False, True):
        tree = PrefixTree(packed.levels)

        def forward(tree: PrefixTree = tree) -> torch.Tensor:
            return prefix_tree_attention(torch.nn.Module(), query, key, value, None, tree, size**-0.5)[0]

        def both(forward: Callable[[], torch.Tensor] = forward) -> None:
            forward().sum().backward()

        with with_varlen(varlen):
            before = reset_peak()
            took = seconds(both)
            outputs[varlen] = forward().detach()
        fast = flops / took / 1e12
        table.add(
            f"attention of a layer, {tokens:,} tokens, {'varlen' if varlen else 'with masks'}",
            f"{took * 1e3:.1f} ms, {fast:.0f} TFLOP/s, {peak_gib() - before:.1f} GiB",
            "over 150 TFLOP/s" if varlen and device.type == "cuda" else "",
            fast > 150 if varlen and device.type == "cuda" else None,
        )
    difference = float((outputs[True] - outputs[False]).float().abs().max())
    table.add("  largest difference of the two", f"{difference:.1e}", "below 0.02", difference < 0.02)


def visible_pairs(groups: list[Group]) -> float:
    """Pairs of a query and a key that it sees, prompts counted once for each group."""
    pairs = 0.0
    for group in groups:
        prompt = len(group.prompt.tokens)
        pairs += prompt * (prompt + 1) / 2
        for response in group.responses:
            inputs = len(response.tokens) - 1
            pairs += inputs * prompt + inputs * (inputs + 1) / 2
    return pairs
