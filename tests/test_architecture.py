"""Who may import whom; what each heavy library is allowed to touch."""

import ast
import re
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "icpo_cli"
LAYERS = [
    {"cli"},
    {"train", "ablate", "report"},
    {"evaluate"},
    {"rollout", "learner", "track"},
    {"rewards"},
    {"objective", "grading", "data"},
    {"distributed", "models"},
    {"curves", "figures", "runs"},
    {
        "config",
        "records",
        "rng",
        "statistics",
        "errors",
        "device",
        "interrupt",
        "tables",
        "text",
        "__init__",
    },
]
"""Highest first; a part imports its own layer's and lower ones. evaluate stands under train, which may use it."""


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def part_of(module: str) -> str:
    return module.removeprefix("icpo_cli").strip(".").split(".")[0] or "__init__"


def layer(part: str) -> int:
    return next(index for index, parts in enumerate(LAYERS) if part in parts)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_part_imports_upwards(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if own == "__main__":
        return
    for module in imports(path):
        if module.split(".")[0] == "icpo_cli":
            assert layer(part_of(module)) >= layer(own), f"{own} imports {module}"


@pytest.mark.parametrize(
    ("library", "only"),
    [
        ("vllm", {"rollout/vllm_sampler.py", "rollout/cpu_kernels.py"}),
        ("deepspeed", {"learner/deepspeed_learner.py"}),
        ("mlflow", {"track/mlflow_store.py", "track/mlflow_runs.py", "track/mlflow_client.py"}),
        ("matplotlib", {"figures.py"}),
    ],
)
def test_each_engine_is_imported_in_one_place(library: str, only: set[str]) -> None:
    users = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if any(module.split(".")[0] == library for module in imports(path))
    }
    assert users == only


def test_the_objective_needs_torch_alone() -> None:
    allowed = {"torch", "math", "dataclasses", "typing", "collections", "icpo_cli"}
    for path in (PACKAGE / "objective").glob("*.py"):
        assert {module.split(".")[0] for module in imports(path)} <= allowed, path.name
        assert not any(module.startswith("torch.distributed") for module in imports(path)), path.name


@pytest.mark.parametrize(
    "path", [path for part in ("train", "learner") for path in sorted((PACKAGE / part).glob("*.py"))]
)
def test_the_loop_and_the_learner_know_no_method_by_name(path: Path) -> None:
    methods = "|".join(preset.stem for preset in (PACKAGE / "config" / "methods").iterdir())
    # The product and the column of GRPO's advantage, kept beside every method's own, bear such names.
    said = path.read_text(encoding="utf-8").replace("icpo_cli", "").replace("icpo train", "").replace("icpo eval", "")
    assert re.search(rf"\b({methods})\b", said) is None
