import math

import pytest
import torch

from icpo_cli.objective.advantage import leave_one_out_advantage, likelihood_advantage
from icpo_cli.objective.loss import Totals, clipped_loss, k3_kl, token_weight, truncated_importance

MASK = torch.tensor([[1.0, 1.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
TOTALS = Totals(responses=2, tokens=6)


@pytest.mark.parametrize(
    ("mean", "first", "second"),
    [("response", 1 / 4, 1 / 8), ("token", 1 / 6, 1 / 6), ("constant", 1 / 20, 1 / 20)],
)
def test_token_weights(mean: str, first: float, second: float) -> None:
    weight = token_weight(MASK, mean, TOTALS, constant_length=10)
    expected = [[first, first, 0, 0], [second] * 4]
    assert torch.allclose(weight, torch.tensor(expected))


def test_k3_by_hand() -> None:
    # r = 2: 2 - ln 2 - 1
    assert k3_kl(torch.tensor([0.0]), torch.tensor([math.log(2.0)])).item() == pytest.approx(1 - math.log(2))
    assert k3_kl(torch.tensor([-1.3]), torch.tensor([-1.3])).item() == 0.0


def loss_of(ratio: float, advantage: float, **kwargs: float) -> tuple[float, float]:
    """Loss and clipped share of one token whose ratio is `ratio`."""
    settings = {"clip_low": 0.2, "clip_high": 0.2, "kl_coef": 0.0, **kwargs}
    output = clipped_loss(
        torch.tensor([[math.log(ratio)]]),
        torch.zeros(1, 1),
        None,
        torch.tensor([[advantage]]),
        torch.ones(1, 1),
        **settings,
    )
    return output.loss.item(), output.clipped.item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "loss", "clipped"),
    [
        (1.1, 1.0, -1.1, 0.0),
        (1.5, 1.0, -1.2, 1.0),  # the gain is capped
        (1.5, -1.0, 1.5, 0.0),  # the loss is not
        (0.5, -1.0, 0.8, 1.0),
        (0.5, 1.0, -0.5, 0.0),
    ],
)
def test_clip(ratio: float, advantage: float, loss: float, clipped: float) -> None:
    assert loss_of(ratio, advantage) == pytest.approx((loss, clipped))


def test_a_ratio_is_cut_off_whatever_the_sign() -> None:
    assert loss_of(5.0, -1.0, ratio_cap=2.0) == pytest.approx((2.0, 0.0))
    assert loss_of(5.0, -1.0) == pytest.approx((5.0, 0.0))


def test_what_is_cut_off_still_learns_with_the_weight_of_the_cap() -> None:
    logprob = torch.tensor([[math.log(5.0)]], requires_grad=True)
    zeros, ones = torch.zeros(1, 1), torch.ones(1, 1)
    clipped_loss(logprob, zeros, None, -ones, ones, 0.2, 0.2, 0.0, ratio_cap=2.0).loss.backward()
    assert logprob.grad is not None and logprob.grad.item() == pytest.approx(2.0)


def test_the_mean_log_ratio_is_of_its_size() -> None:
    output = clipped_loss(
        torch.tensor([[-1.0, -2.0]]),
        torch.tensor([[-1.5, -1.0]]),
        None,
        torch.ones(1, 2),
        torch.full((1, 2), 0.5),
        0.2,
        0.2,
        0.0,
    )
    assert output.log_ratio.item() == pytest.approx((0.5 + 1.0) / 2)


def test_importance_is_truncated() -> None:
    old, sampled = (
        torch.tensor([math.log(0.6), math.log(0.1), -1.0]),
        torch.tensor([math.log(0.2), math.log(0.2), -1.0]),
    )
    assert truncated_importance(old, sampled, 2.0).tolist() == pytest.approx([2.0, 0.5, 1.0])


def test_clip_higher() -> None:
    assert loss_of(1.5, 1.0, clip_high=0.28) == pytest.approx((-1.28, 1.0))


def test_kl_joins_the_loss() -> None:
    logprob, ref = torch.tensor([[-1.0]]), torch.tensor([[-1.0 + math.log(2)]])
    output = clipped_loss(logprob, logprob, ref, torch.tensor([[0.5]]), torch.ones(1, 1), 0.2, 0.2, 0.1)
    assert output.kl.item() == pytest.approx(1 - math.log(2))
    assert output.loss.item() == pytest.approx(-0.5 + 0.1 * (1 - math.log(2)))


@pytest.mark.parametrize("mean", ["response", "token", "constant"])
def test_parts_add_up_to_the_whole(mean: str) -> None:
    """Micro-batches and ranks: the loss of two halves is the loss of both."""
    generator = torch.Generator().manual_seed(0)
    old = -torch.rand(2, 4, generator=generator)
    new = old + 0.3 * torch.randn(2, 4, generator=generator)
    advantage = torch.tensor([[1.0], [-0.7]])

    def loss(rows: slice) -> torch.Tensor:
        weight = token_weight(MASK[rows], mean, TOTALS, 10)
        return clipped_loss(new[rows], old[rows], old[rows] - 0.1, advantage[rows], weight, 0.2, 0.2, 0.1).loss

    whole = loss(slice(0, 2))
    assert torch.allclose(whole, loss(slice(0, 1)) + loss(slice(1, 2)))


def test_gradient_is_the_finite_difference() -> None:
    generator = torch.Generator().manual_seed(1)
    old = -torch.rand(2, 4, generator=generator, dtype=torch.float64)
    new = (old + 0.1 * torch.randn(2, 4, generator=generator, dtype=torch.float64)).requires_grad_()
    weight = token_weight(MASK.double(), "response", TOTALS, 10)
    advantage = torch.tensor([[1.0], [-0.7]], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: clipped_loss(x, old, old - 0.2, advantage, weight, 0.2, 0.2, 0.1).loss, (new,)
    )


def test_verifrees_gradient_is_that_of_its_two_terms() -> None:
    """-(A sum log pi(reasoning) + R sum log pi(reference)) / (length * responses), A and R held, by differences."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 6, generator=generator, dtype=torch.float64, requires_grad=True)  # [state, V]
    tokens = torch.tensor([[1, 3, 2, 5, 0], [2, 2, 4, 1, 3]])  # [R, T]; the state is the place
    mask = torch.tensor([[1.0, 1, 1, 1, 0], [1, 1, 1, 1, 0]], dtype=torch.float64)
    reference = torch.tensor([[0.0, 0, 1, 1, 0], [0, 0, 0, 1, 0]], dtype=torch.float64)
    states = torch.tensor([0, 1, 2, 3, 0])

    def logprob(weights: torch.Tensor) -> torch.Tensor:
        return weights.log_softmax(-1)[states].expand(2, -1, -1).gather(-1, tokens[..., None]).squeeze(-1)

    likelihood = (logprob(logits).detach() * reference).sum(-1).exp()  # [R]
    advantage = leave_one_out_advantage(likelihood)
    by_token = likelihood_advantage(advantage, mask, reference, likelihood)
    weight = token_weight(mask, "constant", Totals(2, 8), 10)
    old = logprob(logits).detach()
    clipped_loss(logprob(logits), old, None, by_token, weight, 0.2, 0.2, 0.0).loss.backward()

    def objective(weights: torch.Tensor) -> float:
        reasoning = (logprob(weights) * mask * (1 - reference)).sum(-1)
        taught = (logprob(weights) * reference).sum(-1)
        return float(-(advantage * reasoning + likelihood * taught).sum() / (10 * 2))

    step = 1e-6
    for place in range(logits.numel()):
        shift = torch.zeros(24, dtype=torch.float64)
        shift[place] = step
        up, down = (objective(logits.detach() + sign * shift.view(4, 6)) for sign in (1, -1))
        assert logits.grad is not None
        assert float(logits.grad.view(-1)[place]) == pytest.approx((up - down) / (2 * step), abs=1e-8)
