"""Derivation of a stored group's advantages from its log-probs and rewards, compared with what the run logged.

The one module of the report that imports torch: `icpo explain` alone imports it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from icpo_cli.config.load import load_config
from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError
from icpo_cli.objective.confidence import CONFIDENCE
from icpo_cli.objective.methods import Derivation, derive
from icpo_cli.objective.omega import omega_at
from icpo_cli.report.responses import DERIVED, REWARDS
from icpo_cli.report.runs import find_run
from icpo_cli.runs.checkpoints import iteration_of
from icpo_cli.runs.parquet import Row, read_rows, read_table
from icpo_cli.runs.run_dir import ARTIFACTS, Kind, matching_runs
from icpo_cli.runs.run_dir import find_run as find_run_dir
from icpo_cli.text import some
from icpo_cli.track.read import DEFAULT, open_store

TOLERANCE = 1e-6
RUNS = Path(Config().train.output_dir)
TEXTS = ("question", "gold", "response", "text", "extracted", "verdict", "rule", "reason")
COLUMNS = (*TEXTS, *REWARDS, *DERIVED, "logprob", "decided")
FIELDS = {"reward_verif": "reward", "reward_final": "final_reward"}
"""Fields of Derivation for the columns that are called differently."""
Tables = Mapping[int, Callable[[], Path | None]]
"""Functions that find an iteration's table of responses, which may be on a server."""


@dataclass(frozen=True)
class ExplainedGroup:
    """One stored group, its derivation, and the differences from the logged values."""

    run_id: str
    config: Config
    iteration: int
    prompt_id: str
    rows: tuple[Row, ...]
    """G rows of the iteration's table of responses: the prompt's first group."""
    groups: int
    """Groups of this prompt in the iteration: 2 if it spans two epochs."""
    omega: float
    derivation: Derivation
    largest_difference: Mapping[str, float]
    """Largest absolute difference between derived and logged values, by column."""

    @property
    def undecided(self) -> bool:
        """A response of the group has no verdict, so its advantages are 0."""
        return not self.rows[0]["decided"]

    @property
    def unequal(self) -> list[str]:
        """Columns whose logged values differ by more than TOLERANCE."""
        return [name for name, gap in self.largest_difference.items() if not gap <= TOLERANCE]


def explain_group(run: str, iteration: int, prompt: str | None, store: str | None) -> ExplainedGroup:
    """Derive the advantages of a group of a run's folder, or of the store; with a `store`, of that alone.

    `prompt` is an id or a prefix of one. Raises UserError, which lists the prompts if none is given.
    """
    run_id, config_file, tables = (
        _from_folder(run) if store is None and matching_runs(RUNS, run) else _from_store(run, store)
    )
    config = load_config([str(config_file)])
    table = tables[iteration]() if iteration in tables else None
    if table is None:
        known = f"stored iterations: {_spans(sorted(tables))}" if tables else "no iteration has any"
        raise UserError(f"--iteration {iteration}: run {run_id} has no stored responses for it; {known}")
    try:
        responses = read_table(table, ["prompt_id", "decided", "reward_final", "reward_verif"])
        prompts = [row["prompt_id"] for row in responses]
        prompt_id = _prompt(prompts, iteration, prompt)
        indices = [index for index, each in enumerate(prompts) if each == prompt_id]
        size = config.rollout.group_size
        rows = read_rows(table, COLUMNS, indices[:size])
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise UserError(f"{table}: cannot be read: {' '.join(str(error).split())[:200]}") from error
    decided = [row for row in responses if row["decided"]]
    batch = _column(decided, "reward_final"), _column(decided, "reward_verif")  # for a baseline over the batch
    omega = omega_at(iteration, config.method, config.train.iterations)
    derivation = _derivation(config, rows, omega, torch.stack(batch))
    derived = {name: getattr(derivation, FIELDS.get(name, name)) for name in ("reward_verif", *DERIVED)}
    gaps = {name: _gap(values, _column(rows, name)) for name, values in derived.items()}
    return ExplainedGroup(
        run_id, config, iteration, prompt_id, tuple(rows), len(indices) // size, omega, derivation, gaps
    )


def _derivation(config: Config, rows: Sequence[Row], omega: float, batch: Tensor) -> Derivation:
    """Derivation of one group with the run's own configuration. `batch`: [2, N]"""
    logprob, mask = _padded([row["logprob"] for row in rows])
    confidence = CONFIDENCE[config.method.confidence](logprob, mask)  # [G]
    weights = config.reward
    reward = (  # R_verif from its parts (Eq. 10), [G]
        weights.answer_weight * _column(rows, "reward_answer")
        + weights.format_weight * _column(rows, "reward_format")
        + _column(rows, "reward_noise")
        + _column(rows, "reward_overlong")
    )
    return derive(confidence, reward, omega, config.method, torch.tensor(rows[0]["decided"]), lambda _: batch)


def _column(rows: Sequence[Row], name: str) -> Tensor:
    return torch.tensor([row[name] for row in rows], dtype=torch.float64)


def _from_folder(run: str) -> tuple[str, Path, Tables]:
    """Id, configuration file and tables of a run in runs/."""
    found = find_run_dir(RUNS, run, "RUN")
    return (
        found.id,
        found.config_file,
        {iteration: partial(Path, path) for iteration, path in found.responses().items()},
    )


def _from_store(run: str, uri: str | None) -> tuple[str, Path, Tables]:
    """Id, configuration file and tables of a run in the store."""
    if uri is None and not Path(DEFAULT).is_file():
        raise UserError(f"RUN {run}: no such run in {RUNS}/, and there is no store {DEFAULT} here; --store names one")
    store = open_store(uri)
    found = find_run(store.runs(), run, "RUN")
    if found.kind is not Kind.TRAIN:
        raise UserError(f"RUN {run}: is of kind {found.kind.value}: only a training run has groups to explain")
    config = store.artifact(found.id, str(ARTIFACTS.config_file))
    if config is None:
        raise UserError(f"RUN {run}: the store has no {ARTIFACTS.config_file} of it on this machine")
    names = [Path(name) for name in store.artifacts(found.id)]
    stored = [name for name in names if name.parent == ARTIFACTS.responses_folder]
    return found.id, config, {iteration_of(name): partial(store.artifact, found.id, str(name)) for name in stored}


def _spans(numbers: Sequence[int]) -> str:
    """1 to 3 for consecutive numbers; else the first ones."""
    if len(numbers) > 1 and list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return f"{numbers[0]} to {numbers[-1]}"
    return some([str(number) for number in numbers])


def _prompt(prompts: Sequence[str], iteration: int, wanted: str | None) -> str:
    """The prompt with that id, or the only one whose id begins with it. Raises UserError."""
    known = list(dict.fromkeys(prompts))
    if wanted is None:
        raise UserError(
            f"--prompt: name a prompt's id, or a prefix of it; iteration {iteration} has {', '.join(known)}"
        )
    found = [each for each in known if each == wanted] or [each for each in known if each.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    shown = found or known
    problem = "several prompts match" if found else f"no prompt of iteration {iteration} matches; known"
    raise UserError(f"--prompt {wanted}: {problem}: {some(shown)}")


def _padded(logprobs: list[list[float]]) -> tuple[Tensor, Tensor]:
    """[G][T_g] -> log-probs [G, T], and the mask [G, T] that is 1 on tokens."""
    longest = max(map(len, logprobs))
    logprob, mask = torch.zeros(2, len(logprobs), max(longest, 1), dtype=torch.float64)  # [G, T] each
    for g, values in enumerate(logprobs):
        logprob[g, : len(values)] = torch.tensor(values, dtype=torch.float64)
        mask[g, : len(values)] = 1
    return logprob, mask


def _gap(derived: Tensor, logged: Tensor) -> float:
    """Largest absolute difference; equal infinities are equal, a NaN is infinitely far."""
    gap = torch.where(derived == logged, 0.0, (derived - logged).abs())
    return float(gap.nan_to_num(nan=float("inf")).max())
