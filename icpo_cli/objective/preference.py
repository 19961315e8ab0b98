"""The preference score S of each response of a group (Eq. 8 and 9)."""

import torch
from torch import Tensor

from icpo_cli.objective.confidence import LOG_PROB_CEILING


def preference_score(confidence: Tensor, delta: float) -> Tensor:
    """Eq. 9 for every response: [..., G] confidences (log, <= 0) -> [..., G] scores, in the given order.

    S_k = delta * (sum of log pi(o_j) over all j ranked strictly after k) / log pi(o_k) - delta * log pi(o_(G))

    Equal confidences form no pair. O(G log G): the sum over "ranked after k" is a suffix sum of the
    sorted group, read where the first strictly greater confidence stands.
    """
    logp = confidence.clamp(max=LOG_PROB_CEILING)  # [..., G]
    ascending = logp.sort(dim=-1).values.contiguous()  # [..., G]
    suffix = ascending.flip(-1).cumsum(-1).flip(-1)  # [..., G]  suffix[i] = sum of ascending[i:]
    suffix = torch.nn.functional.pad(suffix, (0, 1))  # [..., G+1]  nothing stands after the last
    first_after = torch.searchsorted(ascending, logp.contiguous(), right=True)  # [..., G]
    pairs = suffix.gather(-1, first_after) / logp  # [..., G]
    return delta * pairs - delta * ascending[..., -1:]
