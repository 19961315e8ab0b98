"""The lab model's training examples: correct arithmetic, and questions in reasoning_gym's form."""

import re
from random import Random

import pytest
import reasoning_gym

from icpo_cli.models.lab import Recipe, draw_terms, question_of, response_to

FORM = re.compile(r"<think>(\d+(?:\+\d+=\d+)+|)</think><answer>(\d+)</answer>")


def test_every_step_is_right() -> None:
    recipe, draw, ways = Recipe(), Random(0), set()
    for _ in range(2000):
        terms = draw_terms(recipe, draw)
        form = FORM.fullmatch(response_to(terms, recipe, draw))
        assert form is not None
        steps_text, answer = form.groups()
        assert int(answer) == sum(terms)
        if steps_text:
            first, *steps = re.split(r"\+(?=\d+=)", steps_text)
            value = int(first)
            for step in steps:
                part, result = map(int, step.split("="))
                value += part
                assert result == value
            assert value == sum(terms)
        ways.add("none" if not steps_text else "short" if steps_text.count("=") < len(terms) else "long")
    assert ways == {"none", "short", "long"}


@pytest.mark.parametrize(
    ("split_rate", "steps_text"), [(0.0, "20+57=77+100=177"), (1.0, "20+50=70+7=77+100=177")], ids=["whole", "by place"]
)
def test_numbers_are_split_between_their_digits(split_rate: float, steps_text: str) -> None:
    recipe = Recipe(split_rate=split_rate, guess_rate=0.0)
    assert response_to([20, 57, 100], recipe, Random(0)) == f"<think>{steps_text}</think><answer>177</answer>"


def test_rates_are_as_they_say() -> None:
    draw = Random(0)
    guesses = sum(response_to([1, 2], Recipe(), draw).startswith("<think></think>") for _ in range(2000))
    assert 250 < guesses < 350  # 0.15 of 2,000, give or take three standard deviations


def test_questions_have_the_form_of_reasoning_gyms() -> None:
    asked = reasoning_gym.create_dataset(
        "basic_arithmetic",
        size=200,
        seed=1,
        min_terms=2,
        max_terms=3,
        min_digits=1,
        max_digits=2,
        operators=["+"],
        allow_parentheses=False,
    )
    for entry in asked:
        terms = [int(number) for number in re.findall(r"\d+", entry["question"])]
        assert question_of(terms) == entry["question"]
        assert 2 <= len(terms) <= 3
        assert max(terms) <= 100
