"""Prompt templates, and the prompts of a run: filtering, rendering, and the order in which iterations use them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from icpo_cli.config.schema import Config, ExampleConfig
from icpo_cli.data.sources import load_questions
from icpo_cli.errors import UserError
from icpo_cli.records import Gold, Prompt, Question
from icpo_cli.rng import sha256, stable_hash

STOP = "</answer>"
"""Stop string of generation."""

R1_SYSTEM = (
    "A conversation between User and Assistant. The user asks a question, and the Assistant solves it. "
    "The assistant first thinks about the reasoning process in the mind and then provides the user with the answer. "
    "The reasoning process and answer are enclosed within <think> </think> and <answer> </answer> tags, "
    "respectively, i.e., <think> reasoning process here </think> <answer> answer here </answer>."
)
"""System prompt of the paper's Table 5."""

ANSWER_ONLY_SUFFIX = "\nPlease reason step by step, and put your final answer within <answer> </answer>."
"""RLPR's prompt for Gemma and Llama, which the paper follows: no system message, no <think>."""


class Tokenizer(Protocol):
    """The part of the Hugging Face tokenizer interface that templates use."""

    chat_template: str | None
    name_or_path: str

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str: ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...


@dataclass(frozen=True)
class Template:
    """`render` returns the prompt's tokens; `think`: the format reward requires <think> tags."""

    render: Callable[[Tokenizer, str, Sequence[ExampleConfig]], list[int]]
    think: bool


def plain_tokens(tokenizer: Tokenizer, text: str) -> list[int]:
    """Token ids of a text, without chat template and special tokens."""
    return list(tokenizer.encode(text, add_special_tokens=False))


def _r1(tokenizer: Tokenizer, question: str, examples: Sequence[ExampleConfig]) -> list[int]:
    return _chat(tokenizer, [{"role": "system", "content": R1_SYSTEM}, {"role": "user", "content": question}])


def _r1_answer_only(tokenizer: Tokenizer, question: str, examples: Sequence[ExampleConfig]) -> list[int]:
    return _chat(tokenizer, [{"role": "user", "content": question + ANSWER_ONLY_SUFFIX}])


def _plain(tokenizer: Tokenizer, question: str, examples: Sequence[ExampleConfig]) -> list[int]:
    """The question alone: as a user message if the model has a chat template, else as text."""
    if tokenizer.chat_template is None:
        return tokenizer.encode(question, add_special_tokens=True)
    return _chat(tokenizer, [{"role": "user", "content": question}])


def _few_shot(tokenizer: Tokenizer, question: str, examples: Sequence[ExampleConfig]) -> list[int]:
    shots = [
        f"Question: {shot.question}\n<think> {shot.reasoning} </think> <answer> {shot.answer} </answer>\n\n"
        for shot in examples
    ]
    return tokenizer.encode("".join(shots) + f"Question: {question}\n", add_special_tokens=True)


def _chat(tokenizer: Tokenizer, messages: list[dict[str, str]]) -> list[int]:
    if tokenizer.chat_template is None:
        raise UserError(f"{tokenizer.name_or_path}: has no chat template; use data.template=few_shot or plain")
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return tokenizer.encode(text, add_special_tokens=False)


TEMPLATES: dict[str, Template] = {
    "r1": Template(_r1, think=True),
    "r1_answer_only": Template(_r1_answer_only, think=False),
    "few_shot": Template(_few_shot, think=True),
    "plain": Template(_plain, think=False),
}


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
    return sha256(repr((prompt.id, prompt.question, prompt.gold, prompt.tokens)).encode() for prompt in prompts)


def _render(questions: Sequence[Question], config: Config, tokenizer: Tokenizer, once: Once) -> tuple[Prompt, ...]:
    render, examples = TEMPLATES[config.data.template].render, config.data.examples
    inputs = (config.data.template, examples, *(question.text for question in questions))
    tokens = once(inputs, lambda: [render(tokenizer, question.text, examples) for question in questions])
    prompts = (Prompt(q.id, q.text, q.gold, tuple(each)) for q, each in zip(questions, tokens, strict=True))
    return tuple(prompt for prompt in prompts if len(prompt.tokens) <= config.rollout.max_prompt_tokens)
