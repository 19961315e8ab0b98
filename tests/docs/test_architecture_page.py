"""Files and classes that docs/ARCHITECTURE.md and CONTRIBUTING.md name exist."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "icpo_cli"
PAGES = [ROOT / "docs" / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_names_in_them_exist(page: Path) -> None:
    lost = []
    for path, name in re.findall(r"`([\w/]+\.py|[\w/]+/)(?:: ([\w.]+))?`", page.read_text()):
        found = [base / path for base in (PACKAGE, ROOT, PACKAGE / "grading") if (base / path).exists()]
        if not found and not list(PACKAGE.rglob(path)):
            lost.append(path)
        elif name and name.split(".")[-1] not in found[0].read_text():
            lost.append(f"{path}: {name}")
    assert lost == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_classes_exist(page: Path) -> None:
    defined = {
        node.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    named = set(re.findall(r"`([A-Z][a-z]+\w*[a-z])`", page.read_text()))
    assert named - defined == set()
