"""Wall time of `icpo report` and `icpo runs list` on a large store, each as a whole process.

The store is a real MLflow store with a training run and an evaluation written by icpo. SQL then copies these two until
there are `--runs` training runs, an evaluation for each tenth of them, and `--points` points of `--metrics` metrics for
each. The runs have 20 models and 2 methods, with about 25 seeds each. 1,000 runs are 20 million points, about 6 GB. A
`--folder` is kept; if it already holds such a store, it is used.
"""

import argparse
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import uuid
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIRST = ("entropy", "accuracy", "omega", "bonus/share", "reward/verif", "verdict/correct", "verdict/wrong")
"""Metrics that always get points, because the page plots them."""
MODELS, METHODS, RUNS_AN_EVALUATION = 20, ("grpo", "icpo"), 10
MINUTE_MS = 60_000
COMMANDS = {
    "runs list": ["runs", "list"],
    "table": ["report"],
    "against the paper": ["report", "--against", "paper"],
    "page": ["report", "--out", "page"],
}


@dataclass(frozen=True)
class Size:
    """Size of the store."""

    runs: int
    points: int
    metrics: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--points", type=int, default=500)
    parser.add_argument("--metrics", type=int, default=40)
    parser.add_argument("--folder", type=Path, help="folder of the store; made if it does not exist")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        folder = (given.folder or Path(tmp)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / "mlflow.db").exists():
            make(folder, Size(given.runs, given.points, given.metrics))
        seconds = {name: [timed(command, folder) for _ in range(given.rounds)] for name, command in COMMANDS.items()}
        facts = describe(folder)
    if given.json:
        print(json.dumps({**facts, "seconds": seconds}))
        return
    print(f"{facts['runs']:,} runs, {facts['points']:,} points, {facts['gib']:.1f} GiB")
    for name, each in seconds.items():
        print(f"{name:18} " + "  ".join(f"{one:6.2f} s" for one in each))


def timed(command: list[str], folder: Path) -> float:
    """Run an `icpo` command; its wall seconds."""
    shutil.rmtree(folder / "page", ignore_errors=True)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "icpo_cli", *command], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    seconds = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"icpo {' '.join(command)}: status {done.returncode}: {done.stderr}")
    return seconds


def describe(folder: Path) -> dict[str, float]:
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        [(runs,)] = database.execute("SELECT count(*) FROM runs")
        [(points,)] = database.execute("SELECT max(rowid) FROM metrics")
    return {"runs": runs, "points": points, "gib": (folder / "mlflow.db").stat().st_size / 2**30}


def make(folder: Path, size: Size) -> None:
    sys.path.insert(0, str(ROOT))
    from tests.report.stores import make_store

    made = make_store(folder)
    start = time.perf_counter()
    with closing(sqlite3.connect(folder / "mlflow.db")) as database:
        for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
            database.execute(f"PRAGMA {setting}")
        # It is faster to build the index once at the end.
        [(index,)] = database.execute("SELECT sql FROM sqlite_master WHERE name = 'index_metrics_run_uuid'")
        database.execute("DROP INDEX index_metrics_run_uuid")
        for number in range(size.runs):
            trained = copy(database, folder, made.icpo, number, made.study, size.points)
            database.execute("UPDATE latest_metrics SET step = ? WHERE run_uuid = ?", (size.points, trained))
            add_points(database, trained, size)
            if number % RUNS_AN_EVALUATION == 0:
                copy(database, folder, made.eval_icpo, number, trained, size.points)
            if number % 100 == 99:
                print(f"{number + 1} runs, {time.perf_counter() - start:.0f} s", file=sys.stderr)
        database.execute(index)
        database.commit()
    print(f"made in {time.perf_counter() - start:.0f} s", file=sys.stderr)


def copy(database: sqlite3.Connection, folder: Path, run: str, number: int, parent: str, points: int) -> str:
    """Copy a run with another parent, model, method and seed; `number` counts copies. Returns the new id."""
    new = uuid.uuid4().hex
    for table in ("runs", "params", "tags", "latest_metrics"):
        columns = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")]
        values = ", ".join("?" if name == "run_uuid" else f'"{name}"' for name in columns)
        database.execute(f"INSERT INTO {table} SELECT {values} FROM {table} WHERE run_uuid = ?", (new, run))
    method = METHODS[number // MODELS % len(METHODS)]
    own = {
        "method.name": method,
        "method.bonus": "none" if method == "grpo" else "preference",
        "model.path": f"some/Model{number % MODELS}-7B",
        "seed": str(number // MODELS // len(METHODS)),
        "train.iterations": str(points),
    }
    for key, value in own.items():
        database.execute("UPDATE params SET value = ? WHERE key = ? AND run_uuid = ?", (value, key, new))
    database.execute("UPDATE tags SET value = ? WHERE key = 'mlflow.parentRunId' AND run_uuid = ?", (parent, new))
    root = folder / "mlartifacts" / new / "artifacts"
    database.execute(
        "UPDATE runs SET start_time = start_time - ?, end_time = end_time - ?, artifact_uri = ? WHERE run_uuid = ?",
        (number * MINUTE_MS, number * MINUTE_MS, root.as_uri(), new),
    )
    shutil.copytree(folder / "mlartifacts" / run / "artifacts", root, copy_function=os.link)
    return new


def add_points(database: sqlite3.Connection, run: str, size: Size) -> None:
    """Add random values between 0 and 1, one point per step and metric."""
    order = " ".join(f"WHEN '{name}' THEN {number}" for number, name in enumerate(FIRST))
    database.execute(
        f"""
        WITH RECURSIVE steps(step) AS (SELECT 1 UNION ALL SELECT step + 1 FROM steps WHERE step < :points),
            names AS (SELECT key FROM latest_metrics WHERE run_uuid = :run
                      ORDER BY CASE key {order} ELSE {len(FIRST)} END, key LIMIT :metrics)
        INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)
        SELECT key, abs(random() / 9223372036854775808.0), start_time + 1000 * step, :run, step, 0
        FROM runs, steps, names WHERE run_uuid = :run ORDER BY step
        """,
        {"run": run, "points": size.points, "metrics": size.metrics},
    )


if __name__ == "__main__":
    main()
