"""Output of `icpo explain`: the derivation of a group's advantages, as text and as JSON."""

from typing import TYPE_CHECKING, Any

import typer

from icpo_cli.config.schema import MethodConfig
from icpo_cli.objective.confidence import LOG_PROB_CEILING
from icpo_cli.objective.methods import Derivation
from icpo_cli.text import printable

if TYPE_CHECKING:
    from icpo_cli.report.explain import Explained

STDS = {"population": "population std", "sample": "sample std", "none": "centred only"}
LONGEST = 200
"""Characters of a text that are shown; the answer is at its end."""
SHOWN = ("response", "text", "extracted", "verdict", "rule", "reason")
REWARDS = ("reward_answer", "reward_format", "reward_noise", "reward_verif")


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


def explained_json(explained: "Explained") -> dict[str, Any]:
    """Document of --json: the keys of `icpo explain` on given numbers, and facts of the group."""
    group = explained.group
    return {
        "run_id": group.run_id,
        "iteration": group.iteration,
        "prompt_id": group.prompt_id,
        "question": group.rows[0]["question"],
        "gold": group.rows[0]["gold"],
        "method": group.config.method.name,
        "delta": group.config.method.delta,
        "tau": group.config.method.tau,
        "omega": explained.omega,
        "undecided": explained.undecided,
        "reward": explained.derivation.reward.tolist(),
        **document(explained.derivation),
        "responses": [
            {**{name: row[name] for name in (*SHOWN, *REWARDS)}, "tokens": len(row["logprob"])} for row in group.rows
        ],
        "largest_difference": dict(explained.largest_difference),
        "equal": not explained.unequal,
    }


def print_explained(explained: "Explained") -> None:
    """Print the group, then the steps from its log-probs and rewards to its advantages."""
    from icpo_cli.report.explain import TOLERANCE  # given numbers are explained without it

    group, config = explained.group, explained.group.config
    say = typer.echo
    say(f"run {group.run_id}, iteration {group.iteration}, method {printable(config.method.name)}")
    say(f"prompt {printable(group.prompt_id)}: {_short(group.rows[0]['question'])}")
    say(f"gold   {_short(group.rows[0]['gold'])}")
    if group.asked > 1:
        say(f"The iteration sampled this prompt {group.asked} times; this is the first group.")
    weights = config.reward
    for k, row in enumerate(group.rows, 1):
        answer = "no answer" if row["extracted"] is None else f"answer {_short(row['extracted'])}"
        say(f"O{k}  {row['verdict']}, {answer}, {len(row['logprob'])} tokens: {_short(row['text'])}")
        noise = f" {row['reward_noise']:+g} noise" if row["reward_noise"] else ""
        say(
            f"    R_verif = {weights.answer_weight:g} * {row['reward_answer']:g} + "
            f"{weights.format_weight:g} * {row['reward_format']:g}{noise} = {row['reward_verif']:.4f}"
        )
    how = {"mean_prob": "log of the mean token probability, Eq. 7", "mean_logprob": "mean of the tokens' log-probs"}
    confidences = "  ".join(f"O{k} {value:.6f}" for k, value in enumerate(explained.derivation.confidence.tolist(), 1))
    say(f"0. Confidence ({how[config.method.confidence]}):  {confidences}")
    print_steps(explained.derivation, config.method, explained.omega)
    if explained.undecided:
        say("The advantages are 0: a response has no verdict, so the group's mean reward is not known.")
    if not explained.unequal:
        gap = max(explained.largest_difference.values())
        say(f"All numbers equal the logged ones (largest difference {gap:.1e}, tolerance {TOLERANCE:g}).")


def difference_text(explained: "Explained") -> str:
    """Columns that differ from the logged values, in one line."""
    group = explained.group
    gaps = ", ".join(f"{name} by {explained.largest_difference[name]:.3g}" for name in explained.unequal)
    return (
        f"run {group.run_id}, iteration {group.iteration}, prompt {group.prompt_id}: logged values differ from "
        f"those that its configuration, log-probs and rewards give: {gaps}"
    )


def _short(text: str) -> str:
    shown = printable(" ".join(text.split()))
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST // 2]} ... {shown[-LONGEST // 2 :]}"
