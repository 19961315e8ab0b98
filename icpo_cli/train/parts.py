"""All that the loop works with, in one record."""

from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from icpo_cli.config.schema import Config
from icpo_cli.data.prompts import PromptSet
from icpo_cli.distributed import Ranks
from icpo_cli.evaluate.evaluator import Evaluator
from icpo_cli.evaluate.in_loop import Subset
from icpo_cli.grading.verifier import Verifier
from icpo_cli.interrupt import StopSignal
from icpo_cli.learner.learner import Learner
from icpo_cli.rollout.sampler import Sampler
from icpo_cli.runs.checkpoints import Checkpoints
from icpo_cli.train.observer import Observer
from icpo_cli.train.record import RunRecord


@dataclass(frozen=True)
class Parts:
    """Of one rank."""

    config: Config
    prompts: PromptSet
    benchmarks: tuple[Subset, ...]
    tokenizer: PreTrainedTokenizerBase
    sampler: Sampler
    verifier: Verifier
    evaluator: Evaluator
    learner: Learner
    process_model: Learner | None
    """Behind rewards by token; None where the method has none."""
    ranks: Ranks
    record: RunRecord | None
    """Rank 0's."""
    checkpoints: Checkpoints
    observer: Observer
    stop: StopSignal
