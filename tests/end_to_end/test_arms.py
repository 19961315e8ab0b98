"""Two arms of a study through the real command: the shared starting evaluation and the equal inputs."""

import json
from pathlib import Path

import pytest

from icpo_cli.config.schema import NoiseConfig
from icpo_cli.rewards.reward import noise_of
from icpo_cli.rng import SeedKey
from icpo_cli.runs.journal import Journal
from icpo_cli.runs.parquet import Row, read_table
from icpo_cli.runs.run_dir import RunDir
from tests.fork_server import ForkServer

pytestmark = pytest.mark.engine
NOISE = NoiseConfig(fraction=0.4, magnitude=0.3)
STUDY = [
    "train.iterations=2",
    "train.eval_every=500",
    "train.shared_start=shared",
    "seed=3",
    f"reward.noise.fraction={NOISE.fraction}",
    f"reward.noise.magnitude={NOISE.magnitude}",
]


@pytest.fixture(scope="module")
def arms(lab_config: Path, fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """{arm: run folder}. The second arm starts after the first has finished."""
    folder = tmp_path_factory.mktemp("arms")
    found: dict[str, Path] = {}
    for arm in ("grpo", "icpo"):
        done = fork_server.run("icpo_cli", ["train", str(lab_config), f"method={arm}", *STUDY, "--json"], folder)
        assert done.status == 0, done.err
        found[arm] = folder / "runs" / done.document["run_id"]
    return found


def before_training(run: Path) -> dict[str, float]:
    """Metrics in the journal at step 0, before the first iteration."""
    [entry] = [entry for entry in Journal(run / "journal.jsonl").entries() if entry.step == 0]
    return entry.metrics


def responses(run: Path, iteration: int) -> list[Row]:
    return read_table(run / "responses" / f"iteration-{iteration:05d}.parquet")


def test_the_second_arm_takes_the_starting_evaluation_over(arms: dict[str, Path]) -> None:
    first, second = before_training(arms["grpo"]), before_training(arms["icpo"])
    assert first == second and first["eval/heldout/verdict/correct"] >= 0
    logs = {arm: (run / "run.log").read_text() for arm, run in arms.items()}
    assert "taken over" not in logs["grpo"]
    assert "heldout before the first iteration: reused from shared/heldout-" in logs["icpo"]
    after = [
        entry.metrics["seconds/eval_heldout"]
        for run in arms.values()
        for entry in Journal(run / "journal.jsonl").entries()
        if entry.step == 2 and "seconds/eval_heldout" in entry.metrics
    ]
    assert len(set(after)) == 2  # each arm evaluates its own model at the end
    [shared] = (arms["grpo"].parents[1] / "shared").glob("*.json")
    assert json.loads(shared.read_text())["numbers"]["seconds"] == first["seconds/eval_heldout"]


def test_both_are_given_the_same(arms: dict[str, Path]) -> None:
    from mlflow.tracking import MlflowClient

    given = [RunDir(run).input_parity() for run in arms.values()]
    assert given[0] == given[1]
    assert {"prompts", "order", "sampling_seeds", "noise_draws", "heldout"} <= given[0].keys()
    client = MlflowClient(f"sqlite:///{arms['grpo'].parents[1] / 'mlflow.db'}")
    for run in arms.values():
        tags = client.get_run(run.name).data.tags
        assert {name: tags[f"input_parity.{name}"] for name in given[0]} == given[0]


def test_before_the_first_update_both_say_the_same(arms: dict[str, Path]) -> None:
    """Rewards and noise are equal as well; bonuses and advantages are not."""
    grpo, icpo = responses(arms["grpo"], 1), responses(arms["icpo"], 1)
    same = ("prompt_id", "response", "tokens", "logprob", "verdict", "reward_noise", "reward_verif", "confidence")
    assert [[row[name] for name in same] for row in grpo] == [[row[name] for name in same] for row in icpo]
    assert [row["bonus"] for row in grpo] != [row["bonus"] for row in icpo]
    asked = [[row["prompt_id"] for row in responses(run, 2)] for run in arms.values()]
    assert asked[0] == asked[1] != [row["prompt_id"] for row in grpo]


def test_the_noise_is_of_seed_iteration_prompt_and_response_alone(arms: dict[str, Path]) -> None:
    noises = []
    for run in arms.values():
        rows = [row for iteration in (1, 2) for row in responses(run, iteration)]
        noises.append([row["reward_noise"] for row in rows])
        keys = [SeedKey(3, row["iteration"], row["prompt_id"], row["response"] - 1) for row in rows]
        assert noises[-1] == [noise_of(NOISE, key) for key in keys]
    assert noises[0] == noises[1]
    assert {-0.3, 0.0, 0.3} == set(noises[0])
