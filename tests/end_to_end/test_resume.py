"""A run that is killed and resumed gives the weights and metrics of an undisturbed run, bit for bit.

Resumed on another number of ranks it gives them up to the order of float32 sums.
"""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from safetensors.torch import load_file

from icpo_cli.runs.journal import Journal
from icpo_cli.track.tracker import CLOCKED
from tests.end_to_end.conftest import KILLER
from tests.fork_server import ForkServer

pytestmark = pytest.mark.engine


def is_of_the_run(name: str) -> bool:
    """Whether the metric is reproducible: no clock reading and no memory use."""
    return not name.startswith(CLOCKED)


def journal_of(run: Path) -> list[tuple[int, dict[str, float]]]:
    entries = Journal(run / "journal.jsonl").entries()
    return [(e.step, {k: v for k, v in e.metrics.items() if is_of_the_run(k)}) for e in entries]


def mlflow_points(run: Path) -> Iterator[tuple[str, int, float]]:
    """Every point in MLflow, duplicates included."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{run.parents[1] / 'mlflow.db'}")
    for key in sorted(client.get_run(run.name).data.metrics):
        if is_of_the_run(key):
            yield from sorted((key, point.step, point.value) for point in client.get_metric_history(run.name, key))


def only_run(folder: Path) -> Path:
    [run] = [path for path in (folder / "runs").iterdir() if path.is_dir()]
    return run


@pytest.fixture(scope="module")
def undisturbed(lab_config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in a new interpreter. The killed and resumed runs are forked, and must equal it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    subprocess.run([sys.executable, "-m", "icpo_cli", "train", str(lab_config)], cwd=folder, check=True)
    return only_run(folder)


@pytest.mark.parametrize(
    ("moment", "count"),
    [
        ("rollout", 5),  # evaluation, 1, 2, evaluation, 3
        ("update", 6),  # two updates per iteration: after the third iteration's last update
        ("log", 6),  # the journal has the fourth iteration, MLflow and the checkpoint do not
        ("save", 1),  # all files written, none renamed: no checkpoint yet
    ],
)
def test_killed_and_resumed_equals_undisturbed(
    moment: str, count: int, undisturbed: Path, lab_config: Path, tmp_path: Path, icpo: Callable, icpo_killed: Callable
) -> None:
    icpo_killed(moment, count, "train", str(lab_config))
    run = only_run(tmp_path)
    resumed = icpo("train", "--resume", run.name[:8], "--json")
    assert resumed.status == 0, resumed.err

    weights = load_file(undisturbed / "checkpoints" / "last" / "model.safetensors")
    ours = load_file(run / "checkpoints" / "last" / "model.safetensors")
    assert weights.keys() == ours.keys()
    assert all(weights[name].equal(ours[name]) for name in weights)
    assert journal_of(run) == journal_of(undisturbed)
    assert list(mlflow_points(run)) == list(mlflow_points(undisturbed))
    assert sorted(p.name for p in (run / "checkpoints").iterdir()) == sorted(
        p.name for p in (undisturbed / "checkpoints").iterdir()
    )


def test_a_finished_run_resumes_to_the_same_result(undisturbed: Path, icpo: Callable) -> None:
    before = journal_of(undisturbed)
    again = icpo("train", "--resume", str(undisturbed), "--json", cwd=undisturbed.parents[1])
    assert again.status == 0, again.err
    assert again.document["iterations"] == 4
    assert again.document["eval"]["heldout"]["n"] == 20
    assert journal_of(undisturbed) == before


def test_the_store_knows_the_run_as_finished(undisturbed: Path) -> None:
    from mlflow.tracking import MlflowClient

    store = MlflowClient(f"sqlite:///{undisturbed.parents[1] / 'mlflow.db'}")
    run = store.get_run(undisturbed.name)
    assert run.info.status == "FINISHED"
    assert run.data.params["rollout.group_size"] == "4"
    assert len(run.data.tags["data.fingerprint"]) == 64
    artifacts = {item.path for item in store.list_artifacts(undisturbed.name)}
    assert {"config.yaml", "responses"} <= artifacts


def test_a_run_of_another_configuration_is_refused(undisturbed: Path, lab_config: Path, icpo: Callable) -> None:
    folder = undisturbed.parents[1]
    other = icpo("train", "--resume", undisturbed.name, str(lab_config), "learner.kl_coef=0.5", cwd=folder)
    assert other.status == 2
    assert "learner.kl_coef was 0.01 in the run, is 0.5 now" in other.err
    unknown = icpo("train", "--resume", "nosuchrun", cwd=folder)
    assert unknown.status == 2
    assert f"no such run in runs/; known runs: {undisturbed.name}" in unknown.err


SHARED = ("model.dtype=float32", "rollout.prompts_per_iteration=8", "learner.mini_batch_prompts=4")
LENGTH = ("train.iterations=3", "train.eval_every=3", "train.save_every=2")


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_killed_and_resumed_on_other_ranks_equals_undisturbed(
    before: int, after: int, lab_config: Path, tmp_path: Path, icpo: Callable, fork_server: ForkServer
) -> None:
    """Killed in iteration 3, resumed from iteration 2: the two updates of iteration 3 need the optimizer's state."""
    command = ["train", str(lab_config), *SHARED, *LENGTH]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        group = {"WORLD_SIZE": str(before), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1])}
    killed = [
        fork_server.start(str(KILLER), ["update", "6", *command], tmp_path, {**group, "RANK": rank, "LOCAL_RANK": rank})
        for rank in map(str, range(before))
    ]
    assert [process.wait() for process in killed] == [-signal.SIGKILL] * before, killed[0].communicate()[1]
    run = only_run(tmp_path)
    resumed = icpo("train", "--resume", run.name, "--nproc", str(after), "--json")
    assert resumed.status == 0, resumed.err
    assert f"until now it ran on {before}" in resumed.err

    (tmp_path / "undisturbed").mkdir()
    whole = icpo(*command, "--nproc", str(before), "--json", cwd=tmp_path / "undisturbed")
    weights, ours = (load_file(Path(each.document["checkpoint"]) / "model.safetensors") for each in (whole, resumed))
    assert max(float((weights[name] - ours[name]).abs().max()) for name in weights) <= 1e-5
    assert [metrics["ranks"] for _, metrics in journal_of(run) if "ranks" in metrics] == [before, before, after]
    assert resumed.document["metrics"]["accuracy"] == whole.document["metrics"]["accuracy"]
    assert resumed.document["eval"]["heldout"]["verdicts"] == whole.document["eval"]["heldout"]["verdicts"]
