"""`icpo explain`: the derivation from confidences and rewards to advantages, step by step."""

import json
import math
from typing import TYPE_CHECKING, Annotated

import typer

from icpo_cli.errors import UserError

if TYPE_CHECKING:
    from icpo_cli.objective.methods import Derivation


def explain(
    logprob: Annotated[
        str, typer.Option(help="Confidence of each response (log of its mean token probability), by comma.")
    ],
    reward: Annotated[str, typer.Option(help="R_verif of each response, by comma.")],
    delta: Annotated[float, typer.Option(help="Scale of the preference score.")] = 0.4,
    tau: Annotated[float, typer.Option(help="The bonus is capped at |R| / tau.")] = 2.0,
    omega: Annotated[float, typer.Option(help="Weight of the bonus.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")] = False,
) -> None:
    """Derive the advantages of one group from given numbers, as the paper's Tables 7 and 8 do.

    Values that begin with a minus sign need the equals sign: --logprob=-0.01,-0.05.
    """
    confidences, rewards = _numbers("--logprob", logprob), _numbers("--reward", reward)
    if len(confidences) != len(rewards):
        raise UserError(f"--reward: {len(rewards)} rewards for {len(confidences)} responses")
    if len(confidences) < 2:
        raise UserError("--logprob: a group needs 2 responses or more")
    if any(value > 0 for value in confidences):
        raise UserError(f"--logprob: {max(confidences)} is above 0, which no log-probability is")
    for name, value in (("--delta", delta), ("--tau", tau)):
        if not (value > 0 and math.isfinite(value)):
            raise UserError(f"{name}: {value} must be positive and finite")

    import torch

    from icpo_cli.config.schema import MethodConfig
    from icpo_cli.objective.methods import derive

    derivation = derive(
        torch.tensor(confidences, dtype=torch.float64),
        torch.tensor(rewards, dtype=torch.float64),
        omega,
        MethodConfig(delta=delta, tau=tau),
    )
    order = [1 + i for i in sorted(range(len(confidences)), key=lambda i: confidences[i])]
    if as_json:
        typer.echo(json.dumps(_document(order, derivation)))
    else:
        _print_steps(order, derivation, delta, tau, omega)


def _numbers(option: str, text: str) -> list[float]:
    numbers = []
    for part in text.split(","):
        try:
            number = float(part)
        except ValueError:
            raise UserError(f"{option}: {part!r} is not a number") from None
        if not math.isfinite(number):
            raise UserError(f"{option}: {part!r} is not finite")
        numbers.append(number)
    return numbers


def _document(order: list[int], derivation: "Derivation") -> dict[str, list[float] | list[int]]:
    return {
        "order": order,
        "confidence": derivation.confidence.tolist(),
        "preference_score": derivation.preference_score.tolist(),
        "bonus": derivation.bonus.tolist(),
        "final_reward": derivation.final_reward.tolist(),
        "advantage": derivation.advantage.tolist(),
        "grpo_advantage": derivation.grpo_advantage.tolist(),
    }


def _print_steps(order: list[int], derivation: "Derivation", delta: float, tau: float, omega: float) -> None:
    """The steps of Tables 7 and 8: order, pairs, scores, rewards, advantages."""
    from icpo_cli.objective.confidence import LOG_PROB_CEILING

    confidence = [min(value, LOG_PROB_CEILING) for value in derivation.confidence.tolist()]
    reward, score = derivation.reward.tolist(), derivation.preference_score.tolist()
    final, bonus = derivation.final_reward.tolist(), derivation.bonus.tolist()
    last = max(confidence)
    say = typer.echo
    say("1. Responses by ascending confidence (Eq. 6):  " + "  ".join(f"O{k}" for k in order))
    after = {k: [j for j in order if confidence[j - 1] > confidence[k - 1]] for k in order}
    say("2. Preference pairs (Eq. 8):")
    for k in order:
        if after[k]:
            say("   " + "  ".join(f"(O{k}, O{j})" for j in after[k]))
    say(f"3. Preference scores (Eq. 9), delta {delta:g}:")
    for k in order:
        ratios = " + ".join(f"{confidence[j - 1]:.4f}/{confidence[k - 1]:.4f}" for j in after[k]) or "0"
        say(f"   S{k} = {delta:g} * ({ratios}) - {delta:g} * ({last:.4f}) = {score[k - 1]:.4f}")
    say(f"4. Final rewards (Eq. 11), tau {tau:g}, omega {omega:g}:")
    for k in order:
        r = reward[k - 1]
        cap = f"min({score[k - 1]:.4f}, {abs(r):.4f}/{tau:g})"
        say(f"   R{k} = {r:.4f} + {omega:g} * {cap} = {r:.4f} + {bonus[k - 1]:.4f} = {final[k - 1]:.4f}")
    say("5. Advantages (Eq. 5), population std:")
    say("   response  confidence  R_verif  R_final     ICPO     GRPO")
    for k in sorted(order):
        ours, grpo = derivation.advantage[k - 1].item(), derivation.grpo_advantage[k - 1].item()
        say(f"   O{k:<8} {confidence[k - 1]:10.4f} {reward[k - 1]:8.4f} {final[k - 1]:8.4f} {ours:8.4f} {grpo:8.4f}")
