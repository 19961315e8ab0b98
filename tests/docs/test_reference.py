"""docs/COMMANDS.md and docs/CONFIG.md are up to date with the code."""

import subprocess
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from icpo_cli.config.schema import Config

ROOT = Path(__file__).parents[2]


def test_the_reference_pages_are_up_to_date() -> None:
    done = subprocess.run([ROOT / "scripts" / "reference", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_config_key_is_on_the_page_with_a_meaning() -> None:
    rows = [line.split(" | ") for line in (ROOT / "docs" / "CONFIG.md").read_text().splitlines()]
    documented = {row[0].strip("| `"): row[-1].strip(" |") for row in rows if row[0].startswith("| `")}
    assert set(documented) == set(keys(Config, ""))
    assert all(documented.values())


def keys(section: Any, prefix: str) -> list[str]:
    hints = get_type_hints(section)
    found: list[str] = []
    for each in fields(section):
        inner, key = hints[each.name], f"{prefix}{each.name}"
        found += keys(inner, f"{key}.") if is_dataclass(inner) else [key]
    return found
