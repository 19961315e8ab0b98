"""What an evaluation tells whoever watches it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from icpo_cli.records import Verdict


@dataclass(frozen=True)
class Start:
    """Where one benchmark stands before anything is generated."""

    title: str
    responses: int
    """That are wanted in all."""
    stored: int
    """Of them, generated before."""


class Observer(Protocol):
    """A live view, plain lines, or nothing at all."""

    def start(self, benchmarks: Mapping[str, Start]) -> None:
        """By name."""

    def finished(self, bench: str, tokens: Sequence[int]) -> None:
        """Responses were generated and stored, of these lengths."""

    def graded(self, bench: str, verdicts: Sequence[Verdict]) -> None:
        """Verdicts on responses, stored ones first."""

    def tick(self) -> None:
        """Generation goes on, whether anything has finished or not; called every few tokens."""

    def phase(self, name: str) -> None:
        """What is being done: loading the model, generating, grading, writing."""

    def note(self, text: str) -> None:
        """Something the user should read."""


class Silent:
    """Nobody watches."""

    def start(self, benchmarks: Mapping[str, Start]) -> None: ...

    def finished(self, bench: str, tokens: Sequence[int]) -> None: ...

    def graded(self, bench: str, verdicts: Sequence[Verdict]) -> None: ...

    def tick(self) -> None: ...

    def phase(self, name: str) -> None: ...

    def note(self, text: str) -> None: ...
