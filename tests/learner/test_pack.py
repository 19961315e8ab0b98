import pytest
import torch

from icpo_cli.learner.pack import micro_batches, pack, response_mask, row_length, sees
from icpo_cli.records import Group, Prompt, Response


def group(prompt: list[int], *responses: list[int]) -> Group:
    made = tuple(Response("", tuple(tokens), (0.0,) * len(tokens), "stop") for tokens in responses)
    return Group(Prompt("", "", "", tuple(prompt)), made)


def test_one_row_by_hand() -> None:
    packed = pack([group([5, 6, 7], [10, 11], [20, 21, 22])])
    assert packed.input_ids.tolist() == [[5, 6, 7, 10, 20, 21]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 3, 3, 4]]
    assert packed.segment.tolist() == [[0, 0, 0, 1, 2, 2]]
    assert packed.source.tolist() == [2, 3, 2, 4, 5]
    assert packed.target.tolist() == [10, 11, 20, 21, 22]
    assert packed.unpack(torch.arange(1.0, 6.0)).tolist() == [[[1, 2, 0], [3, 4, 5]]]


def test_a_response_sees_the_prompt_and_itself() -> None:
    mask = sees(pack([group([5, 6], [10, 11, 12], [20, 21]), group([5], [1], [2])]).segment)
    assert mask[0, 0].int().tolist() == [
        [1, 0, 0, 0, 0],
        [1, 1, 0, 0, 0],
        [1, 1, 1, 0, 0],
        [1, 1, 1, 1, 0],
        [1, 1, 0, 0, 1],
    ]
    # the second row is its prompt and padding, which sees itself alone
    assert mask[1, 0].int().tolist() == torch.eye(5, dtype=torch.int).tolist()


def test_an_empty_response_takes_no_place() -> None:
    groups = [group([5, 6], [], [20])]
    packed = pack(groups)
    assert (packed.source.tolist(), packed.target.tolist(), packed.slot.tolist()) == ([1], [20], [1])
    assert response_mask(groups).tolist() == [[[0.0], [1.0]]]


def test_row_length_is_the_rows_length() -> None:
    one = group([5, 6, 7], [10, 11], [], [20, 21, 22])
    assert row_length(one) == pack([one]).input_ids.shape[1] == 6


@pytest.mark.parametrize(
    ("lengths", "budget", "at_least", "expected"),
    [
        ([10, 10, 10], 30, 1, [[0, 1, 2]]),
        ([10, 10, 10], 20, 1, [[0, 1], [2]]),
        ([5, 50, 4], 20, 1, [[1], [0, 2]]),  # over the budget: alone
        ([10, 10, 10, 10], 40, 3, [[0], [1], [2, 3]]),
        ([10], 40, 1, [[0]]),
    ],
)
def test_micro_batches(lengths: list[int], budget: int, at_least: int, expected: list[list[int]]) -> None:
    batches = micro_batches(lengths, budget, at_least)
    assert batches == expected
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
