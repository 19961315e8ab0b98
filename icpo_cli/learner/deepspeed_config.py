"""The learner's settings in DeepSpeed's words."""

from typing import Any

import torch

from icpo_cli.config.schema import LearnerConfig


def deepspeed_config(learner: LearnerConfig, stage: int, dtype: torch.dtype, ranks: int) -> dict[str, Any]:
    """`stage`: ZeRO's, as `learner` has it or the device."""
    # Alone, stage 2 shares out nothing, and copies each gradient once more than stage 1.
    stage = 1 if stage == 2 and ranks == 1 else stage
    low_precision = dtype == torch.bfloat16
    # DeepSpeed offers no float32 accumulation beside bfloat16 weights without ZeRO.
    accumulated = "fp32" if stage > 0 or not low_precision else "bf16"
    return {
        # One forward is one micro-batch of ours, whatever its rows: sizes here are only formal.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        # step() is the boundary: an update has as many micro-batches as its tokens need.
        "managed_gradient_accumulation": False,
        "gradient_clipping": 0.0 if runs_optimizer_bare(stage, dtype) else learner.max_grad_norm,
        # Without ZeRO 2: each gradient goes into float32 as it comes, and does not wait in bfloat16 for the others.
        "bf16": {"enabled": low_precision, "immediate_grad_update": low_precision},
        "zero_optimization": {"stage": stage, "overlap_comm": False},
        # Over micro-batches, and over ranks.
        "data_types": {"grad_accum_dtype": accumulated},
        "communication_data_type": accumulated,
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**9,
    }


def runs_optimizer_bare(stage: int, dtype: torch.dtype) -> bool:
    """Float32 without ZeRO: DeepSpeed runs the optimiser bare, and would clip without telling the norm."""
    return stage == 0 and dtype == torch.float32
