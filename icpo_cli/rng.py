"""Seeds derived from names, so that no random generator has a state to save."""

import hashlib


def stable_hash(*parts: object) -> int:
    """A 62-bit hash of the parts: the same in every process and after a resume, so it seeds every random draw."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2
