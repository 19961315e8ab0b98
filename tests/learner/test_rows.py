"""Records of parts to one record, every group in its place."""

import torch

from icpo_cli.learner.rows import in_order, joined, rows_of
from icpo_cli.records import Scores


def scores(*lengths: int) -> Scores:
    """A group of one response for each length; a token's log-prob is minus the length."""
    mask = (torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]).float()[:, None]  # [P, 1, T]
    return Scores(-torch.tensor(lengths)[:, None, None] * mask, None, mask, mask)


def test_parts_are_put_in_their_places_as_wide_as_the_widest() -> None:
    whole = joined([scores(2, 5), scores(3)], in_order([[2, 0], [1]]))
    assert whole.logprob.tolist() == [
        [[-5.0, -5.0, -5.0, -5.0, -5.0]],
        [[-3.0, -3.0, -3.0, 0.0, 0.0]],
        [[-2.0, -2.0, 0.0, 0.0, 0.0]],
    ]
    assert whole.ref_logprob is None and torch.equal(whole.mask, scores(5, 3, 2).mask)


def test_taken_apart_and_joined_again_it_is_what_it_was() -> None:
    whole = scores(4, 1, 3, 2)
    places = [[3, 1], [0, 2]]
    again = joined([rows_of(whole, places[0], 2), rows_of(whole, places[1], 4)], in_order(places))
    assert torch.equal(again.logprob, whole.logprob) and torch.equal(again.mask, whole.mask)
