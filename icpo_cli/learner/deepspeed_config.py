"""DeepSpeed's configuration for the learner's settings."""

from typing import Any

import torch

from icpo_cli.config.schema import LearnerConfig


def deepspeed_config(learner: LearnerConfig, stage: int, dtype: torch.dtype, ranks: int) -> dict[str, Any]:
    """`stage`: the ZeRO stage, from `learner.zero_stage` or the device's default."""
    # On one rank stage 2 partitions nothing, and copies each gradient once more than stage 1.
    stage = 1 if stage == 2 and ranks == 1 else stage
    low_precision = dtype == torch.bfloat16
    # DeepSpeed has no float32 gradient accumulation for bfloat16 weights without ZeRO.
    accumulated = "fp32" if stage > 0 or not low_precision else "bf16"
    return {
        # Micro-batches are formed by the learner, one forward each; these two sizes have no effect.
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        # engine.step() is the accumulation boundary: an update has as many micro-batches as its tokens need.
        "managed_gradient_accumulation": False,
        "gradient_clipping": 0.0 if clips_in_optimizer(stage, dtype) else learner.max_grad_norm,
        # Below ZeRO 2, each gradient is added to its float32 buffer at once, and none waits in bfloat16.
        "bf16": {"enabled": low_precision, "immediate_grad_update": low_precision},
        "zero_optimization": {"stage": stage, "overlap_comm": False},
        # Precision of the sum over micro-batches, and of the reduction over ranks.
        "data_types": {"grad_accum_dtype": accumulated},
        "communication_data_type": accumulated,
        "zero_allow_untested_optimizer": True,
        "steps_per_print": 10**9,
    }


def clips_in_optimizer(stage: int, dtype: torch.dtype) -> bool:
    """True for float32 without ZeRO: DeepSpeed would clip there, but does not report the gradient norm."""
    return stage == 0 and dtype == torch.float32
