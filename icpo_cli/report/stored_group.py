"""The stored responses of one prompt in one iteration of a training run, from its folder or from the store."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from icpo_cli.config.load import load_config
from icpo_cli.config.schema import Config
from icpo_cli.errors import UserError
from icpo_cli.report.find import find_run
from icpo_cli.runs.checkpoints import iteration_of
from icpo_cli.runs.parquet import Row, read_rows, read_table
from icpo_cli.runs.run_dir import ARTIFACTS, Kind, matching_runs
from icpo_cli.runs.run_dir import find_run as find_folder
from icpo_cli.track.read import DEFAULT, open_store

RUNS = Path(Config().train.output_dir)
COLUMNS = (
    "question",
    "gold",
    "response",
    "text",
    "logprob",
    "verdict",
    "extracted",
    "rule",
    "reason",
    "reward_answer",
    "reward_format",
    "reward_noise",
    "reward_overlong",
    "reward_verif",
    "decided",
    "confidence",
    "preference_score",
    "bonus",
    "reward_final",
    "advantage",
    "grpo_advantage",
)
SHOWN_PROMPTS = 5


@dataclass(frozen=True)
class StoredGroup:
    """G rows of a table of responses, and what they come from."""

    run_id: str
    config: Config
    iteration: int
    prompt_id: str
    rows: tuple[Row, ...]
    batch: tuple[tuple[float, ...], tuple[float, ...]]
    """Final rewards and rewards of all the iteration's decided groups: what a batch's baseline is taken over."""
    asked: int
    """How often the iteration asked the prompt: twice where it spans two epochs. The rows are the first time's."""


def stored_group(run: str, iteration: int, prompt: str | None, store: str | None) -> StoredGroup:
    """`run` in runs/, else in the store; with a `store`, there alone. `prompt` is an id or a beginning of one.

    Raises UserError, which without a `prompt` names those that there are.
    """
    files = _in_folder(run) if store is None and matching_runs(RUNS, run) else _in_store(run, store)
    config = load_config([str(files.config)])
    table = files.find(iteration)
    if table is None:
        known = f"there: {_spans(files.iterations)}" if files.iterations else "there are none of any"
        raise UserError(f"--iteration {iteration}: run {files.run_id} has no stored responses of it; {known}")
    try:
        responses = read_table(table, ["prompt_id", "decided", "reward_final", "reward_verif"])
        prompts = [row["prompt_id"] for row in responses]
        prompt_id = _prompt(prompts, iteration, prompt)
        places = [place for place, each in enumerate(prompts) if each == prompt_id]
        size = config.rollout.group_size
        rows = read_rows(table, COLUMNS, places[:size])
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise UserError(f"{table}: cannot be read: {' '.join(str(error).split())[:200]}") from error
    batch = _batch([row for row in responses if row["decided"]])
    return StoredGroup(files.run_id, config, iteration, prompt_id, tuple(rows), batch, len(places) // size)


def _batch(decided: Sequence[Row]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(row["reward_final"] for row in decided), tuple(row["reward_verif"] for row in decided)


@dataclass(frozen=True)
class _Files:
    """A run's configuration and tables of responses."""

    run_id: str
    config: Path
    iterations: Sequence[int]
    """Those that have a table."""
    find: Callable[[int], Path | None]


def _in_folder(run: str) -> _Files:
    found = find_folder(RUNS, run, "RUN")
    tables = found.responses()
    return _Files(run_id=found.id, config=found.config_file, iterations=list(tables), find=tables.get)


def _in_store(run: str, uri: str | None) -> _Files:
    if uri is None and not Path(DEFAULT).is_file():
        raise UserError(f"RUN {run}: no such run in {RUNS}/, and there is no store {DEFAULT} here; --store names one")
    store = open_store(uri)
    found = find_run(store.runs(), run, "RUN")
    if found.kind is not Kind.TRAIN:
        raise UserError(f"RUN {run}: is of kind {found.kind.value}: only a training run has groups to explain")
    config = store.artifact(found.id, str(ARTIFACTS.config_file))
    if config is None:
        raise UserError(f"RUN {run}: the store holds no {ARTIFACTS.config_file} of it on this machine")
    names = [Path(name) for name in store.artifacts(found.id)]
    return _Files(
        run_id=found.id,
        config=config,
        iterations=[iteration_of(name) for name in names if name.parent == ARTIFACTS.responses_folder],
        find=lambda iteration: store.artifact(found.id, str(ARTIFACTS.responses_file(iteration))),
    )


def _spans(numbers: Sequence[int]) -> str:
    """1 to 3, where all between are there too; else the first ones."""
    if list(numbers) == list(range(numbers[0], numbers[-1] + 1)):
        return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers[:SHOWN_PROMPTS])) + (", ..." if len(numbers) > SHOWN_PROMPTS else "")


def _prompt(prompts: Sequence[str], iteration: int, wanted: str | None) -> str:
    """The id of that name, or the only one that begins so. Raises UserError."""
    known = list(dict.fromkeys(prompts))
    if wanted is None:
        raise UserError(
            f"--prompt: name a prompt's id, or a beginning of it; iteration {iteration} has {', '.join(known)}"
        )
    found = [each for each in known if each == wanted] or [each for each in known if each.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    shown = found or known
    said = "several prompts begin so" if found else f"no prompt of iteration {iteration} begins so; there"
    more = f", ... ({len(shown):,} in all)" if len(shown) > SHOWN_PROMPTS else ""
    raise UserError(f"--prompt {wanted}: {said}: {', '.join(shown[:SHOWN_PROMPTS])}{more}")
