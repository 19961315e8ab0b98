"""The prompts of a run: filtering, rendering, and the order in which iterations use them."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from icpo_cli.config.schema import Config
from icpo_cli.data.sources import load_questions
from icpo_cli.data.templates import TEMPLATES, Tokenizer
from icpo_cli.errors import UserError
from icpo_cli.records import Gold, Prompt, Question
from icpo_cli.rng import stable_hash


@dataclass(frozen=True)
class PromptSet:
    """A run's training and held-out prompts, and what was left out."""

    train: tuple[Prompt, ...]
    heldout: tuple[Prompt, ...]
    too_long: int
    """Training and held-out questions whose prompt is over max_prompt_tokens."""
    also_heldout: int
    """Training questions left out because a held-out question has the same text."""
    unusable: tuple[str, ...]
    """Questions left out because their gold answer cannot be graded, as in "train 17: is empty"."""
    fingerprint: str
    """sha256 over every kept id, question, answer and prompt token."""


CheckGolds = Callable[[Sequence[Gold]], list[str | None]]
"""Returns what is wrong with each gold answer, or None."""


Once = Callable[[Sequence[object], Callable[[], Any]], Any]
"""once(inputs, compute) returns compute(), or its result of an earlier call with equal inputs."""


def load_prompts(
    config: Config, tokenizer: Tokenizer, check_golds: CheckGolds, once: Once = lambda _, compute: compute()
) -> PromptSet:
    """Load, filter and render the questions. Raises UserError on a faulty source, or where no prompt is left."""

    def checked(golds: Sequence[Gold]) -> list[str | None]:
        problems: list[str | None] = once(golds, lambda: check_golds(golds))
        return problems

    found = load_questions(config.data.heldout) if config.data.heldout else []
    found, unusable = _usable(found, "heldout", checked)
    heldout = list({question.text: question for question in reversed(found)}.values())[::-1]
    heldout_texts = {question.text for question in heldout}
    train = load_questions(config.data.train)
    unusable_train: tuple[str, ...] = ()
    if config.data.train.answer_column is not None:
        train, unusable_train = _usable(train, "train", checked)
    unseen = [question for question in train if question.text not in heldout_texts]
    kept_train = _render(unseen, config, tokenizer, once)
    kept_heldout = _render(heldout, config, tokenizer, once)
    for name, kept, before in (("train", kept_train, unseen), ("heldout", kept_heldout, heldout)):
        if not kept and (name == "train" or found):
            raise UserError(
                f"data.{name}: no rows left: {len(before)} of {len(before)} prompts are over "
                f"rollout.max_prompt_tokens {config.rollout.max_prompt_tokens}"
                if before
                else f"data.{name}: no rows left: every question is also a held-out one"
            )
    return PromptSet(
        train=kept_train,
        heldout=kept_heldout,
        too_long=len(unseen) + len(heldout) - len(kept_train) - len(kept_heldout),
        also_heldout=len(train) - len(unseen),
        unusable=(*unusable_train, *unusable),
        fingerprint=fingerprint((*kept_train, *kept_heldout)),
    )


def _usable(
    questions: Sequence[Question], name: str, check_golds: CheckGolds
) -> tuple[list[Question], tuple[str, ...]]:
    """The questions with a usable gold answer, and messages about the others."""
    problems = check_golds([question.gold for question in questions])
    kept = [question for question, problem in zip(questions, problems, strict=True) if problem is None]
    if questions and not kept:
        raise UserError(f"data.{name}: no rows left: each gold answer is unusable; the first {problems[0]}")
    return kept, tuple(f"{name} {q.id}: {p}" for q, p in zip(questions, problems, strict=True) if p is not None)


def iteration_prompts(
    prompts: Sequence[Prompt], seed: int, iteration: int, count: int, round_index: int = 0
) -> list[Prompt]:
    """The `count` prompts of an iteration (from 1): a pure function of seed, iteration and round.

    Epochs follow one another, each its own permutation, so an iteration may span two. Each further round of an
    iteration (`round_index` from 1) has its own sequence of epochs, so the rounds of one iteration do not change the
    prompts of another.
    """
    order = (seed, "order", round_index) if round_index else (seed, "order")
    start = (iteration - 1) * count
    permutations: dict[int, np.ndarray] = {}
    chosen = []
    for position in range(start, start + count):
        epoch, offset = divmod(position, len(prompts))
        if epoch not in permutations:
            permutations[epoch] = np.random.default_rng(stable_hash(*order, epoch)).permutation(len(prompts))
        chosen.append(prompts[permutations[epoch][offset]])
    return chosen


def fingerprint(prompts: Iterable[Prompt]) -> str:
    """A hash of prompts in their order."""
    digest = hashlib.sha256()
    for prompt in prompts:
        digest.update(repr((prompt.id, prompt.question, prompt.gold, prompt.tokens)).encode())
    return digest.hexdigest()


def _render(questions: Sequence[Question], config: Config, tokenizer: Tokenizer, once: Once) -> tuple[Prompt, ...]:
    render, examples = TEMPLATES[config.data.template].render, config.data.examples
    inputs = (config.data.template, examples, *(question.text for question in questions))
    tokens = once(inputs, lambda: [render(tokenizer, question.text, examples) for question in questions])
    prompts = (Prompt(q.id, q.text, q.gold, tuple(each)) for q, each in zip(questions, tokens, strict=True))
    return tuple(prompt for prompt in prompts if len(prompt.tokens) <= config.rollout.max_prompt_tokens)
