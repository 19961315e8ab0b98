"""Everything a user can have got wrong, looked at before an engine starts."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from icpo_cli.config.check import check
from icpo_cli.config.schema import Config, RolloutConfig
from icpo_cli.data.prompts import PromptSet, fingerprint, load_prompts
from icpo_cli.data.templates import plain_tokens
from icpo_cli.device import device_profile
from icpo_cli.errors import UserError
from icpo_cli.evaluate.in_loop import Subset, load_subsets
from icpo_cli.evaluate.prepare import check_writable
from icpo_cli.grading.verifier import Verifier
from icpo_cli.models.locate import Architecture, locate, read_config
from icpo_cli.models.sizes import check_cache, check_lengths
from icpo_cli.rewards.reference import reference_tokens
from icpo_cli.rewards.shuffle import shuffle_golds, unmoved
from icpo_cli.rewards.sources import NEED_REFERENCE


@dataclass(frozen=True)
class Prepared:
    """What was found: the model's folder, its tokenizer, the prompts."""

    model: Path
    tokenizer: PreTrainedTokenizerBase
    prompts: PromptSet
    benchmarks: tuple[Subset, ...]
    """Asked beside the held-out questions."""
    verifier: Verifier
    """Whoever asked for it closes it."""
    golds_unmoved: int
    """Training prompts whose gold answer has the text of their own: all, unless reward.control shuffles golds."""


def preflight(config: Config, ranks: int) -> Prepared:
    """Raises UserError, one line, for the first mistake found."""
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
    benchmarks = load_subsets(config, tokenizer)
    verifier = Verifier(config.reward)
    try:
        prompts = load_prompts(config, tokenizer, verifier.check_golds)
        if config.reward.source in NEED_REFERENCE:
            check_references(prompts, tokenizer, config.rollout, positions)
    except BaseException:
        verifier.close()
        raise
    graded = controlled(prompts, config)
    return Prepared(model, tokenizer, graded, benchmarks, verifier, unmoved(prompts.train, graded.train))


def controlled(prompts: PromptSet, config: Config) -> PromptSet:
    """As training grades them: with other prompts' golds, where reward.control asks for that."""
    if config.reward.control != "shuffled_golds":
        return prompts
    train = shuffle_golds(prompts.train, config.seed)
    return replace(prompts, train=train, fingerprint=fingerprint((*train, *prompts.heldout)))


def check_references(
    prompts: PromptSet, tokenizer: PreTrainedTokenizerBase, rollout: RolloutConfig, positions: int
) -> None:
    """A gold answer that is to stand in a response fits into one, and behind one into the model's context."""
    limit = rollout.max_response_tokens
    for prompt in prompts.train:
        tokens = len(reference_tokens(prompt, partial(plain_tokens, tokenizer)))
        if tokens > limit:
            raise UserError(
                f"data.train: the answer of question {prompt.id} has {tokens} tokens, over rollout.max_response_tokens "
                f"{limit}: it cannot stand in a response"
            )
        if rollout.max_prompt_tokens + limit + tokens > positions:
            raise UserError(
                f"data.train: the answer of question {prompt.id} has {tokens} tokens: behind rollout.max_prompt_tokens "
                f"{rollout.max_prompt_tokens} + rollout.max_response_tokens {limit} it is over the model's {positions} "
                f"positions"
            )
