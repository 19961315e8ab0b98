import pytest
import torch

from icpo_cli.learner.pack import micro_batches, pack, packed_length, response_mask, shared_prefix
from icpo_cli.records import Gold, Group, Prompt, Response


def group(prompt: list[int], *responses: list[int]) -> Group:
    made = tuple(Response("", tuple(tokens), (0.0,) * len(tokens), "stop") for tokens in responses)
    return Group(Prompt("", "", Gold(""), tuple(prompt)), made)


def test_one_group_by_hand() -> None:
    packed = pack([group([5, 6, 7], [10, 11], [20, 21, 22])])
    assert packed.input_ids.tolist() == [[5, 6, 7, 10, 20, 21]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 3, 3, 4]]
    prompt, responses = packed.levels
    assert (prompt.start, prompt.end, prompt.position.tolist()) == (0, 3, [[0, 1, 2]])
    assert (responses.start, responses.end, responses.slot.tolist()) == (3, 6, [0, 2, 3])
    assert responses.real.tolist() == [[True, False], [True, True]]
    assert packed.source.tolist() == [2, 3, 2, 4, 5]
    assert packed.target.tolist() == [10, 11, 20, 21, 22]
    assert packed.unpack(torch.arange(1.0, 6.0)).tolist() == [[[1, 2, 0], [3, 4, 5]]]


def test_what_prompts_begin_with_stands_there_once() -> None:
    packed = pack([group([8, 9, 5], [10, 11], [20]), group([8, 9, 6, 7], [30, 31, 32], [40, 41])])
    assert packed.input_ids.tolist() == [[8, 9, 5, 6, 7, 10, 30, 31, 40]]
    assert packed.position_ids.tolist() == [[0, 1, 2, 2, 3, 3, 4, 5, 4]]
    head, prompts, responses = packed.levels
    assert head.position.tolist() == [[0, 1]]
    assert (prompts.start, prompts.real.tolist()) == (2, [[True, False], [True, True]])
    assert (responses.start, responses.position.tolist()) == (5, [[3, 4], [3, 4], [4, 5], [4, 5]])
    assert responses.real.tolist() == [[True, False], [False, False], [True, True], [True, False]]
    # the last token of its prompt predicts the first of a response
    assert packed.source.tolist() == [2, 5, 2, 4, 6, 7, 4, 8]
    assert packed.target.tolist() == [10, 11, 20, 30, 31, 32, 40, 41]


def test_a_prompt_keeps_its_last_token_to_itself() -> None:
    assert shared_prefix([group([5, 6], [1]), group([5, 6], [1])]) == 1
    assert shared_prefix([group([5, 6, 7], [1]), group([5, 6], [1])]) == 1
    assert shared_prefix([group([4, 6], [1]), group([5, 6], [1])]) == 0
    assert shared_prefix([group([5, 6], [1])]) == 0


def test_an_empty_response_takes_no_place() -> None:
    groups = [group([5, 6], [], [20])]
    packed = pack(groups)
    assert (packed.source.tolist(), packed.target.tolist(), packed.slot.tolist()) == ([1], [20], [1])
    assert response_mask(groups).tolist() == [[[0.0], [1.0]]]


def test_a_group_takes_its_own_tokens_beside_the_heads() -> None:
    one, other = group([5, 6, 7], [10, 11], [], [20, 21, 22]), group([5, 6, 8], [1], [1], [1])
    assert packed_length(one, 0) == pack([one]).input_ids.shape[1] == 6
    assert 2 + packed_length(one, 2) + packed_length(other, 2) == pack([one, other]).input_ids.shape[1] == 7


@pytest.mark.parametrize(
    ("lengths", "budget", "at_least", "expected"),
    [
        ([10, 10, 10], 30, 1, [[0, 1, 2]]),
        ([10, 10, 10], 20, 1, [[0, 1], [2]]),
        ([5, 16, 4], 20, 1, [[1], [0, 2]]),
        ([5, 50, 4], 20, 1, [[1], [0, 2]]),  # over the budget: alone
        ([10, 10, 10, 10], 40, 3, [[0], [1], [2, 3]]),
        ([10], 40, 1, [[0]]),
    ],
)
def test_micro_batches(lengths: list[int], budget: int, at_least: int, expected: list[list[int]]) -> None:
    batches = micro_batches(lengths, budget, at_least)
    assert batches == expected
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
