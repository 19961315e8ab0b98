"""`icpo data`: the data sets that runs and benchmarks need: list, fetch, check."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from icpo_cli.ablate.study import is_study_file
from icpo_cli.cli.bench import AsJson, Settings, data_folder
from icpo_cli.config.check import check_source
from icpo_cli.config.load import experiment_file, is_override, load_config
from icpo_cli.config.schema import Config, JudgeConfig
from icpo_cli.data.benchmarks import BENCHMARKS, resolve_names
from icpo_cli.data.benchmarks.benchmark import Benchmark
from icpo_cli.data.benchmarks.load import Unavailable, find, how_to_get, obtain
from icpo_cli.data.check import DataCheck, check_data
from icpo_cli.data.sources import how_to_get_source, load_questions, source_here, source_name
from icpo_cli.errors import RunFailed, UserError
from icpo_cli.grading.verifier import Verifier
from icpo_cli.tables.terminal import print_table
from icpo_cli.text import printable

app = typer.Typer(help="Data sets: list, fetch and check.", no_args_is_help=True)

PAIRS_SHOWN = 20
REPEATS_SHOWN = 3


@app.command("list")
def list_(settings: Settings = None, as_json: AsJson = False) -> None:
    """List the data sets of the configurations (no FILE: all shipped ones) and benchmarks, and where they are."""
    data_sets = _configured(_configs(settings or [])) + _benchmarks(data_folder(settings or []))
    if as_json:
        typer.echo(json.dumps({"data_sets": data_sets}))
        return
    print_table(
        ("data set", "for", "here"),
        [(row["data_set"], _some(row["wanted_by"]), row["here"] or "missing") for row in data_sets],
    )
    for row in data_sets:
        if row["here"] is None:
            typer.echo(f"{row['data_set']}: {row['how']}")


@app.command("prepare")
def prepare(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[NAME ...] [FILE.yaml ...] [key=value ...]",
            help="Benchmarks, groups, or train: the configuration's training data. Default: all of these.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch missing data sets from the hub, into eval.data_dir if that is set, else into the user's cache."""
    requested, settings = _split(names or [])
    config = _config(settings)
    folder = data_folder(settings)
    if folder is not None and not folder.is_dir():
        raise UserError(f"eval.data_dir: {folder}: no such folder")
    benches = resolve_names([name for name in requested or ["all"] if name != "train"])
    results = [_prepare_benchmark(BENCHMARKS[name], folder) for name in benches]
    if not requested or "train" in requested:
        results.append(_prepare_training(config))
    if as_json:
        typer.echo(json.dumps({"data_sets": results}))
    else:
        for result in results:
            typer.echo(f"{result['name']}: {result['status']}: {result['where'] or result['how']}")
    missing = [str(result["name"]) for result in results if result["status"] == "missing"]
    if missing:
        raise RunFailed(f"{len(missing)} of {len(results)} data sets are not available: {', '.join(missing)}")


@app.command("check")
def check(
    settings: Settings = None,
    n: Annotated[int, typer.Option("--ngram", metavar="N", min=1, help="Words in a row that count as overlap.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Load the training data (no FILE: the quickstart's) and the local benchmarks; count, and find overlap."""
    config = _config(settings or [])
    check_source(config.data.train, "data.train")
    with Verifier(replace(config.reward, judge=JudgeConfig())) as verifier:  # golds need no judge
        result = check_data(config, data_folder(settings or []), n, verifier.check_golds)
    if as_json:
        typer.echo(json.dumps(asdict(result)))
    else:
        _print_check(result)
    unusable = [part.name for part in result.sets if part.problem]
    if unusable:
        raise RunFailed(f"data check: cannot be used: {', '.join(unusable)}")


def _some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def _configured(configs: Mapping[str, Config]) -> list[dict[str, Any]]:
    """The training and held-out data of the named configurations: where each set is, and how to get it."""
    rows: dict[str, dict[str, Any]] = {}
    for name, config in configs.items():
        for source in (config.data.train, config.data.heldout):
            if source is not None:
                data_set = source_name(source)
                found = {"here": source_here(source), "how": how_to_get_source(source)}
                names = rows.setdefault(data_set, {"data_set": data_set, "wanted_by": [], **found})["wanted_by"]
                names += [] if name in names else [name]
    return list(rows.values())


def _benchmarks(data_dir: Path | None) -> list[dict[str, Any]]:
    """The same for the benchmarks."""
    return [
        {
            "data_set": name,
            "wanted_by": [f"--bench {benchmark.group}"],
            "here": None if (file := find(benchmark, data_dir)) is None else file.origin,
            "how": how_to_get(benchmark),
        }
        for name, benchmark in BENCHMARKS.items()
    ]


def _configs(settings: Sequence[str]) -> dict[str, Config]:
    """Configurations by name: each FILE with the key=value overrides; without files, every shipped experiment."""
    overrides = [setting for setting in settings if is_override(setting)]
    files = {setting: setting for setting in settings if not is_override(setting)}
    if not files:
        root = experiment_file("quickstart.yaml").parent
        files = {
            str(path.relative_to(root)): str(path)
            for path in sorted(root.rglob("*.yaml"))
            if not path.stem.startswith("base") and not is_study_file(path)
        }
    return {name: load_config([file, *overrides]) for name, file in files.items()}


def _config(settings: Sequence[str]) -> Config:
    files = any(not is_override(setting) for setting in settings)
    return load_config(settings if files else [str(experiment_file("quickstart.yaml")), *settings])


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Split arguments into data set names and settings (key=value or a YAML file)."""
    settings = [a for a in arguments if is_override(a) or Path(a).suffix in (".yaml", ".yml")]
    return [argument for argument in arguments if argument not in settings], settings


def _prepare_benchmark(benchmark: Benchmark, folder: Path | None) -> dict[str, str | None]:
    found = find(benchmark, folder)
    if found is not None:
        found.load()
        return {"name": benchmark.name, "status": "here", "where": found.origin, "how": ""}
    try:
        loaded = obtain(benchmark, folder)
    except Unavailable as reason:
        how = f"{reason}; {how_to_get(benchmark)}"
        return {"name": benchmark.name, "status": "missing", "where": None, "how": how}
    return {"name": benchmark.name, "status": "fetched", "where": f"from {loaded.source}", "how": ""}


def _prepare_training(config: Config) -> dict[str, str | None]:
    source = config.data.train
    status = "here" if source_here(source) else "fetched"
    try:
        questions = load_questions(source)
    except UserError as error:
        how = f"{error}; {how_to_get_source(source)}"
        return {"name": "train", "status": "missing", "where": None, "how": how}
    return {"name": "train", "status": status, "where": f"{source_name(source)}, {len(questions):,} rows", "how": ""}


def _print_check(result: DataCheck) -> None:
    rows = [
        (
            part.name,
            f"{part.questions:,}" if not part.problem else "-",
            str(len(part.repeats)),
            str(len(part.gold_problems)),
            str(result.overlapping.get(part.name, "")),
            part.problem or part.source,
        )
        for part in result.sets
    ]
    print_table(("data", "questions", "repeated", "bad golds", f"shared {result.n}-grams", "from"), rows)
    for part in result.sets:
        for name, earlier in part.repeats[:REPEATS_SHOWN]:
            typer.echo(f"{part.name}: {printable(name)} repeats {printable(earlier)}")
        for name, problem in list(part.gold_problems.items())[:PAIRS_SHOWN]:
            typer.echo(f"{part.name}: gold of {printable(name)}: {printable(problem)}")
    if result.missing:
        typer.echo(f"not on this machine, so not checked: {', '.join(result.missing)}")
    if result.overlap:
        more = len(result.overlap) - PAIRS_SHOWN
        typer.echo(f"\noverlapping pairs{f', the first {PAIRS_SHOWN} (all: --json)' if more > 0 else ''}")
        pairs = [(pair.train_id, pair.bench_id, str(pair.shared), pair.ngram) for pair in result.overlap[:PAIRS_SHOWN]]
        print_table(("training", "benchmark", "shared", "first n-gram"), pairs)
    else:
        typer.echo(_no_overlap(result))


def _no_overlap(result: DataCheck) -> str:
    if not result.overlapping:
        return "nothing was compared: no benchmark's data is on this machine"
    return f"the training data shares no {result.n} consecutive words with {', '.join(result.overlapping)}"
