"""Inputs of an evaluation: a model, a file of responses, or an earlier evaluation."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from icpo_cli.config.load import Layer, load_config, nearest, to_tree
from icpo_cli.config.schema import Config, ModelConfig
from icpo_cli.data.benchmarks import BENCHMARKS
from icpo_cli.data.sources import READERS
from icpo_cli.errors import UserError
from icpo_cli.evaluate.plan import Key, Task
from icpo_cli.evaluate.store import StoredResponse
from icpo_cli.models.locate import BUILDERS, HUB_FILES, architecture_of
from icpo_cli.runs.checkpoints import iteration_in
from icpo_cli.runs.parquet import read_table
from icpo_cli.runs.run_dir import RunDir, find_run

INHERITED = {"model": ("dtype",), "data": ("template", "examples"), "track": ("uri", "experiment")}
"""Settings of a training run that its evaluation uses too, unless the command line sets them."""
RESULT_VERSION = 1
"""Version of stored results. Raise it when a field of EvalResult changes its meaning."""


@dataclass(frozen=True)
class ModelUnderTest:
    """The model that --model names."""

    name: str
    model: ModelConfig
    """Its path is a folder, a hub id or a name that `icpo model get` knows."""
    run_id: str | None
    """The training run, if the model is a checkpoint of one."""
    iteration: int | None = None
    """The checkpoint's."""


def model_under_test(name: str, arguments: Sequence[str]) -> tuple[ModelUnderTest, Config]:
    """The model, and the configuration of files and key=value above the settings inherited from its training run.

    Nothing is fetched. Raises UserError.
    """
    config = load_config(arguments)
    if _is_model(name):
        model = dataclasses.replace(config.model, path=name)
        architecture_of(model)
        return ModelUnderTest(name, model, None), dataclasses.replace(config, model=model)
    try:
        run = find_run(Path(config.train.output_dir), name, "--model")
    except UserError as error:
        others = f"a folder, a hub id (owner/name), {' or '.join(sorted(BUILDERS))}"
        raise UserError(f"{error}; a model that is not a run: {others}") from None
    config = load_config(arguments, [_inherited(run)])
    checkpoint = run.checkpoint(config.eval.checkpoint)
    if checkpoint is None:
        raise UserError(f"--model {name}: run {run.id} has no checkpoint '{config.eval.checkpoint}'")
    model = ModelConfig(str(checkpoint.folder.resolve()), None, config.model.dtype)
    iteration = iteration_in(checkpoint.folder.name)
    subject = ModelUnderTest(f"{run.id}/{checkpoint.folder.name}", model, run.id, iteration)
    return subject, dataclasses.replace(config, model=model)


def model_fingerprint(folder: Path) -> str:
    """sha256 over everything that decides the model's output: weights, configuration, tokenizer, chat template."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and _affects_output(path.name))
    with ThreadPoolExecutor(4) as pool:
        digests = list(pool.map(_sha256, files))
    lines = [f"{path.name} {digest}\n" for path, digest in zip(files, digests, strict=True)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True)
class PriorRun:
    """An earlier evaluation, to be graded again or compared with."""

    run_id: str
    config: Config
    model: str
    """The model's name, as the user gave it."""
    responses: dict[str, dict[Key, StoredResponse]]
    """Responses by benchmark."""
    unknown: dict[str, tuple[str, ...]]
    """Ids in a responses file that a benchmark does not have, by benchmark."""


def read_prior(run: str, option: str, arguments: Sequence[str]) -> PriorRun:
    """The evaluation that `run` names: its folder, its id or a unique prefix of it. Raises UserError.

    Its configuration is the stored one under the files and key=value of the command line.
    """
    found = find_run(Path(load_config(arguments).eval.output_dir), run, option)
    if not found.result_file.is_file() or not found.eval_responses_file.is_file():
        raise UserError(f"{option} {run}: {found.path}: not a finished evaluation: it has no {found.result_file.name}")
    document = json.loads(found.result_file.read_text(encoding="utf-8"))
    # Results had no version before the first one.
    if (version := document.get("version", RESULT_VERSION)) != RESULT_VERSION:
        raise UserError(
            f"{option} {run}: {found.result_file} has version {version}, this icpo reads version {RESULT_VERSION}"
        )
    responses: dict[str, dict[Key, StoredResponse]] = {result["bench"]: {} for result in document["results"]}
    for row in read_table(found.eval_responses_file):
        response = StoredResponse.from_row(row)
        responses[row["bench"]][response.key] = response
    return PriorRun(
        run_id=found.id,
        config=found.config(arguments),
        model=document["model"],
        responses=responses,
        unknown={bench: tuple(ids) for bench, ids in document["unknown"].items()},
    )


@dataclass(frozen=True)
class ResponsesFile:
    """Responses from another program: a file of {"id", "responses": [text, ...], "bench"?} lines."""

    responses: dict[str, dict[Key, StoredResponse]]
    """Responses by benchmark."""
    unknown: dict[str, tuple[str, ...]]
    """Ids that a benchmark does not have, by benchmark; a line without "bench" counts for every benchmark."""
    unused: int
    """Responses beyond the k of their question."""


def read_responses(path: Path, tasks: Sequence[Task]) -> ResponsesFile:
    """Raises UserError on a malformed line, a repeated id, and fewer responses to a question than its k."""
    by_name = {task.name: task for task in tasks}
    # Questions beyond eval.limit are known but not evaluated.
    known = {name: {question.id for question in task.available} for name, task in by_name.items()}
    evaluated = {name: {question.id for question in task.questions} for name, task in by_name.items()}
    responses: dict[str, dict[Key, StoredResponse]] = {name: {} for name in by_name}
    unknown: dict[str, list[str]] = {name: [] for name in by_name}
    locations: dict[tuple[str, str], str] = {}
    unused = 0
    for location, row in _rows(path):
        question, texts = _id_column(row, location), _responses_column(row, location)
        candidates = list(by_name) if row.get("bench") is None else _bench_column(row["bench"], by_name, location)
        matching = [name for name in candidates if question in known[name]]
        for name in matching or candidates:
            if (name, question) in locations:
                raise UserError(f"{location}: id '{question}' appears twice, first at {locations[name, question]}")
            locations[name, question] = location
            if not matching:
                unknown[name].append(question)
            elif question in evaluated[name]:
                unused += max(0, len(texts) - by_name[name].k)
                responses[name] |= _first_k(by_name[name], question, texts, location)
    return ResponsesFile(responses, {name: tuple(ids) for name, ids in unknown.items()}, unused)


def _is_model(name: str) -> bool:
    """True if the name cannot be that of a run: its id, a prefix of it, or its folder."""
    path = Path(name).expanduser()
    if path.is_dir():
        return not RunDir(path).exists()
    return name in BUILDERS or "/" in name or name.startswith((".", "~"))


def _inherited(run: RunDir) -> Layer:
    tree = to_tree(run.config())
    values = {section: {key: tree[section][key] for key in keys} for section, keys in INHERITED.items()}
    return Layer(str(run.config_file), values)


def _affects_output(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in HUB_FILES)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_k(task: Task, question: str, texts: Sequence[str], location: str) -> dict[Key, StoredResponse]:
    if len(texts) < task.k:
        raise UserError(
            f"{location}: question {question} has {len(texts)} responses, but {task.name} uses k = {task.k}; "
            f"provide {task.k}, or set eval.k={max(1, len(texts))}"
        )
    return {(question, index): StoredResponse(question, index, text) for index, text in enumerate(texts[: task.k])}


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    if not path.is_file():
        raise UserError(f"--responses {path}: no such file")
    rows = list(READERS[".jsonl"](path))
    if not rows:
        raise UserError(f"--responses {path}: contains no lines")
    return rows


def _id_column(row: dict[str, Any], location: str) -> str:
    value = row.get("id")
    if not isinstance(value, str | int) or isinstance(value, bool):
        raise UserError(f"{location}: 'id' must be a text, not {type(value).__name__}")
    return str(value)


def _responses_column(row: dict[str, Any], location: str) -> list[str]:
    texts = row.get("responses")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise UserError(f"{location}: 'responses' must be a list of texts")
    return texts


def _bench_column(bench: object, tasks: Mapping[str, Task], location: str) -> list[str]:
    """The line's benchmark; empty if this evaluation does not include it."""
    if bench not in BENCHMARKS:
        raise UserError(f"{location}: unknown benchmark '{bench}'{nearest(str(bench), list(BENCHMARKS))}")
    return [str(bench)] if bench in tasks else []
