"""Prompt templates. Each also says whether the format reward requires <think> tags."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from icpo_cli.config.schema import ExampleConfig
from icpo_cli.errors import UserError

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
