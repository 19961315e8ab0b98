"""TRL's GRPOTrainer on CPU, every completion of exactly as many tokens: iteration_trl.py ORDER.json -> RESULT line."""

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
    """Seconds of each step."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self._start = time.perf_counter()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def is_right(completions: list[str], gold: list[str], **_: Any) -> list[float]:
    """Next to no time, as icpo's grader takes of such answers."""
    return [float(answer in text) for text, answer in zip(completions, gold, strict=True)]


def main(order: dict[str, Any]) -> None:
    torch.set_num_threads(order["threads"])
    responses = order["prompts"] * order["group_size"]
    settings = GRPOConfig(
        output_dir=order["folder"],
        use_cpu=True,
        bf16=True,
        num_generations=order["group_size"],
        per_device_train_batch_size=order["rows"],
        gradient_accumulation_steps=responses // order["rows"],
        max_completion_length=order["tokens"],
        generation_kwargs={"min_new_tokens": order["tokens"]},
        beta=order["kl_coef"],
        learning_rate=order["learning_rate"],
        lr_scheduler_type="constant",
        max_steps=order["iterations"],
        optim="adamw_torch_fused",
        gradient_checkpointing=False,
        model_init_kwargs={"dtype": order["dtype"]},
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(order["model"])
    texts = [tokenizer.decode(tokens) for tokens in order["prompt_tokens"]]
    again = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert again == order["prompt_tokens"], "the prompts are not the same"
    clock = Clock()
    trainer = GRPOTrainer(
        model=order["model"],
        reward_funcs=is_right,
        args=settings,
        train_dataset=Dataset.from_dict({"prompt": texts, "gold": order["golds"]}),
        processing_class=tokenizer,
        callbacks=[clock],
    )
    trainer.train()
    lengths = [
        entry["completions/mean_length"] for entry in trainer.state.log_history if "completions/mean_length" in entry
    ]
    assert all(length == order["tokens"] for length in lengths), f"completions of {lengths} tokens"
    peak_gib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print("RESULT", json.dumps({"seconds": clock.seconds, "peak_gib": peak_gib}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
