"""vLLM's compiled norms against the formula, in a separate process: vLLM reads its settings at import."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.engine

CHECK = """
import torch
from icpo_cli.rollout.cpu_kernels import KERNEL_CONFIG, PROVIDER, fused_add_rms_norm, rms_norm
from vllm import ir
from vllm.platforms import current_platform

current_platform.import_kernels()

torch.manual_seed(0)
for dtype, tolerance in ((torch.float32, 1e-6), (torch.bfloat16, 8e-3)):
    for shape in ((3, 576), (2, 4, 64)):
        x, residual = torch.randn(shape, dtype=dtype), torch.randn(shape, dtype=dtype)
        weight = torch.rand(shape[-1], dtype=dtype) + 0.5
        def expected(x):
            x = x.double()
            return x / (x.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt() * weight.double()
        out = rms_norm.impl_fn(x, weight, 1e-5)
        torch.testing.assert_close(out.double(), expected(x), rtol=tolerance, atol=tolerance)
        total = (x.float() + residual.float()).to(dtype)
        out, added = fused_add_rms_norm.impl_fn(x.clone(), residual.clone(), weight, 1e-5)
        torch.testing.assert_close(added, total)
        torch.testing.assert_close(out.double(), expected(total), rtol=2 * tolerance, atol=2 * tolerance)
with ir.ops.rms_norm.set_priority(KERNEL_CONFIG["ir_op_priority"]["rms_norm"]):
    for x, weight, provider in (
        (torch.randn(2, 8), torch.ones(8), PROVIDER),
        (torch.randn(2, 8), torch.ones(8, dtype=torch.bfloat16), "native"),
        (torch.randn(8, 2).T, torch.ones(8), "native"),
    ):
        assert ir.ops.rms_norm.dispatch(x, weight, 1e-5, None).provider == provider
"""


def test_the_norms_match_the_formula_and_reject_unsupported_arguments() -> None:
    done = subprocess.run([sys.executable, "-c", CHECK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
