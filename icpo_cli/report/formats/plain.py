"""Untrusted text in one line, before a format escapes it."""


def one_line(raw: str) -> str:
    """Control codes and marks of direction are replaced, line breaks and tabs are spaces."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in " ".join(raw.split()))
