"""Seeds derived from names, so that no random generator has a state to save; and fingerprints."""

import hashlib
from collections.abc import Iterable
from typing import NamedTuple


class SeedKey(NamedTuple):
    """Names one random draw of a run: equal keys give equal draws, in any process and after a resume."""

    seed: int
    iteration: int
    prompt: str | None = None
    """None: a draw of the whole iteration."""
    response: int | None = None
    """Index in the group, from 0. None: a draw of the whole group."""

    def at(self, prompt: str, response: int | None = None) -> "SeedKey":
        """The key of a draw for one prompt, or for one of its responses."""
        return self._replace(prompt=prompt, response=response)

    @property
    def parts(self) -> tuple[int | str, ...]:
        """The fields that are set, to be hashed."""
        return tuple(part for part in self if part is not None)


def stable_hash(*parts: int | str) -> int:
    """A 62-bit hash of the parts: the same in every process and after a resume, so it seeds every random draw."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2


def sha256(parts: Iterable[bytes]) -> str:
    """A fingerprint of the parts in their order."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def sampling_seeds(seed: int, iteration: int, count: int, round_index: int = 0) -> list[int]:
    """Seeds for sampling an iteration's `count` prompts, in their order.

    Round 0 adds no part to the hash, so that a run without dynamic sampling does not depend on rounds.
    """
    rounds = (round_index,) if round_index else ()
    return [stable_hash(seed, iteration, *rounds, index) for index in range(count)]
