from pathlib import Path

from icpo_cli.runs.checkpoints import Checkpoint, Checkpoints, LoopState


def save(checkpoints: Checkpoints, iteration: int, best: int | None = None) -> Checkpoint:
    tmp = checkpoints.begin(iteration)
    (tmp.folder / "model.safetensors").write_text(str(iteration))
    return checkpoints.finish(tmp, LoopState(iteration, best_iteration=best))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_newest_and_the_best_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    for iteration, best in ((1, 1), (2, 2), (3, 2), (4, 2), (5, 2)):
        save(checkpoints, iteration, best)
    assert names(tmp_path) == ["best", "iteration-00002", "iteration-00004", "iteration-00005", "last"]
    assert (tmp_path / "last" / "model.safetensors").read_text() == "5"
    assert (tmp_path / "best" / "model.safetensors").read_text() == "2"
    last = checkpoints.last()
    assert last is not None and last.state() == LoopState(5, best_iteration=2)


def test_a_checkpoint_not_finished_is_not_there_and_is_cleared_away(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, keep=2)
    save(checkpoints, 1)
    (checkpoints.begin(2).folder / "model.safetensors").write_text("half")
    last = checkpoints.last()
    assert last is not None and last.folder.name == "iteration-00001"
    checkpoints.clear_unfinished()
    assert names(tmp_path) == ["iteration-00001", "last"]


def test_the_state_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    checkpoint = Checkpoints(tmp_path).begin(3)
    checkpoint.state_file.write_text('{"iteration": 3, "final_std": 0.5, "ranks": 2}')
    assert checkpoint.state() == LoopState(3, running_std=0.5, ranks=2)
