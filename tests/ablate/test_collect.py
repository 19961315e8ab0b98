import json
import os
from pathlib import Path

import pytest

from icpo_cli.ablate.result import benches_of, collect
from icpo_cli.ablate.study import Study
from icpo_cli.runs.run_dir import Status
from tests.ablate.studies import FAIR, finish, job_of, jobs, make_study, write_run


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return make_study(tmp_path, {"grpo": None, "icpo": "grpo"}, seeds=(0, 1))


def test_a_job_is_waiting_unfinished_failed_or_done(study: Study) -> None:
    write_run(job_of(study, "icpo", 0), {0: 20.0}, iterations=3)
    finish(job_of(study, "grpo", 0), {0: 20.0, 8: 40.0}, input_parity=FAIR)
    failed = job_of(study, "grpo", 1)
    write_run(failed, {0: 20.0}, iterations=1)
    (failed.folder / "failure.txt").write_text("no room\non the device\n")
    records = collect(jobs(study))
    assert [(record.job.arm, record.job.seed, record.status, record.iterations) for record in records] == [
        ("grpo", 0, Status.DONE, 8),
        ("icpo", 0, Status.UNFINISHED, 3),
        ("grpo", 1, Status.FAILED, 1),
        ("icpo", 1, Status.WAITING, 0),
    ]
    assert [record.reason for record in records] == ["", "", "no room on the device", ""]
    assert [record.run_id for record in records] == ["run0", "run0", "run0", None]
    assert [record.input_parity for record in records] == [FAIR, {}, {}, {}]


def test_series_are_by_arm_seed_and_metric(study: Study) -> None:
    finish(job_of(study, "icpo", 1), {0: 20.0, 4: 30.0, 8: 40.0})
    found = {(record.job.arm, record.job.seed): record for record in collect(jobs(study))}
    assert found["icpo", 1].points("eval/heldout/avg_at_k") == [(0, 20.0), (4, 30.0), (8, 40.0)]
    assert found["icpo", 1].points("entropy")[0] == (1, 0.1)
    assert found["grpo", 0].metrics == found["grpo", 1].metrics == {}


def test_a_half_written_line_is_read_when_it_is_complete(study: Study) -> None:
    job = job_of(study, "grpo", 0)
    run = write_run(job, {0: 20.0}, iterations=2)
    with (run / "journal.jsonl").open("a") as journal:
        journal.write('{"step": 3, "time_ms": 0, "metr')
    (run / "input_parity.json").write_text('{"prompts": "a')
    record = collect([job])[0]
    assert (record.iterations, record.input_parity) == (2, {})


def test_the_run_that_was_written_last_is_read(study: Study) -> None:
    """A run that was killed before it saved is left, and another begun in its place."""
    job = job_of(study, "grpo", 0)
    for run_id, accuracy, written in (("new", 30.0, 2000), ("old", 20.0, 1000)):
        os.utime(write_run(job, {0: accuracy}, run_id=run_id) / "journal.jsonl", (written, written))
    begun = job.folder / "just-begun"
    begun.mkdir()
    (begun / "config.yaml").touch()
    assert collect([job])[0].run_id == "new"
    (job.folder / "outcome.json").write_text(json.dumps({"run_id": "old", "iterations": 8}))
    assert collect([job])[0].accuracy("heldout") == [(0, 20.0)]


def test_a_group_has_a_mean_where_all_its_benchmarks_have_one(study: Study) -> None:
    job = job_of(study, "grpo", 0)
    for place, bench in enumerate(("math500", "minerva", "aime24")):
        write_run(job, {0: 30.0 * place, 8: 60.0 + place}, run_id=bench, bench=bench)
    whole = job.folder / "whole"
    whole.mkdir()
    lines = [(job.folder / bench / "journal.jsonl").read_text() for bench in ("math500", "minerva", "aime24")]
    (whole / "journal.jsonl").write_text("".join(lines))
    (job.folder / "outcome.json").write_text(json.dumps({"run_id": "whole", "iterations": 8}))
    records = collect([job])
    assert records[0].accuracy("math") == [(0, 30.0), (8, 61.0)]
    assert benches_of(records) == ["math500", "minerva", "aime24", "math"]
