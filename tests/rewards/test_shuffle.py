"""Shuffled golds: every gold wanted as often as before, none by its own question, letters within their options."""

from collections import Counter
from itertools import product

import pytest

from icpo_cli.records import AnswerKind, Gold, Prompt
from icpo_cli.rewards.shuffle import derangement, shuffle_golds, unmoved

TWO, FOUR = ("red", "blue"), ("north", "south", "east", "west")


def prompts(*golds: Gold) -> list[Prompt]:
    return [Prompt(f"p{number}", f"question {number}", gold, (1, number)) for number, gold in enumerate(golds)]


def test_golds_are_permuted_and_nothing_else_is_changed() -> None:
    before = prompts(*(Gold(str(number % 12), AnswerKind.NUMBER) for number in range(60)))
    after = shuffle_golds(before, 3)
    assert [(p.id, p.question, p.tokens) for p in after] == [(p.id, p.question, p.tokens) for p in before]
    assert Counter(p.gold for p in after) == Counter(p.gold for p in before)
    assert all(a.gold != b.gold for a, b in zip(before, after, strict=True))
    assert unmoved(before, after) == 0


def test_the_shuffle_is_the_seeds() -> None:
    before = prompts(*(Gold(str(number)) for number in range(40)))
    assert shuffle_golds(before, 3) == shuffle_golds(before, 3) != shuffle_golds(before, 4)


def test_answers_do_not_stand_for_one_another_by_a_rule() -> None:
    """A model could learn one: questions with one answer are given many others."""
    before = prompts(*(Gold(str(number % 10)) for number in range(1000)))
    after = shuffle_golds(before, 0)
    for answer in range(10):
        given = Counter(b.gold.answer for a, b in zip(before, after, strict=True) if a.gold.answer == str(answer))
        assert len(given) == 9 and max(given.values()) < 30, answer


@pytest.mark.parametrize("length", range(1, 7))
def test_no_more_keep_their_value_than_must(length: int) -> None:
    """2 m - n of them where one value is m of n: each of the m needs one of the n - m others to change with."""
    for values in product("abc", repeat=length):
        givers = derangement(values, 1)
        assert sorted(givers) == list(range(length))
        most = max(Counter(values).values())
        kept = sum(values[giver] == value for giver, value in zip(givers, values, strict=True))
        assert kept == max(0, 2 * most - length), values


def test_a_letter_stays_within_its_questions_options() -> None:
    """Questions of two options change among themselves, and each keeps its own."""
    golds = [Gold("D", None, (*FOUR[:3], f"west {n}")) for n in range(6)] + [Gold("A", None, FOUR)] * 6
    golds += [Gold("A", None, TWO), Gold("B", None, TWO)]
    before = prompts(*golds)
    after = shuffle_golds(before, 0)
    assert [p.gold.choices for p in after] == [gold.choices for gold in golds]
    assert [p.gold.answer for p in after] == ["A"] * 6 + ["D"] * 6 + ["B", "A"]


def test_an_answer_in_an_options_words_is_that_options_letter() -> None:
    before = prompts(Gold("south", None, FOUR), Gold("(c)", None, FOUR), Gold("B", None, FOUR), Gold("C", None, FOUR))
    after = shuffle_golds(before, 0)
    assert [p.gold for p in after] == [Gold(letter, None, FOUR) for letter in "CBCB"]


def test_options_and_free_answers_are_not_mixed() -> None:
    before = prompts(Gold("A", None, TWO), Gold("7"), Gold("B", None, TWO), Gold("9", aliases=("nine",)))
    after = shuffle_golds(before, 0)
    assert [p.gold for p in after] == [
        Gold("B", None, TWO),
        Gold("9", aliases=("nine",)),
        Gold("A", None, TWO),
        Gold("7"),
    ]


def test_one_alone_has_none_to_change_with() -> None:
    before = prompts(Gold("B", None, TWO), Gold("7"), Gold("7"), Gold("8"))
    after = shuffle_golds(before, 0)
    assert after[0] == before[0]
    assert unmoved(before, after) == 2
