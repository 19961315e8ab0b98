import math
from dataclasses import replace

import pytest

from icpo_cli.evaluate.plan import Task
from icpo_cli.evaluate.score import TaskResponses, score
from icpo_cli.evaluate.store import StoredResponse
from icpo_cli.evaluate.table import group_means, metrics_of, partial_text, rows_of
from icpo_cli.records import RuleName, Verdict
from tests.evaluate.benchmark import make_task
from tests.train.tables import KINDS

ANSWERS = {"+": "1", "-": "2", "=": "3", "0": None, "t": "1", "e": "1"}
"""By character of a grid; "=" is wrong with another answer than "-"."""


def part_of(grid: list[str], task: Task | None = None) -> TaskResponses:
    """One row per question, one character per response: a key of ANSWERS, or a space for none."""
    task = task or make_task(count=len(grid), k=len(grid[0]))
    responses, verdicts = {}, {}
    for question, row in zip(task.questions, grid, strict=True):
        for index, kind in enumerate(row):
            if kind != " ":
                sure = 0.9 if kind == "+" else 0.5
                key = (question.id, index)
                responses[key] = StoredResponse(
                    question.id, index, "x", (1, 2, 3), "length" if kind == "0" else "stop", 0, sure
                )
                verdicts[key] = Verdict(KINDS[kind.replace("=", "-")], ANSWERS[kind], RuleName.NUMBER)
    return TaskResponses(task, responses, verdicts)


def test_a_whole_benchmark() -> None:
    result = score(part_of(["++", "+-", "--", "00"]))
    assert (result.n, result.k, result.partial) == (4, 2, False)
    assert result.avg_at_k == 37.5
    assert result.verdicts == {"correct": 3, "wrong": 3, "no_answer": 2, "timeout": 0, "error": 0}
    assert result.pass_at_k == {1: 37.5, 2: 50.0}
    assert (result.no_answer_share, result.cut_off_share, result.response_tokens_mean) == (25.0, 25.0, 3.0)
    assert result.confidence_correct == pytest.approx(math.log(0.9))
    assert result.confidence_wrong == pytest.approx(math.log(0.5))
    assert result.auroc == 1.0


def test_missing_responses_are_counted_and_not_scored() -> None:
    result = score(part_of(["++", "  ", "+ ", "-e"]))
    assert result.avg_at_k == pytest.approx((100 + 100 + 0) / 3)
    assert (result.n, result.partial) == (3, True)
    assert vars(result.missing) == {"questions": 1, "responses": 3, "ungraded": 1, "unknown": 0}
    assert result.missing_ids == ("sums/1",)
    assert partial_text(result) == "partial: 1 questions missing, 3 responses missing, 1 not graded"
    assert result.pass_at_k == {1: pytest.approx(200 / 3)}


def test_an_undecided_answer_counts_as_wrong_and_shows_an_upper_bound() -> None:
    result = score(undecided(part_of(["+t", "++"])))
    assert (result.avg_at_k, result.upper_bound, result.undecided) == (75.0, 100.0, 1)
    assert (result.verdicts["timeout"], result.missing.ungraded, result.partial) == (1, 0, False)
    [row] = rows_of([result])
    assert row[2] == "@2 75.0 to 100.0" and row[-1] == "1 undecided"
    assert metrics_of([result])["eval/sums/undecided"] == 1


def test_a_verdict_that_the_gold_or_the_judge_prevents_is_not_scored() -> None:
    result = score(part_of(["+e"]))  # no comparison has failed: the rule is another
    assert (result.avg_at_k, result.undecided, result.missing.ungraded, result.partial) == (100.0, 0, 1, True)


def undecided(part: TaskResponses) -> TaskResponses:
    """The part with timeouts as the sandbox gives them."""
    slow = {k: replace(v, rule=RuleName.DEADLINE) if v.kind == "timeout" else v for k, v in part.verdicts.items()}
    return replace(part, verdicts=slow)


def test_the_majority_is_over_answers_not_over_verdicts() -> None:
    assert score(part_of(["++-=", "--+0"])).maj_at_k == 50.0


def test_without_responses_numbers_are_nan() -> None:
    result = score(part_of(["  ", "  "]))
    assert math.isnan(result.avg_at_k) and result.n == 0 and result.partial
    document = result.document()
    assert document["avg_at_k"] is None and document["ci95"] == [None, None] and document["pass_at_k"] == {}
    assert "eval/sums/avg_at_k" not in metrics_of([result])
    assert rows_of([result])[0][2] == "@2 -"


def test_group_means_need_all_benchmarks_of_the_group() -> None:
    results = [
        score(part_of([row], make_task(name, count=1, k=2)))
        for name, row in {"math500": "++", "minerva": "+-", "aime24": "--"}.items()
    ]
    assert group_means(results) == {"math": 50.0}
    assert rows_of(results)[-1][:3] == ("Math", "", "50.0")
    assert metrics_of(results)["eval/math/avg_at_k"] == 50.0
    assert group_means(results[:2]) == {}


def test_metrics_have_names_that_mlflow_takes() -> None:
    metrics = metrics_of([score(part_of(["++", "+-"]))])
    assert all(name.replace("/", "").replace("_", "").isalnum() for name in metrics)
    assert metrics["eval/sums/pass_at_2"] == 100.0
    assert all(math.isfinite(value) for value in metrics.values())
