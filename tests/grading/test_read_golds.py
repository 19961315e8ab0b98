"""Gold answers as data sets store them."""

import pytest

from icpo_cli.grading.golds import read_gold, read_golds
from icpo_cli.records import AnswerKind, Gold

STORED = {
    Gold("She sold 6 a day.\n3 + 3 = <<3+3=6>>6\n#### 6"): "6",
    Gold(r"So $x+1=3$ and $x=\boxed{2}$."): "2",
    Gold("We add both. " * 20 + "The answer is 12."): "12",
    Gold("<answer>7</answer>"): "7",
    Gold("0.10000000149011612"): "0.1",
    Gold("33.33333206176758"): "33.333332",
    Gold("0.30000000000000004"): "0.3",
    Gold("3.141592653589793"): "3.141592653589793",
    Gold("0.5"): "0.5",
    Gold("\x0crac{1}{2}"): r"\frac{1}{2}",
    Gold("\x08inom{4}{2}"): r"\binom{4}{2}",
    Gold("2", None, ("one", "two", "three", "four")): "C",
    Gold("2", None, ("4", "2", "1", "3")): "2",
    Gold("7", None, ("4 N", "7 N")): "7",
    Gold("#### a heading of a text", AnswerKind.TEXT): "a heading of a text",
    Gold("None"): "None",
}


@pytest.mark.parametrize(("stored", "answer"), list(STORED.items()), ids=[gold.answer[-20:] for gold in STORED])
def test_a_gold_answer_is_read_as_it_was_meant(stored: Gold, answer: str) -> None:
    assert read_gold(stored).answer == answer
    assert read_gold(read_gold(stored)) == read_gold(stored)


def test_indices_of_options_count_from_what_the_source_shows() -> None:
    words = ("copper", "aluminium", "silver", "iron")
    for answers, letters in (("0321", "ADCB"), ("4132", "DACB"), ("1230", "BCDA")):
        assert [gold.answer for gold in read_golds([Gold(index, None, words) for index in answers])] == list(letters)
    texts = [Gold(text, None, ("4", "2", "1", "3")) for text in "4213"]
    assert read_golds(texts) == texts


def test_missing_values_of_a_source_are_empty() -> None:
    golds = [Gold(text) for text in ("nan", "NaN", "null", "None", "7")]
    assert [gold.answer for gold in read_golds(golds)] == ["", "", "", "", "7"]


@pytest.mark.parametrize("piece", [*"4a.,#([{\\ \n\t\x0c", "4.", "#### ", r"\boxed{", "<answer>"])
@pytest.mark.usefixtures("ended_if_it_hangs")
def test_a_gold_of_a_megabyte_is_read_in_time_that_grows_with_its_length(piece: str) -> None:
    gold = read_gold(Gold(piece * (1_000_000 // len(piece))))
    assert len(gold.answer) <= 1_000_000 + len(piece)
