from collections import Counter
from pathlib import Path

import pytest

from icpo_cli.config.load import load_config
from icpo_cli.config.schema import ExampleConfig
from icpo_cli.data.prompts import load_prompts, prompts_of
from icpo_cli.data.templates import TEMPLATES
from icpo_cli.errors import UserError
from icpo_cli.records import Prompt
from tests.lab import make_tokenizer

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class Characters:
    """A tokenizer whose tokens are characters, so that a prompt can be read back."""

    name_or_path = "characters"

    def __init__(self, chat_template: str | None) -> None:
        self.chat_template = chat_template
        self._inner = make_tokenizer()

    def apply_chat_template(self, conversation, *, tokenize, add_generation_prompt):
        return self._inner.apply_chat_template(
            conversation,
            tokenize=tokenize,
            add_generation_prompt=add_generation_prompt,
            chat_template=self.chat_template,
        )

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [ord(char) for char in text]


def rendered(template: str, chat_template: str | None = CHATML) -> str:
    examples = [ExampleConfig("1 + 1?", "1 + 1 = 2", "2")]
    tokens = TEMPLATES[template].render(Characters(chat_template), "2 + 3?", examples)
    return "".join(chr(token) for token in tokens)


def test_r1_is_the_papers_table_5() -> None:
    text = rendered("r1")
    assert text.startswith("<|im_start|>system\nA conversation between User and Assistant. The user asks a question,")
    assert "i.e., <think> reasoning process here </think> <answer> answer here </answer>.<|im_end|>\n" in text
    assert text.endswith("<|im_start|>user\n2 + 3?<|im_end|>\n<|im_start|>assistant\n")


def test_without_think_there_is_no_system_turn() -> None:
    text = rendered("r1_answer_only")
    assert "system" not in text and "think" not in text
    assert "2 + 3?\nPlease reason step by step, and put your final answer within <answer> </answer>.<|im_end|>" in text


def test_few_shot_and_plain() -> None:
    assert rendered("few_shot") == (
        "Question: 1 + 1?\n<think> 1 + 1 = 2 </think> <answer> 2 </answer>\n\nQuestion: 2 + 3?\n"
    )
    assert rendered("plain", chat_template=None) == "2 + 3?"
    assert rendered("plain") == "<|im_start|>user\n2 + 3?<|im_end|>\n<|im_start|>assistant\n"


def test_a_template_of_turns_needs_a_chat_template() -> None:
    with pytest.raises(UserError, match=r"has no chat template; use data.template=few_shot or plain"):
        rendered("r1", chat_template=None)


def prompts(count: int) -> list[Prompt]:
    return [Prompt(str(i), "", "", ()) for i in range(count)]


def test_order_is_a_function_of_seed_and_iteration() -> None:
    some = prompts(10)
    assert prompts_of(some, 1, 5, 4) == prompts_of(some, 1, 5, 4)
    assert prompts_of(some, 1, 5, 4) != prompts_of(some, 2, 5, 4)
    assert prompts_of(some, 1, 5, 4) != prompts_of(some, 1, 6, 4)


def test_an_epoch_takes_every_prompt_once_also_across_iterations() -> None:
    some = prompts(10)
    drawn = [prompt.id for iteration in range(1, 6) for prompt in prompts_of(some, 0, iteration, 4)]
    assert Counter(drawn[:10]) == Counter(drawn[10:]) == Counter(prompt.id for prompt in some)
    assert drawn[:10] != drawn[10:]


def test_more_prompts_than_there_are_span_epochs() -> None:
    assert Counter(p.id for p in prompts_of(prompts(3), 0, 1, 7)).most_common()[-1][1] >= 2


def write(path: Path, questions: list[str]) -> str:
    path.write_text("".join(f'{{"question": "{q}", "answer": "1"}}\n' for q in questions))
    return str(path)


def file_config(tmp_path: Path, train: list[str], heldout: list[str], *more: str):
    return load_config(
        [
            "data.template=plain",
            "data.train.source=file",
            f"data.train.path={write(tmp_path / 'train.jsonl', train)}",
            "data.heldout.source=file",
            f"data.heldout.path={write(tmp_path / 'heldout.jsonl', heldout)}",
            *more,
        ]
    )


def test_held_out_questions_are_never_trained_on(tmp_path: Path) -> None:
    config = file_config(tmp_path, ["a", "b", "c", "b"], ["b", "d", "d"])
    found = load_prompts(config, Characters(None))
    assert [p.question for p in found.train] == ["a", "c"]
    assert [p.question for p in found.heldout] == ["b", "d"]
    assert (found.also_heldout, found.repeated, found.too_long) == (2, 1, 0)


def test_long_prompts_are_dropped_and_counted(tmp_path: Path) -> None:
    config = file_config(tmp_path, ["a", "bbbb", "cc"], ["dd", "eeeee"], "rollout.max_prompt_tokens=3")
    found = load_prompts(config, Characters(None))
    assert ([p.question for p in found.train], found.too_long) == (["a", "cc"], 2)


def test_nothing_left_after_the_length_filter(tmp_path: Path) -> None:
    config = file_config(tmp_path, ["aaaa"], ["b"], "rollout.max_prompt_tokens=3")
    with pytest.raises(
        UserError, match=r"data.train: no rows left: 1 of 1 prompts are over rollout.max_prompt_tokens 3"
    ):
        load_prompts(config, Characters(None))


def test_the_fingerprint_changes_with_a_row(tmp_path: Path) -> None:
    def fingerprint(rows: list[str]) -> str:
        return load_prompts(file_config(tmp_path, rows, ["z"]), Characters(None)).fingerprint

    assert fingerprint(["a", "b"]) == fingerprint(["a", "b"]) != fingerprint(["a", "c"])
