"""`icpo explain`: how advantages follow from confidences and rewards, step by step."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from icpo_cli.cli.runs import Store
from icpo_cli.errors import RunFailed, UserError

if TYPE_CHECKING:
    from icpo_cli.config.schema import MethodConfig

RUN_HELP = "A training run in runs/ or in the store: its id, a prefix of it, its folder or its name."
DELTA, TAU, OMEGA = 0.4, 2.0, 1.0


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
    from icpo_cli.cli.explain_display import difference_text, explained_json, print_explained
    from icpo_cli.report.explain import explain as derive_again
    from icpo_cli.report.explain import stored_group

    explained = derive_again(stored_group(run, iteration, prompt, store))
    if as_json:
        typer.echo(json.dumps(explained_json(explained)))
    else:
        print_explained(explained)
    if explained.unequal:
        raise RunFailed(difference_text(explained))


def _explain_given(logprob: str, reward: str, method: "MethodConfig", omega: float, as_json: bool) -> None:
    confidences, rewards = _numbers("--logprob", logprob), _numbers("--reward", reward)
    if len(confidences) != len(rewards):
        raise UserError(f"--reward: {len(rewards)} rewards for {len(confidences)} responses")
    if len(confidences) < 2:
        raise UserError("--logprob: a group needs 2 responses or more")
    if any(value > 0 for value in confidences):
        raise UserError(f"--logprob: {max(confidences)} is above 0, which no log-probability is")

    import torch

    from icpo_cli.cli.explain_display import document, print_steps
    from icpo_cli.objective.methods import derive

    confidence, verif = (torch.tensor(numbers, dtype=torch.float64) for numbers in (confidences, rewards))
    derivation = derive(confidence, verif, omega, method)
    if as_json:
        typer.echo(json.dumps(document(derivation)))
    else:
        print_steps(derivation, method, omega)


def _method(delta: float, tau: float) -> "MethodConfig":
    from icpo_cli.config.schema import MethodConfig

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
