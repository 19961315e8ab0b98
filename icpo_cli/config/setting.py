"""Config fields that carry their documentation and their bounds."""

import copy
import math
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, TypeVar

from icpo_cli.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class Bounds:
    """The allowed range of a number; None is no bound. NaN and infinity are never allowed."""

    gt: float | None = None
    ge: float | None = None
    lt: float | None = None
    le: float | None = None

    def allow(self, value: float) -> bool:
        return (
            math.isfinite(value)
            and (self.gt is None or value > self.gt)
            and (self.ge is None or value >= self.ge)
            and (self.lt is None or value < self.lt)
            and (self.le is None or value <= self.le)
        )

    def __str__(self) -> str:
        """The range in words, to follow "must be"."""
        if self.ge is not None and self.le is not None:
            return f"from {self.ge} to {self.le}"
        words = []
        if self.gt is not None:
            words.append("positive" if self.gt == 0 else f"above {self.gt}")
        if self.ge is not None:
            words.append(f"{self.ge} or more")
        if self.lt is not None:
            words.append(f"below {self.lt}")
        if self.le is not None:
            words.append(f"{self.le} or less")
        return " and ".join(words)


def setting(
    default: T,
    doc: str,
    *,
    gt: float | None = None,
    ge: float | None = None,
    lt: float | None = None,
    le: float | None = None,
) -> T:
    """A dataclass field with its documentation and, for a number or a list of numbers, its bounds."""
    bounds = None if gt is ge is lt is le is None else Bounds(gt, ge, lt, le)
    metadata = {"doc": doc, "bounds": bounds}
    made: Any = field(default_factory=lambda: copy.copy(default), metadata=metadata)
    return made  # type: ignore[no-any-return]


def check_bounds(section: Any, prefix: str = "") -> None:
    """Raise UserError for the first number in the config dataclass `section` that is out of bounds."""
    for each in fields(section):
        key, value = f"{prefix}{each.name}", getattr(section, each.name)
        if is_dataclass(value):
            check_bounds(value, f"{key}.")
        bounds = each.metadata.get("bounds")
        if bounds is None or value is None:
            continue
        for number in value if isinstance(value, list) else [value]:
            if not bounds.allow(number):
                finite = " and finite" if isinstance(number, float) and not math.isfinite(number) else ""
                raise UserError(f"{key}: {number} must be {bounds}{finite}")
