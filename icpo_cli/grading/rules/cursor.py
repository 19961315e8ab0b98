"""A cursor over the tokens of an expression."""

import re
from typing import Any

from icpo_cli.grading.rules.brackets import TOKEN

WORD = re.compile(r"(?=.*[aeiouyAEIOUY])[A-Za-z]?[a-z]{3,}|[A-Za-z]{7,}")
"""Words of a language, which are no products of names."""


class Unreadable(Exception):
    """The text is not an expression."""


class Cursor:
    """The tokens of a text in the one notation, letters one by one. Raises Unreadable for words."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[str] = []
        self._spaced: set[int] = set()
        """Indices of tokens after a space."""
        self._at = 0
        for token in TOKEN.findall(text):
            if token[0] == " ":
                self._spaced.add(len(self._tokens))
            elif WORD.fullmatch(token) and (len(token) > 4 or token == text or len(self._tokens) in self._spaced):
                raise Unreadable(f"the word {token}")
            else:
                self._tokens += token if token.isalpha() else (token,)

    @property
    def _next(self) -> str:
        return self._ahead(0)

    def _ahead(self, by: int) -> str:
        return self._tokens[self._at + by] if self._at + by < len(self._tokens) else ""

    def _take(self, expected: str = "") -> str:
        token = self._next
        if not token or (expected and token != expected):
            self._fail()
        self._at += 1
        return token

    def _fail(self) -> Any:
        raise Unreadable(self._text)

    def _group_text(self) -> str:
        """The text in the braces that follow."""
        self._take("{")
        start, depth = self._at, 1
        while depth:
            depth += {"{": 1, "}": -1}.get(self._take(), 0)
        return self._text_of(start, self._at - 1)

    def _text_of(self, start: int, end: int) -> str:
        tokens = [
            f" {token}" if start + at in self._spaced else token for at, token in enumerate(self._tokens[start:end])
        ]
        return re.sub(r"(\\[A-Za-z]+)\0(?=[A-Za-z])", r"\1 ", "\0".join(tokens)).replace("\0", "").strip()
