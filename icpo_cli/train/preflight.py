"""Everything a user can have got wrong, looked at before an engine starts."""

import os
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase

from icpo_cli.config.check import check
from icpo_cli.config.schema import Config
from icpo_cli.data.prompts import PromptSet, load_prompts
from icpo_cli.errors import UserError
from icpo_cli.evaluate.in_loop import Subset, load_subsets
from icpo_cli.model import Architecture, locate, read_config
from icpo_cli.rewards.verifier import Verifier
from icpo_cli.train.plan import check_lengths


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


def preflight(config: Config, ranks: int) -> Prepared:
    """Raises UserError, one line, for the first mistake found."""
    check(config, ranks)
    check_writable(Path(config.train.output_dir))
    model = locate(config.model)
    check_lengths(config, Architecture.of(read_config(model)).max_position_embeddings)
    tokenizer = AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    benchmarks = load_subsets(config, tokenizer)
    verifier = Verifier(config.reward)
    try:
        prompts = load_prompts(config, tokenizer, verifier.check_golds)
    except BaseException:
        verifier.close()
        raise
    return Prepared(model, tokenizer, prompts, benchmarks, verifier)


def check_writable(folder: Path) -> None:
    """The folder can be made, and written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"train.output_dir: {folder}: cannot be made: {error.strerror}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"train.output_dir: {folder}: cannot be written to")
