"""Responses on disk as they finish, in append-only files that stay usable when the process is killed."""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from icpo_cli.errors import RunFailed, UserError
from icpo_cli.evaluate.plan import Key
from icpo_cli.records import Response, RuleName, Verdict, VerdictKind
from icpo_cli.runs.files import locked, sync


@dataclass(frozen=True)
class StoredResponse:
    """One response to one question. All but id, index and text are None if it comes from a file."""

    id: str
    """The question's."""
    index: int
    """Index among the question's k responses, from 0."""
    text: str
    tokens: tuple[int, ...] | None = None
    finish_reason: str | None = None
    seed: int | None = None
    mean_prob: float | None = None
    """Mean over its tokens of the probability with which each was sampled."""
    mean_logprob: float | None = None
    """Mean over its tokens of their sampling log-prob, nats."""

    @property
    def key(self) -> Key:
        return self.id, self.index

    @classmethod
    def sampled(cls, question: str, index: int, seed: int, response: Response) -> "StoredResponse":
        """The sampler's `index`-th response to the question with that id."""
        logprobs = np.array(response.logprobs)  # [T]
        return cls(
            id=question,
            index=index,
            text=response.text,
            tokens=response.tokens,
            finish_reason=response.finish_reason,
            seed=seed,
            mean_prob=float(np.exp(logprobs).mean()) if len(logprobs) else None,
            mean_logprob=float(logprobs.mean()) if len(logprobs) else None,
        )

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "StoredResponse":
        """Read a JSON line or a parquet row; other columns are ignored."""
        values = {field.name: row[field.name] for field in fields(cls)}
        return cls(**{**values, "tokens": None if values["tokens"] is None else tuple(values["tokens"])})


class JsonLines:
    """An append-only file of JSON objects, one per line. A line left half-written by a kill is removed on opening."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._unsynced = False

    def read(self) -> list[dict[str, Any]]:
        """Every complete line. Raises RunFailed on one that is not JSON, which a kill cannot cause."""
        if not self.path.exists():
            return []
        with self.path.open(encoding="utf-8") as lines:
            complete = [line for line in lines if line.endswith("\n")]
        try:
            return [json.loads(line) for line in complete]
        except json.JSONDecodeError as error:
            raise RunFailed(f"{self.path}: damaged: {error}; move it away to generate its responses again") from None

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write without a buffer, so that a killed process loses nothing. Raises RunFailed on a full disk."""
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        try:
            if self._file is None:
                self._file = self._opened()
            while text:
                text = text[os.write(self._file, text) :]
        except OSError as error:
            raise RunFailed(_full(self.path, error)) from None
        self._unsynced = True

    def sync(self) -> None:
        """Flush to the disk."""
        if self._file is not None and self._unsynced:
            try:
                sync(self.path)
            except OSError as error:
                raise RunFailed(_full(self.path, error)) from None
            self._unsynced = False

    def close(self) -> None:
        self.sync()
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _opened(self) -> int:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        os.ftruncate(file, _whole_length(file))
        return file


class ResponseStore:
    """Stored responses to one task's prompts under one identity, and verdicts on them for each grading hash.

    A context manager that holds an exclusive lock on the folder.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self.folder = folder
        self.responses: dict[Key, StoredResponse] = {}
        self._identity = identity
        self._lines = JsonLines(folder / "responses.jsonl")
        self._verdicts: dict[str, JsonLines] = {}
        self._lock = ExitStack()

    def __enter__(self) -> "ResponseStore":
        """Raises UserError if another process holds the lock or the folder cannot be made."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            busy = f"{self.folder}: another evaluation is generating into it; wait for it to end"
            self._lock.enter_context(locked(self.folder / "lock", busy=busy))
            (self.folder / "identity.json").write_text(json.dumps(self._identity, indent=2), encoding="utf-8")
        except OSError as error:
            raise UserError(f"eval.output_dir: {self.folder}: cannot be written to: {error.strerror}") from None
        self.responses = {response.key: response for response in map(StoredResponse.from_row, self._lines.read())}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for lines in (self._lines, *self._verdicts.values()):
                lines.close()
        finally:
            self._lock.close()

    def add(self, responses: Sequence[StoredResponse]) -> None:
        self._lines.append(asdict(response) for response in responses)
        self.responses |= {response.key: response for response in responses}

    def verdicts(self, grading: str) -> dict[Key, Verdict]:
        """Stored verdicts with this grading hash."""
        return {(row["id"], row["index"]): _verdict(row) for row in self._verdict_lines(grading).read()}

    def add_verdicts(self, grading: str, verdicts: Mapping[Key, Verdict]) -> None:
        """Store the verdicts, except timeouts and errors, which depend on the state of the machine or judge."""
        kept = {key: verdict for key, verdict in verdicts.items() if verdict.decided}
        self._verdict_lines(grading).append(
            {"id": name, "index": index, **asdict(verdict)} for (name, index), verdict in kept.items()
        )

    def sync(self) -> None:
        for lines in (self._lines, *self._verdicts.values()):
            lines.sync()

    def _verdict_lines(self, grading: str) -> JsonLines:
        return self._verdicts.setdefault(grading, JsonLines(self.folder / f"verdicts-{grading}.jsonl"))


def _verdict(row: Mapping[str, Any]) -> Verdict:
    return Verdict(VerdictKind(row["kind"]), row["extracted"], RuleName(row["rule"]), row["reason"])


def _whole_length(file: int) -> int:
    """Number of bytes up to the end of the last complete line."""
    end = os.fstat(file).st_size
    while end > 0:
        start = max(0, end - 65536)
        newline = os.pread(file, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _full(path: Path, error: OSError) -> str:
    return (
        f"{path}: cannot be written: {error.strerror}; its content is kept, and the same command continues from there"
    )
