"""Display of a running study."""

import io
from pathlib import Path

from rich.console import Console

from icpo_cli.ablate.result import JobRecord
from icpo_cli.ablate.study import Job
from icpo_cli.cli.ablate_display import StudyProgress, table_of
from icpo_cli.config.schema import Config, TrainConfig
from icpo_cli.runs.run_dir import Status


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


HALFWAY = {
    "eval/heldout/avg_at_k": 61.5,
    "reward/verif": 0.512,
    "entropy": 1.25,
    "omega": 0.75,
    "seconds/iteration": 2.0,
}


def view(
    arm: str, state: Status, metrics: dict[str, float] | None = None, why: str = "", iterations: int = 10
) -> JobRecord:
    """A job after 10 of 20 iterations if it has metrics."""
    job = Job(arm, 0, Config(train=TrainConfig(iterations=20)), Path(arm))
    done = iterations if metrics else 0
    return JobRecord(job, state, why, "run", done, {name: {done: value} for name, value in (metrics or {}).items()}, {})


def test_a_line_when_something_changes_and_none_otherwise() -> None:
    stream = io.StringIO()
    lines = StudyProgress(stream, "schedule")
    lines.show([view("grpo", Status.RUNNING), view("icpo", Status.WAITING)])
    lines.show([view("grpo", Status.RUNNING, {"reward/verif": 0.4}, iterations=3), view("icpo", Status.WAITING)])
    lines.show([view("grpo", Status.RUNNING, HALFWAY), view("icpo", Status.WAITING)])
    lines.show([view("grpo", Status.FAILED, HALFWAY, "the loss was not finite"), view("icpo", Status.RUNNING)])
    assert stream.getvalue().splitlines() == [
        "grpo seed 0: running  0/20",
        "grpo seed 0: running  10/20  held-out 61.5 % after 10  reward 0.512  entropy 1.250  omega 0.75  "
        "s/iteration 2.0  eta 0:00:20",
        "grpo seed 0: failed  10/20  held-out 61.5 % after 10  reward 0.512  entropy 1.250  omega 0.75  "
        "s/iteration 2.0  the loss was not finite",
        "icpo seed 0: running  0/20",
    ]


def test_names_cannot_write_to_the_terminal() -> None:
    stream = io.StringIO()
    StudyProgress(stream, "schedule").show([view("a\x1b[2Jb", Status.RUNNING)])
    assert "\x1b" not in stream.getvalue()


def drawn(views: list[JobRecord], rows: int) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(table_of(views, "schedule", rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_the_table_has_every_job_and_how_many_are_in_each_state() -> None:
    text = drawn([view("grpo", Status.DONE, HALFWAY), view("icpo", Status.RUNNING, HALFWAY)], 20)
    [row] = [line for line in text.splitlines() if " running " in line and line.startswith("icpo ")]
    assert row.split() == ["icpo", "0", "running", "10/20", "61.5", "%", "0.512", "1.250", "0.75", "2.0", "0:00:20"]
    assert "1 running, 1 done of 2 jobs" in text


def test_where_not_all_jobs_have_room_those_at_work_are_shown() -> None:
    views = [view(f"arm{place}", Status.DONE) for place in range(30)]
    views[17] = view("arm17", Status.RUNNING)
    views[25] = view("arm25", Status.FAILED)
    text = drawn(views, 3)
    assert [line.split()[0] for line in text.splitlines() if line.startswith("arm")][1:] == ["arm0", "arm17", "arm25"]
    assert "1 running, 28 done, 1 failed of 30 jobs" in text


def test_the_live_table_says_why_a_job_failed() -> None:
    stream = Terminal()
    with StudyProgress(stream, "schedule") as table:
        table.show([view("grpo", Status.FAILED, why="the loss was not finite")])
        table.show([view("grpo", Status.FAILED, why="the loss was not finite")])
    assert stream.getvalue().count("the loss was not finite") == 1
