"""Layers, heavy libraries, gradients, class names and docstrings: the structure that docs/ARCHITECTURE.md describes."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "icpo_cli"
LAYERS = [
    {"__main__"},
    {"cli"},
    {"ablate", "report"},
    {"train"},
    {"evaluate", "rewards"},
    {"rollout", "learner", "track"},
    {"objective", "data"},
    {"grading"},
    {"distributed", "models", "figures"},
    {"runs", "device", "tables"},
    {"config", "interrupt", "statistics"},
    {"__init__", "errors", "records", "rng", "text"},
]
"""Highest first. A part imports only parts of lower layers."""

UNCLEAR_WORDS = {"Of", "What", "As", "Those"}
"""Words that no docstring begins with."""


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


def icpo_imports(path: Path) -> set[str]:
    return {module for module in imports(path) if module.split(".")[0] == "icpo_cli"}


def part_of(module: str) -> str:
    return module.removeprefix("icpo_cli").strip(".").split(".")[0] or "__init__"


def layer(part: str) -> int:
    return next(index for index, parts in enumerate(LAYERS) if part in parts)


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def calls_backward(node: ast.AST) -> bool:
    return any(
        isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "backward"
        for call in ast.walk(node)
    )


def names_in(node: ast.AST) -> set[str]:
    """Names and attributes that a function mentions, called or passed on."""
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names | {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}


def test_every_part_has_one_layer() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert sorted(part for parts in LAYERS for part in parts) == sorted(parts)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_part_imports_only_lower_layers(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in icpo_imports(path):
        if part_of(module) != own:
            assert layer(part_of(module)) > layer(own), f"{own} imports {module}"


@pytest.mark.parametrize(("part", "other"), [("evaluate", "rewards"), ("train", "ablate")])
def test_parts_that_must_not_meet(part: str, other: str) -> None:
    users = [path.name for path in (PACKAGE / part).rglob("*.py") if other in map(part_of, icpo_imports(path))]
    assert users == []


def test_a_class_name_is_defined_once() -> None:
    names = Counter(
        node.name
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    assert {name for name, count in names.items() if count > 1} == set()


@pytest.mark.parametrize("folder", ["icpo_cli", "tests", "scripts"])
def test_docstrings_begin_with_a_noun_or_a_verb(folder: str) -> None:
    """Attribute docstrings too: a docstring is any expression statement that is a text."""
    unclear = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value.value.splitlines()[0]}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        if re.split(r"\W", node.value.value.strip(), maxsplit=1)[0] in UNCLEAR_WORDS
    ]
    assert unclear == []


def test_only_the_learner_and_the_lab_compute_gradients() -> None:
    users = {str(path.relative_to(PACKAGE)) for path in modules() if calls_backward(ast.parse(path.read_text()))}
    assert users == {"learner/deepspeed_learner.py", "models/lab.py"}


def test_gradients_are_computed_only_below_update() -> None:
    """No public function of the learner but `update` reaches one that calls backward, directly or by a closure."""
    found = [function for path in (PACKAGE / "learner").rglob("*.py") for function in functions(path)]
    mentions: dict[str, set[str]] = {}
    for function in found:
        mentions[function.name] = mentions.get(function.name, set()) | names_in(function)
    reaching = {function.name for function in found if calls_backward(function)}
    grown = True
    while grown:
        more = {name for name, names in mentions.items() if names & reaching} - reaching
        reaching |= more
        grown = bool(more)
    assert {name for name in reaching if not name.startswith("_")} == {"update"}


@pytest.mark.parametrize(
    ("library", "only"),
    [
        ("vllm", {"rollout/vllm_sampler.py", "rollout/cpu_kernels.py"}),
        ("deepspeed", {"learner/deepspeed_learner.py"}),
        ("mlflow", {"track/mlflow_store.py"}),
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


RUN_FILES = re.compile(
    r"config\.yaml|journal\.jsonl|run\.log|iteration-|input_parity\.json|fairness\.json"
    r"|responses\.parquet|eval\.log|outcome\.json|job\.log|job\.lock|failure\.txt|^checkpoints/|^responses/"
    r"|study\.json|study\.lock|table\.csv|coarse\.json\b|\bjobs\.json"
)
RUN_FOLDERS = {"checkpoints", "responses", "resume", "studies", "curves", "slurm", "probe", "start"}


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_paths_into_the_folders_of_runs_jobs_and_studies_are_built_in_runs_alone(path: Path) -> None:
    if path.parent.name == "runs":
        return
    nodes = list(ast.walk(ast.parse(path.read_text())))
    docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    joined = {id(side) for node in nodes if isinstance(node, ast.BinOp) for side in (node.left, node.right)}
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            assert not RUN_FILES.search(node.value), node.lineno
            assert id(node) not in joined or node.value not in RUN_FOLDERS, node.lineno


LOCKS_AND_SYNCS = re.compile(r"\b(flock|lockf|fsync|fdatasync)\(")


def test_files_are_locked_and_synced_in_one_module() -> None:
    users = {str(path.relative_to(PACKAGE)) for path in modules() if LOCKS_AND_SYNCS.search(path.read_text())}
    assert users == {"runs/files.py"}
    assert len(LOCKS_AND_SYNCS.findall((PACKAGE / "runs" / "files.py").read_text())) == 2


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
    # The package and the commands contain the name of a method.
    said = path.read_text(encoding="utf-8").replace("icpo_cli", "").replace("icpo train", "").replace("icpo eval", "")
    assert re.search(rf"\b({methods})\b", said) is None


@pytest.mark.parametrize("path", sorted((PACKAGE / "train").glob("*.py")), ids=lambda path: path.name)
def test_the_loop_and_its_record_know_no_task_by_name(path: Path) -> None:
    """Held-out questions are a task like a benchmark: nothing is decided by its name."""
    compared = [
        each
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Compare)
        for each in ast.walk(node)
    ]
    assert not any(isinstance(each, ast.Constant) and each.value == "heldout" for each in compared)
    assert not any(isinstance(each, ast.Name) and each.id == "HELDOUT" for each in compared)
