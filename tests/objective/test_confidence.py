import math

import torch

from icpo_cli.objective.confidence import LOG_PROB_CEILING, is_clamped, mean_logprob, mean_prob

LOGPROB = torch.tensor([[math.log(0.5), math.log(0.25), 0.0], [math.log(0.9), 0.0, 0.0]])
MASK = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])


def test_mean_prob_is_the_log_of_the_mean_token_probability() -> None:
    # (0.5 + 0.25) / 2 and 0.9; the padding's log-prob of 0 would be a probability of 1
    assert torch.allclose(mean_prob(LOGPROB, MASK), torch.tensor([math.log(0.375), math.log(0.9)]))


def test_mean_logprob_is_the_mean_of_the_logs() -> None:
    expected = torch.tensor([(math.log(0.5) + math.log(0.25)) / 2, math.log(0.9)])
    assert torch.allclose(mean_logprob(LOGPROB, MASK), expected)


def test_a_response_without_tokens_is_the_least_confident() -> None:
    empty = torch.zeros(1, 3)
    assert mean_prob(empty, empty).item() == -math.inf
    assert mean_logprob(empty, empty).item() == -math.inf


def test_only_probability_one_is_clamped() -> None:
    assert is_clamped(torch.tensor([0.0, LOG_PROB_CEILING, -0.1])).tolist() == [True, False, False]
