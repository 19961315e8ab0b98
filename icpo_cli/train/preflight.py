"""Check everything that a user can get wrong before an engine starts, and load the inputs of the run."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from icpo_cli.config.schema import Config, RolloutConfig
from icpo_cli.data.prompts import PromptSet, fingerprint, load_prompts
from icpo_cli.data.templates import plain_tokens
from icpo_cli.device import device_profile
from icpo_cli.errors import UserError
from icpo_cli.evaluate.evaluator import benchmark_tasks
from icpo_cli.evaluate.plan import Task, heldout_task
from icpo_cli.evaluate.prepare import check_writable
from icpo_cli.grading.verifier import Verifier
from icpo_cli.models.locate import locate, read_config
from icpo_cli.models.sizes import Architecture, check_cache, check_lengths
from icpo_cli.rewards.reference import reference_tokens
from icpo_cli.rewards.registry import REWARD_SOURCES
from icpo_cli.rewards.shuffle import shuffle_golds, unmoved
from icpo_cli.train.check import check


@dataclass(frozen=True)
class TrainInputs:
    """Inputs of a training run, checked."""

    model: Path
    """Folder of the initial model."""
    tokenizer: PreTrainedTokenizerBase
    prompts: PromptSet
    tasks: tuple[Task, ...]
    """Evaluated between iterations: benchmarks, then the held-out questions."""
    verifier: Verifier
    """The caller closes it."""
    golds_unmoved: int
    """Training prompts whose gold answer kept its text: all of them unless reward.control shuffles the gold answers."""


def preflight(config: Config, ranks: int) -> TrainInputs:
    """Check and load. Raises UserError, one line, for the first mistake found."""
    check(config, ranks)
    check_writable(Path(config.train.output_dir), "train.output_dir")
    if config.train.shared_start is not None:
        check_writable(Path(config.train.shared_start), "train.shared_start")
    model = locate(config.model)
    architecture = Architecture.of(read_config(model))
    positions = architecture.max_position_embeddings
    check_lengths(config, positions)
    if device_profile(config).type == "cpu":
        check_cache(config, architecture)
    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    tasks = benchmark_tasks(config, tokenizer)
    verifier = Verifier(config.reward)
    try:
        prompts = load_prompts(config, tokenizer, verifier.check_golds)
        if REWARD_SOURCES[config.reward.source].needs_reference_tokens:
            check_references(prompts, tokenizer, config.rollout, positions)
    except BaseException:
        verifier.close()
        raise
    if prompts.heldout:
        tasks.append(heldout_task(config, prompts.heldout))
    graded = controlled(prompts, config)
    return TrainInputs(model, tokenizer, graded, tuple(tasks), verifier, unmoved(prompts.train, graded.train))


def controlled(prompts: PromptSet, config: Config) -> PromptSet:
    """The prompts with the gold answers that training grades by: shuffled if reward.control says so."""
    if config.reward.control != "shuffled_golds":
        return prompts
    train = shuffle_golds(prompts.train, config.seed)
    return replace(prompts, train=train, fingerprint=fingerprint((*train, *prompts.heldout)))


def check_references(
    prompts: PromptSet, tokenizer: PreTrainedTokenizerBase, rollout: RolloutConfig, positions: int
) -> None:
    """Raise UserError if a gold answer does not fit into a response, or after one into the context of the model."""
    limit = rollout.max_response_tokens
    for prompt in prompts.train:
        tokens = len(reference_tokens(prompt, partial(plain_tokens, tokenizer)))
        if tokens > limit:
            raise UserError(
                f"data.train: the answer of question {prompt.id} has {tokens} tokens, over rollout.max_response_tokens "
                f"{limit}: it does not fit into a response"
            )
        if rollout.max_prompt_tokens + limit + tokens > positions:
            raise UserError(
                f"data.train: the answer of question {prompt.id} has {tokens} tokens: after rollout.max_prompt_tokens "
                f"{rollout.max_prompt_tokens} + rollout.max_response_tokens {limit} it exceeds the model's {positions} "
                f"positions"
            )
