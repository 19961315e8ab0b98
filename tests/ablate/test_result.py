import csv
import math
from pathlib import Path

import pytest

from icpo_cli.ablate.result import (
    BEFORE,
    FINAL,
    LAST_QUARTER,
    SeedMean,
    StudyResult,
    collect,
    last_quarter,
    result_of,
    verdict_of,
)
from icpo_cli.ablate.study import Study
from icpo_cli.ablate.table import input_parity_markdown, notes, result_table, to_csv, to_markdown
from icpo_cli.statistics import PairedDifference
from tests.ablate.studies import FAIR, finish, job_of, jobs, make_study, write_run


def result(study: Study) -> StudyResult:
    return result_of(study, "parent", collect(jobs(study)))


def mean(study: Study, arm: str, measure: str = FINAL) -> SeedMean:
    return result(study).means[arm, "heldout", measure]


def difference(study: Study, arm: str, measure: str = FINAL) -> PairedDifference:
    return result(study).comparisons[arm, "heldout", measure]


def finish_arm(study: Study, arm: str, finals: dict[int, float]) -> None:
    for seed, final in finals.items():
        finish(job_of(study, arm, seed), {0: 20.0, 4: 30.0, 8: final}, input_parity=FAIR)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    """Two arms against the base, one against another: 3 comparisons."""
    arms = {"grpo": None, "icpo": "grpo", "noisy grpo": "grpo", "noisy icpo": "noisy grpo"}
    study = make_study(tmp_path, arms)
    finish_arm(study, "grpo", {0: 50.0, 1: 60.0, 2: 70.0})
    finish_arm(study, "icpo", {0: 52.0, 1: 64.0, 2: 79.0})  # 2, 4, 9 more
    finish_arm(study, "noisy grpo", {0: 40.0, 1: 50.1, 2: 59.9})  # 10, 9.9, 10.1 less
    finish_arm(study, "noisy icpo", {0: 60.0, 1: 70.0, 2: 80.0})  # 20, 19.9, 20.1 more than noisy grpo
    return study


def test_means_and_errors_are_over_seeds(study: Study) -> None:
    icpo, before = mean(study, "icpo"), mean(study, "icpo", BEFORE)
    # 52, 64, 79: mean 65, sample variance (169 + 1 + 196) / 2 = 183
    assert icpo.mean == 65
    assert icpo.stderr == pytest.approx(math.sqrt(183 / 3))
    assert (before.mean, before.stderr) == (20, 0)
    assert icpo.values == {0: 52.0, 1: 64.0, 2: 79.0}


def test_differences_are_paired_by_seed_and_corrected_for_their_number(study: Study) -> None:
    found = result(study)
    icpo = difference(study, "icpo")
    assert found.level == pytest.approx(1 - 0.05 / 3)
    # t(1 - 0.05 / 6, 2) = 7.6488; the error of 2, 4, 9 is sqrt(13 / 3)
    half = 7.6488 * math.sqrt(13 / 3)
    assert icpo.difference == 5
    assert icpo.interval == pytest.approx((5 - half, 5 + half), abs=2e-3)
    assert verdict_of(icpo) == "cannot be told apart"
    noisy = difference(study, "noisy grpo")
    assert verdict_of(noisy) == "worse"
    # error of 10, 9.9, 10.1: 0.1 / sqrt(3)
    assert noisy.interval == pytest.approx((-10 - 7.6488 * 0.057735, -10 + 7.6488 * 0.057735), abs=1e-3)
    other = difference(study, "noisy icpo")
    assert (found.against["noisy icpo"], verdict_of(other)) == ("noisy grpo", "better")
    assert other.difference == pytest.approx(20)
    assert ("grpo", "heldout", FINAL) not in found.comparisons


def test_a_difference_within_the_corrected_interval_is_not_significant(tmp_path: Path) -> None:
    # 4, 5, 6: error 1 / sqrt(3); 5 - 4.303 * 0.577 > 0, but 5 - 17.28 * 0.577 < 0 with 15 comparisons
    arms: dict[str, str | None] = {"grpo": None} | {f"arm {number}": "grpo" for number in range(15)}
    for name, few in (("one", dict(list(arms.items())[:2])), ("many", arms)):
        study = make_study(tmp_path / name, few)
        finish_arm(study, "grpo", {0: 50.0, 1: 50.0, 2: 50.0})
        finish_arm(study, "arm 0", {0: 54.0, 1: 55.0, 2: 56.0})
        assert verdict_of(difference(study, "arm 0")) == ("better" if name == "one" else "cannot be told apart")


def test_equal_differences_of_all_seeds_show_no_spread(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"grpo": None, "icpo": "grpo"}, seeds=(0, 1))
    finish_arm(study, "grpo", {0: 100 * 42 / 60, 1: 100 * 40 / 60})
    finish_arm(study, "icpo", {0: 100 * 43 / 60, 1: 100 * 41 / 60})
    assert verdict_of(difference(study, "icpo")) == "cannot be told apart"


def test_the_last_quarter_covers_evaluations_after_the_first_iteration() -> None:
    assert last_quarter([(0, 99.0), *((step, float(step)) for step in range(1, 9))]) == 7.5  # 7 and 8
    assert last_quarter([(0, 99.0), *((step, float(step)) for step in range(1, 10))]) == 8  # 7, 8, 9: rounded up
    assert last_quarter([(0, 99.0), (5, 40.0)]) == 40
    assert math.isnan(last_quarter([(0, 99.0)])) and math.isnan(last_quarter([]))


def test_the_last_quarter_has_its_own_comparisons(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"grpo": None, "icpo": "grpo"}, seeds=(0, 1))
    for arm, more in (("grpo", 0.0), ("icpo", 3.0)):
        for seed in study.seeds:
            steady = dict.fromkeys(range(1, 8), 40.0 + more + 0.1 * seed * more)
            finish(job_of(study, arm, seed), {0: 20.0, **steady, 8: 50.0})
    assert difference(study, "icpo").difference == 0
    assert difference(study, "icpo", LAST_QUARTER).difference == pytest.approx(
        (1.5 + 1.65) / 2
    )  # 7 and 8 of 8, the last being equal


def test_only_jobs_that_are_done_count_and_the_others_are_named(study: Study) -> None:
    (job_of(study, "icpo", 2).folder / "outcome.json").unlink()
    failed = job_of(study, "icpo", 1).folder
    (failed / "outcome.json").unlink()
    (failed / "failure.txt").write_text("no room")
    found = result(study)
    assert found.partial and mean(study, "icpo").values == {0: 52.0}
    assert (difference(study, "icpo").n, difference(study, "icpo").difference) == (1, 2)
    assert found.level == pytest.approx(1 - 0.05 / 3)
    row = result_table(found).texts[1]
    assert row[:2] == ("icpo", "1 of 3, 1 unfinished, 1 failed")
    assert notes(found)[0] == "10 of 12 jobs are done (1 unfinished, 1 failed); only those count here."
    assert "no room" in to_markdown(found)
    document = found.document()
    assert document["arms"][1]["jobs"] == {"waiting": 0, "unfinished": 1, "failed": 1, "done": 1}
    states = {(job["arm"], job["seed"]): (job["state"], job["failure"]) for job in document["jobs"]}
    assert states["icpo", 1] == ("failed", "no room") and states["icpo", 2] == ("unfinished", None)


def test_a_seed_of_one_arm_alone_is_not_paired(study: Study) -> None:
    (job_of(study, "grpo", 1).folder / "outcome.json").unlink()
    icpo = difference(study, "icpo")
    assert (icpo.n, icpo.difference) == (2, 5.5)  # 2 and 9


def test_one_seed_has_no_interval_and_says_so(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"grpo": None, "icpo": "grpo"}, seeds=(7,))
    finish_arm(study, "grpo", {7: 50.0})
    finish_arm(study, "icpo", {7: 90.0})
    found = result(study)
    assert verdict_of(difference(study, "icpo")) == "one seed: no interval"
    assert (mean(study, "icpo").stderr, mean(study, "icpo").stderr_over) == (4.0, "questions")
    assert result_table(found).texts[1][4:] == ("90.0 (± 4.0)", "90.0", "+40.0", "-", "one seed: no interval")
    text = " ".join(notes(found))
    assert "over its questions" in text and "One seed gives no interval" in text


def test_a_study_that_has_only_begun(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"grpo": None, "icpo": "grpo"})
    found = result(study)
    assert result_table(found).texts[0] == ("grpo", "0 of 3, 3 waiting", "0/8", "-", "-", "-", "", "", "base")
    assert "No job was evaluated" in " ".join(notes(found))
    write_run(job_of(study, "grpo", 0), {0: 20.0}, iterations=3)
    found = result(study)
    assert result_table(found).texts[0][:3] == ("grpo", "0 of 3, 2 waiting, 1 unfinished", "0-3/8")
    assert result_table(found).texts[1][-1] == "no seed of both is done"
    to_markdown(found), to_csv(found)


def test_a_column_names_the_compared_arm_if_it_differs_between_rows(study: Study) -> None:
    table = result_table(result(study))
    assert [column.name for column in table.columns[6:]] == ["against", "difference", "interval", "verdict"]
    assert [row[6] for row in table.texts] == ["", "grpo", "grpo", "noisy grpo"]
    assert table.texts[1][3:6] == ("20.0 ± 0.0", "65.0 ± 7.8", "65.0 ± 7.8")
    assert table.texts[2][7:] == ("-10.0", "-10.4 to -9.6", "worse")
    assert "98.33 % each, 95 % for all 3 together (Bonferroni)" in " ".join(notes(result(study)))


def test_csv_has_every_number_and_seed(study: Study) -> None:
    rows = list(csv.DictReader(to_csv(result(study)).splitlines()))
    assert len(rows) == 4 * 3
    row = next(row for row in rows if (row["arm"], row["measure"]) == ("icpo", "final"))
    assert (row["mean"], row["seed_2"], row["against"], row["difference"]) == ("65.0", "79.0", "grpo", "5.0")
    base = next(row for row in rows if (row["arm"], row["measure"]) == ("grpo", "final"))
    assert base["difference"] == "" and base["mean"] == "60.0"


def test_names_do_not_break_a_markdown_table(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"a|b": None, "c\nd": "a|b"})
    table = [line for line in to_markdown(result(study)).splitlines() if line.startswith("|")]
    assert any(line.startswith("| a\\|b |") for line in table) and any(line.startswith("| c d |") for line in table)


def test_several_benchmarks_have_rows_and_comparisons_each(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"grpo": None, "icpo": "grpo"}, seeds=(0,))
    for arm in ("grpo", "icpo"):
        job = job_of(study, arm, 0)
        write_run(job, {8: 50.0}, run_id="other", bench="gpqa")
        finish(job, {8: 60.0})
        with (job.folder / "run0" / "journal.jsonl").open("a") as journal:
            journal.write((job.folder / "other" / "journal.jsonl").read_text())
    found = result(study)
    assert [row[:2] for row in result_table(found).texts] == [
        ("grpo", "held-out"),
        ("icpo", "held-out"),
        ("grpo", "GPQA"),
        ("icpo", "GPQA"),
    ]
    assert found.level == pytest.approx(1 - 0.05 / 2)


def test_unequal_inputs_of_arms_are_named(study: Study) -> None:
    assert result(study).input_differences == {}
    assert "are equal across the arms of each seed" in input_parity_markdown(result(study))
    run = job_of(study, "noisy icpo", 1).folder / "run0"
    (run / "input_parity.json").write_text('{"prompts": "aa", "order": "xx", "sampling_seeds": "cc"}')
    found = result(study)
    assert found.input_differences == {("noisy icpo", 1): ("order", "noise_draws", "heldout")}
    [different] = found.document()["input_differences"]
    assert (different["arm"], different["against"], different["seed"]) == ("noisy icpo", "noisy grpo", 1)
    text = input_parity_markdown(result(study))
    assert "1 of 12 jobs do not have the same inputs as the job they are compared with" in text
    assert "data order, noise draws, held-out questions, from noisy grpo" in text
    assert "1 jobs do not have the same inputs" in " ".join(notes(found))


def test_inputs_are_compared_with_those_of_the_arm_it_is_compared_with(study: Study) -> None:
    for arm in ("noisy grpo", "noisy icpo"):
        path = job_of(study, arm, 0).folder / "run0" / "input_parity.json"
        path.write_text(path.read_text().replace("bb", "xx"))
    assert list(result(study).input_differences) == [("noisy grpo", 0)]


def test_a_difference_shows_before_the_jobs_are_done(tmp_path: Path) -> None:
    study = make_study(tmp_path, {"grpo": None, "icpo": "grpo"}, seeds=(0, 1))
    assert "No job has recorded" in input_parity_markdown(result(study))
    write_run(job_of(study, "grpo", 0), {}, iterations=0, input_parity=FAIR)
    write_run(job_of(study, "icpo", 0), {}, iterations=0)
    assert result(study).input_differences == {}
    write_run(job_of(study, "icpo", 1), {}, iterations=0, input_parity=FAIR | {"order": "xx"})
    assert "In the 2 of 4 jobs that have begun" in input_parity_markdown(result(study))
    write_run(job_of(study, "grpo", 1), {}, iterations=0, input_parity=FAIR)
    assert result(study).input_differences == {("icpo", 1): ("order",)}
