"""`icpo explain`: how advantages follow from confidences and rewards, step by step."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from icpo_cli.cli.runs import Store
from icpo_cli.config.schema import MethodConfig
from icpo_cli.errors import RunFailed, UserError
from icpo_cli.text import printable

if TYPE_CHECKING:
    from icpo_cli.objective.methods import Derivation
    from icpo_cli.report.explain import ExplainedGroup

RUN_HELP = "A training run in runs/ or in the store: its id, a prefix of it, its folder or its name."
DELTA, TAU, OMEGA = 0.4, 2.0, 1.0
JSON_FIELDS = ("confidence", "preference_score", "bonus", "final_reward", "advantage", "grpo_advantage")
STDS = {"population": "population std", "sample": "sample std", "none": "centred only"}
LONGEST = 200
"""Characters of a text that are shown; the answer is at its end."""
SHOWN = ("response", "text", "extracted", "verdict", "rule", "reason")
REWARDS = ("reward_answer", "reward_format", "reward_noise", "reward_verif")


def explain(
    run: Annotated[str | None, typer.Argument(metavar="[RUN]", help=RUN_HELP)] = None,
    iteration: Annotated[int | None, typer.Option(metavar="I", min=1, help="An iteration of RUN, from 1.")] = None,
    prompt: Annotated[str | None, typer.Option(metavar="P", help="A prompt's id, or a prefix of it.")] = None,
    logprob: Annotated[
        str | None,
        typer.Option(help="Confidence of each response (log of its mean token probability), comma-separated."),
    ] = None,
    reward: Annotated[str | None, typer.Option(help="R_verif of each response, comma-separated.")] = None,
    delta: Annotated[float | None, typer.Option(help=f"Scale of the preference score. Default: {DELTA:g}.")] = None,
    tau: Annotated[float | None, typer.Option(help=f"The bonus is capped at |R| / tau. Default: {TAU:g}.")] = None,
    omega: Annotated[float | None, typer.Option(help=f"Weight of the bonus. Default: {OMEGA:g}.")] = None,
    store: Store = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of text.")] = False,
) -> None:
    """Derive the advantages of one group: a stored one (RUN), or given numbers as in the paper's Tables 7 and 8.

    A stored group is derived again with its run's configuration and compared with the logged values.
    Values that begin with a minus sign need the equals sign: --logprob=-0.01,-0.05.
    """
    given = {"--logprob": logprob, "--reward": reward, "--delta": delta, "--tau": tau, "--omega": omega}
    stored = {"--iteration": iteration, "--prompt": prompt, "--store": store}
    if run is not None:
        _check_absent(given, "with RUN, which has its own values")
        _explain_run(run, iteration, prompt, store, as_json)
        return
    _check_absent(stored, "without RUN")
    if logprob is None or reward is None:
        raise UserError(
            "explain: name a RUN with --iteration and --prompt, or give --logprob and --reward of each response"
        )
    method = _method(DELTA if delta is None else delta, TAU if tau is None else tau)
    _explain_given(logprob, reward, method, OMEGA if omega is None else omega, as_json)


def _explain_run(run: str, iteration: int | None, prompt: str | None, store: str | None, as_json: bool) -> None:
    if iteration is None:
        raise UserError("--iteration: name an iteration of RUN, from 1")
    from icpo_cli.report.explain import explain_group

    group = explain_group(run, iteration, prompt, store)
    if as_json:
        typer.echo(json.dumps(_group_json(group)))
    else:
        _print_group(group)
    if group.unequal:
        gaps = ", ".join(f"{name} by {group.largest_difference[name]:.3g}" for name in group.unequal)
        raise RunFailed(
            f"run {group.run_id}, iteration {group.iteration}, prompt {group.prompt_id}: logged values differ from "
            f"those that its configuration, log-probs and rewards give: {gaps}"
        )


def _explain_given(logprob: str, reward: str, method: MethodConfig, omega: float, as_json: bool) -> None:
    confidences, rewards = _numbers("--logprob", logprob), _numbers("--reward", reward)
    if len(confidences) != len(rewards):
        raise UserError(f"--reward: {len(rewards)} rewards for {len(confidences)} responses")
    if len(confidences) < 2:
        raise UserError("--logprob: a group needs 2 responses or more")
    if any(value > 0 for value in confidences):
        raise UserError(f"--logprob: {max(confidences)} is above 0, which no log-probability is")

    import torch

    from icpo_cli.objective.methods import derive

    confidence, verif = (torch.tensor(numbers, dtype=torch.float64) for numbers in (confidences, rewards))
    derivation = derive(confidence, verif, omega, method)
    if as_json:
        typer.echo(json.dumps(_derivation_json(derivation)))
    else:
        _print_steps(derivation, method, omega)


def _method(delta: float, tau: float) -> MethodConfig:
    for name, value in (("--delta", delta), ("--tau", tau)):
        if not (value > 0 and math.isfinite(value)):
            raise UserError(f"{name}: {value} must be positive and finite")
    return MethodConfig(delta=delta, tau=tau)


def _check_absent(options: Mapping[str, object], when: str) -> None:
    for name, value in options.items():
        if value is not None:
            raise UserError(f"{name}: not {when}")


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


def _order_of(derivation: "Derivation") -> list[int]:
    """Response numbers, from 1, by ascending confidence."""
    confidence = derivation.confidence.tolist()
    return [1 + i for i in sorted(range(len(confidence)), key=lambda i: confidence[i])]


def _derivation_json(derivation: "Derivation") -> dict[str, Any]:
    numbers = {name: getattr(derivation, name).tolist() for name in JSON_FIELDS}
    return {"order": _order_of(derivation), **numbers}


def _print_steps(derivation: "Derivation", method: MethodConfig, omega: float) -> None:
    """Print the steps of the paper's Tables 7 and 8: order, pairs, scores, rewards, advantages."""
    from icpo_cli.objective.confidence import LOG_PROB_CEILING

    confidence = [min(value, LOG_PROB_CEILING) for value in derivation.confidence.tolist()]
    reward, score = derivation.reward.tolist(), derivation.preference_score.tolist()
    final, bonus = derivation.final_reward.tolist(), derivation.bonus.tolist()
    order, delta, tau = _order_of(derivation), method.delta, method.tau
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


def _group_json(group: "ExplainedGroup") -> dict[str, Any]:
    """Document of --json: the keys of `icpo explain` on given numbers, and facts of the group."""
    return {
        "run_id": group.run_id,
        "iteration": group.iteration,
        "prompt_id": group.prompt_id,
        "question": group.rows[0]["question"],
        "gold": group.rows[0]["gold"],
        "method": group.config.method.name,
        "delta": group.config.method.delta,
        "tau": group.config.method.tau,
        "omega": group.omega,
        "undecided": group.undecided,
        "reward": group.derivation.reward.tolist(),
        **_derivation_json(group.derivation),
        "responses": [
            {**{name: row[name] for name in (*SHOWN, *REWARDS)}, "tokens": len(row["logprob"])} for row in group.rows
        ],
        "largest_difference": dict(group.largest_difference),
        "equal": not group.unequal,
    }


def _print_group(group: "ExplainedGroup") -> None:
    """Print the group, then the steps from its log-probs and rewards to its advantages."""
    from icpo_cli.report.explain import TOLERANCE

    method, weights = group.config.method, group.config.reward
    say = typer.echo
    say(f"run {group.run_id}, iteration {group.iteration}, method {printable(method.name)}")
    say(f"prompt {printable(group.prompt_id)}: {_short(group.rows[0]['question'])}")
    say(f"gold   {_short(group.rows[0]['gold'])}")
    if group.groups > 1:
        say(f"The iteration sampled this prompt {group.groups} times; this is the first group.")
    for k, row in enumerate(group.rows, 1):
        answer = "no answer" if row["extracted"] is None else f"answer {_short(row['extracted'])}"
        say(f"O{k}  {row['verdict']}, {answer}, {len(row['logprob'])} tokens: {_short(row['text'])}")
        noise = f" {row['reward_noise']:+g} noise" if row["reward_noise"] else ""
        say(
            f"    R_verif = {weights.answer_weight:g} * {row['reward_answer']:g} + "
            f"{weights.format_weight:g} * {row['reward_format']:g}{noise} = {row['reward_verif']:.4f}"
        )
    how = {"mean_prob": "log of the mean token probability, Eq. 7", "mean_logprob": "mean of the tokens' log-probs"}
    confidences = "  ".join(f"O{k} {value:.6f}" for k, value in enumerate(group.derivation.confidence.tolist(), 1))
    say(f"0. Confidence ({how[method.confidence]}):  {confidences}")
    _print_steps(group.derivation, method, group.omega)
    if group.undecided:
        say("The advantages are 0: a response has no verdict, so the group's mean reward is not known.")
    if not group.unequal:
        gap = max(group.largest_difference.values())
        say(f"All numbers equal the logged ones (largest difference {gap:.1e}, tolerance {TOLERANCE:g}).")


def _short(text: str) -> str:
    shown = printable(" ".join(text.split()))
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST // 2]} ... {shown[-LONGEST // 2 :]}"
