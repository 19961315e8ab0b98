"""Loading of a benchmark's questions: from a local file or the hub, with checks against what is known of them."""

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from icpo_cli.data import sources
from icpo_cli.data.benchmarks.benchmark import Benchmark, BenchmarkSource, HubDataset
from icpo_cli.data.sources import RawRow
from icpo_cli.errors import UserError
from icpo_cli.records import Question
from icpo_cli.rng import sha256
from icpo_cli.runs.files import atomic_write


@dataclass(frozen=True)
class LoadedBenchmark:
    """A benchmark with its questions and their origin."""

    benchmark: Benchmark
    questions: tuple[Question, ...]
    source: str
    """The file, or the id of the hub's data set."""
    revision: str | None
    """The hub's; None for a file of the data folder."""
    fingerprint: str
    """sha256 over id, text, options and gold of each question."""


class Unavailable(Exception):
    """A data set cannot be loaded from the hub: no network, no access, or it does not exist."""


def load(benchmark: Benchmark, data_dir: Path | None) -> LoadedBenchmark:
    """Load from the data folder (or one file), else from the user's cache, else from the hub.

    Raises UserError: data that is missing or gated (with how to get it), wrong columns, a wrong count, golds that
    differ from the known ones, repeated ids.
    """
    found = find(benchmark, data_dir)
    if found is not None:
        return found.load()
    try:
        return obtain(benchmark, None)
    except Unavailable as reasons:
        raise UserError(
            f"{benchmark.name}: {_missing(benchmark, data_dir)}: {reasons}; {how_to_get(benchmark)}"
        ) from None


def obtain(benchmark: Benchmark, folder: Path | None) -> LoadedBenchmark:
    """Fetch from the first hub data set that is available, into the folder, else the cache. Raises Unavailable."""
    reasons = []
    for source, hub in _on_hub(benchmark):
        path = _cached_file(source, hub) if folder is None else folder / f"{source.stem}.parquet"
        try:
            return _fetch(benchmark, source, hub, path)
        except Unavailable as reason:
            reasons.append(str(reason))
    raise Unavailable("; ".join(reasons))


@dataclass(frozen=True)
class BenchmarkFile:
    """A file on this machine with a benchmark's data."""

    benchmark: Benchmark
    source: BenchmarkSource
    path: Path
    hub: HubDataset | None
    """The data set that it was fetched from; None for a file of the data folder."""

    @property
    def origin(self) -> str:
        """The path, or for a file of the cache the data set it was fetched from."""
        return str(self.path) if self.hub is None else f"fetched from {self.hub.id}"

    def load(self) -> LoadedBenchmark:
        questions = tuple(_read(self.benchmark, self.source, self.path))
        return LoadedBenchmark(
            self.benchmark,
            questions,
            source=self.hub.id if self.hub else str(self.path),
            revision=self.hub.revision if self.hub else None,
            fingerprint=fingerprint(questions),
        )


def find(benchmark: Benchmark, data_dir: Path | None) -> BenchmarkFile | None:
    """The preferred source's file in the data folder, else in the cache, or None."""
    if data_dir is not None and not data_dir.exists():
        raise UserError(f"eval.data_dir: {data_dir}: no such file or folder")
    for source in benchmark.sources:
        for path in _candidates(source, data_dir):
            if path.is_file():
                return BenchmarkFile(benchmark, source, path, None)
    for source, hub in _on_hub(benchmark):
        if _cached_file(source, hub).is_file():
            return BenchmarkFile(benchmark, source, _cached_file(source, hub), hub)
    return None


def _cached_file(source: BenchmarkSource, hub: HubDataset) -> Path:
    """The path in the user's cache for the source's rows."""
    folder = f"{hub.id.strip('/').replace('/', '--')}@{(hub.revision or 'default')[:12]}"
    return Path(platformdirs.user_cache_dir("icpo")) / "benchmarks" / folder / f"{source.stem}.parquet"


def how_to_get(benchmark: Benchmark) -> str:
    """One line of instructions for getting the data."""
    ways = []
    for _, hub in _on_hub(benchmark):
        if hub.gated:
            ways.append(f"request access to {hub.id} on the hub, `hf auth login`, `icpo data prepare {benchmark.name}`")
        elif hub.file:
            download = f"hf download {hub.id} {hub.file} --repo-type dataset --local-dir DIR"
            ways.append(f"`{download}` and eval.data_dir=DIR")
        else:
            ways.append(f"`icpo data prepare {benchmark.name}` ({hub.id})")
    return "get it with network by " + ", or ".join(ways)


def golds_sha256(questions: tuple[Question, ...]) -> str:
    """A hash over id, options and gold of each question; the order of questions does not matter."""
    golds = sorted([question.id, *question.gold.choices, question.gold.answer] for question in questions)
    return sha256([json.dumps(golds).encode()])


def fingerprint(questions: tuple[Question, ...]) -> str:
    return sha256(repr((question.id, question.text, question.gold)).encode() for question in questions)


def _read(benchmark: Benchmark, source: BenchmarkSource, path: Path) -> list[Question]:
    questions: dict[str, Question] = {}
    rows = -1
    for rows, (place, columns) in enumerate(READERS[path.suffix](path)):
        question = source.read(RawRow(place, rows, columns, benchmark.confidential))
        if question is None:
            continue
        if question.id in questions:
            raise UserError(f"{place}: id '{question.id}' appears twice")
        questions[question.id] = question
    if source.rows is not None and rows + 1 != source.rows:
        raise UserError(f"{path}: {rows + 1:,} rows, where {benchmark.name} is taken from {source.rows:,}")
    chosen = source.draw(list(questions.values())) if source.draw else list(questions.values())
    if len(chosen) != benchmark.count:
        raise UserError(f"{path}: {len(chosen):,} questions, where {benchmark.name} has {benchmark.count:,}")
    digest = golds_sha256(tuple(chosen))
    if source.golds_sha256 not in (None, digest):
        raise UserError(
            f"{path}: sha256 of the golds is {digest}, where that of {benchmark.name} is {source.golds_sha256}"
        )
    return chosen


def _candidates(source: BenchmarkSource, data_dir: Path | None) -> list[Path]:
    """Paths at which this source's file is looked for."""
    if data_dir is None:
        return []
    if data_dir.is_file():
        return [data_dir] if data_dir.stem == source.stem and data_dir.suffix in READERS else []
    return [data_dir / f"{source.stem}{suffix}" for suffix in READERS]


def _on_hub(benchmark: Benchmark) -> list[tuple[BenchmarkSource, HubDataset]]:
    return [(source, source.hub) for source in benchmark.sources if source.hub is not None]


def _missing(benchmark: Benchmark, data_dir: Path | None) -> str:
    if data_dir is None:
        return "no eval.data_dir is set, and the hub does not give it"
    names = ", ".join(source.stem for source in benchmark.sources)
    return f"not in {data_dir} (as {names}, .jsonl, .parquet or .csv), and the hub does not give it"


def _fetch(benchmark: Benchmark, source: BenchmarkSource, hub: HubDataset, path: Path) -> LoadedBenchmark:
    """Download the source's rows, check them, then move them to `path`. Raises Unavailable."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as tmp:
            _download(hub, tmp)
            loaded = BenchmarkFile(benchmark, source, tmp, hub).load()
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror or error}") from None
    return loaded


def _download(hub: HubDataset, path: Path) -> None:
    import datasets
    import httpx
    import huggingface_hub

    try:
        if not Path(hub.id).is_dir() and not huggingface_hub.constants.HF_HUB_OFFLINE:
            # Fail fast: load_dataset without a network retries for half a minute.
            huggingface_hub.HfApi().dataset_info(hub.id, revision=hub.revision, timeout=20)
        dataset = datasets.load_dataset(
            hub.id, name=hub.config, data_files=hub.file, revision=hub.revision, split=hub.split
        )
    except httpx.TransportError:
        raise Unavailable(f"{hub.id}: no connection to the hub") from None
    except Exception as error:  # the library's errors share no base; each means that the data set cannot be loaded
        reason = " ".join(str(error).split()).split(". ")[0] or type(error).__name__
        raise Unavailable(f"{hub.id}: {reason[:200]}") from None
    dataset.to_parquet(path)


def _csv_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines), 1):
            yield f"{path}: row {number}", dict(row)


READERS: dict[str, Callable[[Path], Iterator[tuple[str, dict[str, Any]]]]] = {**sources.READERS, ".csv": _csv_rows}
