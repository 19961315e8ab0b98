"""Run TRL's GRPOTrainer on CPU with completions of a fixed length: iteration_trl.py JOB.json -> RESULT line."""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer


class Clock(TrainerCallback):
    """Measure the seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._start = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def is_correct(completions: list[str], gold: list[str], **_: Any) -> list[float]:
    """Reward by substring: it takes almost no time, like icpo's grading of such answers."""
    return [float(answer in text) for text, answer in zip(completions, gold, strict=True)]


def main(job: dict[str, Any]) -> None:
    torch.set_num_threads(job["threads"])
    responses = job["prompts"] * job["group_size"]
    settings = GRPOConfig(
        output_dir=job["folder"],
        use_cpu=True,
        bf16=True,
        num_generations=job["group_size"],
        per_device_train_batch_size=job["rows"],
        gradient_accumulation_steps=responses // job["rows"],
        max_completion_length=job["tokens"],
        generation_kwargs={"min_new_tokens": job["tokens"]},
        beta=job["kl_coef"],
        learning_rate=job["learning_rate"],
        lr_scheduler_type="constant",
        max_steps=job["iterations"],
        optim="adamw_torch_fused",
        gradient_checkpointing=False,
        model_init_kwargs={"dtype": job["dtype"]},
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    texts = [tokenizer.decode(tokens) for tokens in job["prompt_tokens"]]
    encoded = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert encoded == job["prompt_tokens"], "the prompts differ from icpo's"
    clock = Clock()
    trainer = GRPOTrainer(
        model=job["model"],
        reward_funcs=is_correct,
        args=settings,
        train_dataset=Dataset.from_dict({"prompt": texts, "gold": job["golds"]}),
        processing_class=tokenizer,
        callbacks=[clock],
    )
    trainer.train()
    lengths = [
        entry["completions/mean_length"] for entry in trainer.state.log_history if "completions/mean_length" in entry
    ]
    assert all(length == job["tokens"] for length in lengths), f"completions of {lengths} tokens"
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print("RESULT", json.dumps({"seconds": clock.seconds, "peak_gib": peak_gib}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
