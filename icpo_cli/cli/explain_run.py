"""Output of `icpo explain RUN`: a stored group and its derivation."""

from typing import Any

import typer

from icpo_cli.cli.explain_steps import document, print_steps
from icpo_cli.report.explain import TOLERANCE, Explained
from icpo_cli.text import printable

LONGEST = 200
"""Characters of a text that are shown; the answer is at its end."""
SHOWN = ("response", "text", "extracted", "verdict", "rule", "reason")
REWARDS = ("reward_answer", "reward_format", "reward_noise", "reward_verif")


def explained_json(explained: Explained) -> dict[str, Any]:
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


def print_explained(explained: Explained) -> None:
    """Print the group, then the steps from its log-probs and rewards to its advantages."""
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


def difference_text(explained: Explained) -> str:
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
