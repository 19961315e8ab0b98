"""Measure the learner on one GPU, without vLLM and without a network; see scripts/gpu_check.

Prints one table. Where $OUT is set, the rows are also written to $OUT/gpu_check.json. Exit status 1 if a row failed.
"""

import argparse
import inspect
import os
import sys
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from icpo_cli.learner import attention, varlen_attention
from scripts.gpu.attention import check_attention
from scripts.gpu.equality import check_equality
from scripts.gpu.passes import check_logits, check_pass, check_trl_form, print_profile
from scripts.gpu.table import Table, seconds
from scripts.gpu.updates import check_updates
from scripts.gpu.workload import Device, model_config, paper_groups


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="tiny models and short texts, for a CPU")
    parser.add_argument("--profile", action="store_true", help="also print the kernels that take the most time")
    options = parser.parse_args()
    device = Device("cuda" if torch.cuda.is_available() and not options.tiny else "cpu", options.tiny)
    if device.type == "cpu" and not device.tiny:
        parser.error("torch sees no GPU here; --tiny runs the checks on a CPU")
    if device.tiny:
        torch.set_num_threads(1)
    allow_older_torch()
    table = Table()
    peak = measure_peak(table, device)
    parts: list[Callable[[], object]] = [
        lambda: check_equality(table, device),
        lambda: check_attention(table, device, varlen),
        lambda: check_sizes(table, device, peak, options.profile),
        lambda: check_updates(table, device, peak),
    ]
    for part in parts:
        run(table, part)
    print(f"\n{table.markdown()}")
    if out := os.environ.get("OUT"):
        table.write(Path(out) / "gpu_check.json")
    return int(table.failed > 0)


def run(table: Table, part: Callable[[], object]) -> None:
    """A part that fails is a row; the other parts still run."""
    try:
        part()
    except Exception as error:
        traceback.print_exc()
        table.add("a check stopped with an error", f"{type(error).__name__}: {error}".splitlines()[0][:150], "", False)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def measure_peak(table: Table, device: Device) -> float:
    """FLOP/s of the product of two large matrices in the device's dtype."""
    side = 256 if device.tiny else 8192
    a, b = (torch.randn(side, side, device=device.type, dtype=device.dtype) for _ in range(2))
    peak = 2 * side**3 / seconds(lambda: a @ b, 10)
    name = torch.cuda.get_device_name() if device.type == "cuda" else "CPU"
    table.add("machine", f"{name}, torch {torch.__version__}, matrix product of {side}: {peak / 1e12:.1f} TFLOP/s")
    return peak


def check_sizes(table: Table, device: Device, peak: float, with_profile: bool) -> None:
    small, large = ("tiny", "tiny") if device.tiny else ("1.5B", "7B")
    policy = check_pass(table, device, peak, small, 3, False)
    check_logits(table, device, policy, 64 if device.tiny else 12288)
    check_trl_form(table, device, policy, paper_groups(3, model_config(small).vocab_size, device))
    del policy
    with varlen(False):
        run(table, lambda: check_pass(table, device, peak, large, 5, True))
    check_pass(table, device, peak, large, 5, True)
    policy = check_pass(table, device, peak, large, 1, False)
    if with_profile:
        print_profile(policy, paper_groups(1, model_config(large).vocab_size, device), device)
    del policy
    if not device.tiny:
        run(table, lambda: check_pass(table, device, peak, "Gemma2-2B", 1, True))
        if torch.cuda.get_device_properties(0).total_memory > 100 * 2**30:
            run(table, lambda: check_pass(table, device, peak, "14B", 5, True))


def varlen(on: bool) -> AbstractContextManager[object]:
    """A context in which attention runs with masks, if `on` is False."""
    return nullcontext() if on else mock.patch.object(attention, "uses_varlen", lambda query, softcap: False)


def allow_older_torch() -> None:
    """Before 2.12 varlen_attn has no parameter enable_gqa, though its kernel shares key heads."""
    original = varlen_attention.varlen_attn
    if "enable_gqa" not in inspect.signature(original).parameters:

        def without_flag(*arguments: Any, enable_gqa: bool, **named: Any) -> Any:
            return original(*arguments, **named)

        varlen_attention.varlen_attn = without_flag


if __name__ == "__main__":
    sys.exit(main())
