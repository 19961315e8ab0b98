"""Output of a derivation from confidences and rewards to advantages, as text and as JSON."""

import typer

from icpo_cli.config.schema import MethodConfig
from icpo_cli.objective.confidence import LOG_PROB_CEILING
from icpo_cli.objective.methods import Derivation

STDS = {"population": "population std", "sample": "sample std", "none": "centred only"}


def order_of(derivation: Derivation) -> list[int]:
    """Response numbers, from 1, by ascending confidence."""
    confidence = derivation.confidence.tolist()
    return [1 + i for i in sorted(range(len(confidence)), key=lambda i: confidence[i])]


def document(derivation: Derivation) -> dict[str, list[float] | list[int]]:
    return {
        "order": order_of(derivation),
        "confidence": derivation.confidence.tolist(),
        "preference_score": derivation.preference_score.tolist(),
        "bonus": derivation.bonus.tolist(),
        "final_reward": derivation.final_reward.tolist(),
        "advantage": derivation.advantage.tolist(),
        "grpo_advantage": derivation.grpo_advantage.tolist(),
    }


def print_steps(derivation: Derivation, method: MethodConfig, omega: float) -> None:
    """Print the steps of the paper's Tables 7 and 8: order, pairs, scores, rewards, advantages."""
    confidence = [min(value, LOG_PROB_CEILING) for value in derivation.confidence.tolist()]
    reward, score = derivation.reward.tolist(), derivation.preference_score.tolist()
    final, bonus = derivation.final_reward.tolist(), derivation.bonus.tolist()
    order, delta, tau = order_of(derivation), method.delta, method.tau
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
    eps = f" + {method.advantage.eps:g}" if method.advantage.eps else ""
    say(f"5. Advantages (Eq. 5), {STDS[method.advantage.std]}{eps}:")
    say(f"   response  confidence  R_verif  R_final {method.name.upper():>8}     GRPO")
    for k in sorted(order):
        ours, grpo = derivation.advantage[k - 1].item(), derivation.grpo_advantage[k - 1].item()
        say(f"   O{k:<8} {confidence[k - 1]:10.4f} {reward[k - 1]:8.4f} {final[k - 1]:8.4f} {ours:8.4f} {grpo:8.4f}")
