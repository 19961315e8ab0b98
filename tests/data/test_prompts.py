import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from icpo_cli.config.load import load_config
from icpo_cli.config.schema import Config, ExampleConfig, RewardConfig
from icpo_cli.data.prompts import TEMPLATES, iteration_prompts, load_prompts
from icpo_cli.errors import UserError
from icpo_cli.grading.verifier import Verifier
from icpo_cli.models.lab import make_tokenizer
from icpo_cli.records import AnswerKind, Gold, Prompt

CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


class Characters:
    """A tokenizer whose tokens are characters, so that a prompt can be decoded."""

    name_or_path = "characters"

    def __init__(self, chat_template: str | None) -> None:
        self.chat_template = chat_template
        self._inner = make_tokenizer()

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
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
    return [Prompt(str(i), "", Gold(""), ()) for i in range(count)]


def test_order_is_a_function_of_seed_and_iteration() -> None:
    some = prompts(10)
    assert iteration_prompts(some, 1, 5, 4) == iteration_prompts(some, 1, 5, 4)
    assert iteration_prompts(some, 1, 5, 4) != iteration_prompts(some, 2, 5, 4)
    assert iteration_prompts(some, 1, 5, 4) != iteration_prompts(some, 1, 6, 4)


def test_an_epoch_takes_every_prompt_once_also_across_iterations() -> None:
    some = prompts(10)
    drawn = [prompt.id for iteration in range(1, 6) for prompt in iteration_prompts(some, 0, iteration, 4)]
    assert Counter(drawn[:10]) == Counter(drawn[10:]) == Counter(prompt.id for prompt in some)
    assert drawn[:10] != drawn[10:]


def test_more_prompts_than_there_are_span_epochs() -> None:
    assert Counter(p.id for p in iteration_prompts(prompts(3), 0, 1, 7)).most_common()[-1][1] >= 2


def all_usable(golds: Sequence[Gold]) -> list[str | None]:
    return [None] * len(golds)


def write(path: Path, questions: list[str]) -> str:
    path.write_text("".join(f'{{"question": "{q}", "answer": "1"}}\n' for q in questions))
    return str(path)


def file_config(tmp_path: Path, train: list[str], heldout: list[str], *more: str) -> Config:
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
    found = load_prompts(config, Characters(None), all_usable)
    assert [p.question for p in found.train] == ["a", "c"]
    assert [p.question for p in found.heldout] == ["b", "d"]
    assert (found.also_heldout, found.too_long) == (2, 0)


def test_long_prompts_are_dropped_and_counted(tmp_path: Path) -> None:
    config = file_config(tmp_path, ["a", "bbbb", "cc"], ["dd", "eeeee"], "rollout.max_prompt_tokens=3")
    found = load_prompts(config, Characters(None), all_usable)
    assert ([p.question for p in found.train], found.too_long) == (["a", "cc"], 2)


def test_nothing_left_after_the_length_filter(tmp_path: Path) -> None:
    config = file_config(tmp_path, ["aaaa"], ["b"], "rollout.max_prompt_tokens=3")
    with pytest.raises(
        UserError, match=r"data.train: no rows left: 1 of 1 prompts are over rollout.max_prompt_tokens 3"
    ):
        load_prompts(config, Characters(None), all_usable)


def test_the_fingerprint_changes_with_a_row(tmp_path: Path) -> None:
    def fingerprint(rows: list[str]) -> str:
        return load_prompts(file_config(tmp_path, rows, ["z"]), Characters(None), all_usable).fingerprint

    assert fingerprint(["a", "b"]) == fingerprint(["a", "b"]) != fingerprint(["a", "c"])


def gold_config(tmp_path: Path, golds: dict[str, str], heldout: dict[str, str], *more: str) -> Config:
    """Training and held-out questions with these gold answers."""
    for name, rows in (("train", golds), ("heldout", heldout)):
        lines = [
            json.dumps({"question": question, "answer": answer, "uid": question}) for question, answer in rows.items()
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(line + "\n" for line in lines))
    settings = [
        f"data.{n}.{s}"
        for n in ("train", "heldout")
        for s in ("source=file", f"path={tmp_path / n}.jsonl", "id_column=uid")
    ]
    return load_config(["data.template=plain", *settings, *more])


@pytest.fixture(scope="module")
def verifier() -> Iterator[Verifier]:
    with Verifier(RewardConfig()) as made:
        yield made


def test_questions_with_an_unusable_gold_answer_are_left_out_and_named(tmp_path: Path, verifier: Verifier) -> None:
    train = {"a": "7", "b": r"\frac{1}{", "c": r"\sqrt{2}", "d": "4\x002"}
    config = gold_config(tmp_path, train, {"y": "8", "z": r"\frac{1}{2"})
    found = load_prompts(config, Characters(None), verifier.check_golds)
    assert [(p.id, p.gold) for p in found.train] == [("a", Gold("7")), ("c", Gold(r"\sqrt{2}"))]
    assert [p.id for p in found.heldout] == ["y"]
    assert found.unusable == (
        "train b: has unbalanced braces",
        "train d: contains control characters",
        "heldout z: has unbalanced braces",
    )
    assert (found.too_long, found.also_heldout) == (0, 0)


def test_what_is_usable_depends_on_the_kind(tmp_path: Path, verifier: Verifier) -> None:
    config = gold_config(tmp_path, {"a": "7", "b": "= + ="}, {"z": "1"}, "data.train.kind=number")
    found = load_prompts(config, Characters(None), verifier.check_golds)
    assert [p.gold for p in found.train] == [Gold("7", AnswerKind.NUMBER)]
    assert found.unusable == ("train b: does not read as number",)
    config = gold_config(tmp_path, {"a": "7", "b": "= + ="}, {"z": "1"}, "data.train.kind=text")
    assert load_prompts(config, Characters(None), verifier.check_golds).unusable == ()


def test_a_source_without_a_usable_gold_answer_is_at_fault(tmp_path: Path, verifier: Verifier) -> None:
    for train, heldout, name in (({"a": "{"}, {"z": "1"}, "train"), ({"a": "1"}, {"z": "}"}, "heldout")):
        config = gold_config(tmp_path, train, heldout, "data.train.kind=math", "data.heldout.kind=math")
        with pytest.raises(UserError, match=rf"data.{name}: no rows left: each gold answer is unusable; the first has"):
            load_prompts(config, Characters(None), verifier.check_golds)


def test_an_unusable_question_is_not_counted_as_held_out_or_too_long(tmp_path: Path) -> None:
    def only_short(golds: Sequence[Gold]) -> list[str | None]:
        return [None if gold.answer != "bad" else "is bad" for gold in golds]

    config = gold_config(
        tmp_path, {"a": "1", "b": "bad", "ccccc": "bad"}, {"b": "1", "d": "bad"}, "rollout.max_prompt_tokens=3"
    )
    found = load_prompts(config, Characters(None), only_short)
    assert [p.id for p in found.train] == ["a"] and [p.id for p in found.heldout] == ["b"]
    assert found.unusable == ("train b: is bad", "train ccccc: is bad", "heldout d: is bad")
    assert (found.too_long, found.also_heldout) == (0, 0)


def test_the_fingerprint_changes_with_a_gold_answer_and_its_kind(tmp_path: Path) -> None:
    def fingerprint(answer: str, *more: str) -> str:
        config = gold_config(tmp_path, {"a": answer}, {"z": "1"}, *more)
        return load_prompts(config, Characters(None), all_usable).fingerprint

    assert len({fingerprint("7"), fingerprint("8"), fingerprint("7", "data.train.kind=text")}) == 3
    assert fingerprint("7") == fingerprint("7")
