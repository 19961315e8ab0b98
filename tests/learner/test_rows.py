"""Log-probs of parts to one record, in the original order of the groups."""

import torch

from icpo_cli.learner.rows import concat, original_order, resize, select
from icpo_cli.records import LogProbs


def logprobs(*lengths: int) -> LogProbs:
    """A group of one response per length; each token's log-prob is minus the length."""
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).float()[:, None]  # [P, 1, T]
    return LogProbs(-torch.tensor(lengths)[:, None, None] * mask, None, mask, mask)


def test_parts_are_reordered_and_padded_to_the_longest() -> None:
    whole = concat([logprobs(2, 5), logprobs(3)], original_order([[2, 0], [1]]))
    assert whole.logprob.tolist() == [
        [[-5.0, -5.0, -5.0, -5.0, -5.0]],
        [[-3.0, -3.0, -3.0, 0.0, 0.0]],
        [[-2.0, -2.0, 0.0, 0.0, 0.0]],
    ]
    assert whole.ref_logprob is None and torch.equal(whole.mask, logprobs(5, 3, 2).mask)


def test_split_cut_and_concatenated_it_is_unchanged() -> None:
    whole = logprobs(4, 1, 3, 2)
    indices = [[3, 1], [0, 2]]
    parts = [resize(select(whole, indices[0]), 2), resize(select(whole, indices[1]), 4)]
    again = concat(parts, original_order(indices))
    assert torch.equal(again.logprob, whole.logprob) and torch.equal(again.mask, whole.mask)
