"""Which stored responses a page holds, and what becomes of files that are damaged or gone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from icpo_cli.report.responses import RESPONSES_A_RUN, confidences_of, responses_of, spread
from icpo_cli.runs.parquet import write_table
from icpo_cli.text import shortened, visible
from icpo_cli.track.read import Points, RunStore
from tests.report.runs import evaluated, trained


@dataclass(frozen=True)
class Stored(RunStore):
    """A store of histories and artifacts that are given."""

    files: Mapping[tuple[str, str], Path] = field(default_factory=dict)
    histories: Mapping[str, Mapping[str, Points]] = field(default_factory=dict)

    def runs(self) -> list:
        return []

    def history(self, run_id: str, metrics: Sequence[str]) -> dict[str, Points]:
        return {name: points for name, points in self.histories[run_id].items() if name in metrics}

    def artifacts(self, run_id: str) -> list[str]:
        return [path for run, path in self.files if run == run_id]

    def artifact(self, run_id: str, path: str) -> Path | None:
        return self.files.get((run_id, path))

    def _artifact_root(self, run_id: str) -> None: ...


def iteration(number: int, groups: int, size: int, **columns: Any) -> list[dict[str, Any]]:
    return [
        {
            "iteration": number,
            "prompt_id": f"p{p}",
            "question": f"{p}?",
            "response": g + 1,
            "text": f"answer {g}",
            "verdict": "correct" if g == 0 else "wrong",
            "confidence": -0.1 * (g + 1),
            "advantage": 1.0 - g,
            **columns,
        }
        for p in range(groups)
        for g in range(size)
    ]


def stored(folder: Path, iterations: Mapping[int, list[dict[str, Any]]]) -> Stored:
    for number, rows in iterations.items():
        write_table(rows, folder / f"iteration-{number:05d}.parquet")
    return Stored({("t", "responses"): folder})


def test_whole_groups_of_the_first_middle_and_last_iteration(tmp_path: Path) -> None:
    store = stored(tmp_path, {number: iteration(number, groups=100, size=5) for number in range(1, 8)})
    found = responses_of(store, trained("t"))
    assert found is not None
    assert found.note == "iterations: 3 of 7; responses: 150 of 1,500"
    assert list(dict.fromkeys(row["where"] for row in found.rows)) == ["iteration 1", "iteration 4", "iteration 7"]
    first = [row["prompt_id"] for row in found.rows if row["where"] == "iteration 1"]
    groups = list(dict.fromkeys(first))
    assert len(groups) == RESPONSES_A_RUN // 3 // 5 and (groups[0], groups[-1]) == ("p0", "p99")
    assert all(first.count(group) == 5 for group in groups)
    assert found.rows[1]["advantage"] == 0.0 and found.rows[1]["response"] == 2


def test_a_group_larger_than_the_room_is_shown_whole(tmp_path: Path) -> None:
    found = responses_of(stored(tmp_path, {1: iteration(1, groups=2, size=400)}), trained("t"))
    assert found is not None and len(found.rows) == 400


def test_numbers_that_are_none_or_not_finite_are_left_out(tmp_path: Path) -> None:
    rows = iteration(1, 1, 3, bonus=math.nan, reward_final=math.inf, extracted=None)
    rows[0]["confidence"] = None
    rows[1]["confidence"] = math.nan
    store = stored(tmp_path, {1: rows})
    found = responses_of(store, trained("t"))
    assert found is not None
    assert [row.get("confidence") for row in found.rows] == [None, None, pytest.approx(-0.3)]
    assert not any({"bonus", "reward_final", "extracted"} & row.keys() for row in found.rows)
    assert confidences_of(store, trained("t"))["value"].tolist() == [pytest.approx(-0.3)]


def test_files_that_are_half_written_or_gone_are_named_and_passed_over(tmp_path: Path) -> None:
    store = stored(tmp_path, {number: iteration(number, 2, 2) for number in (1, 2, 3)})
    last = tmp_path / "iteration-00003.parquet"
    last.write_bytes(last.read_bytes()[:200])
    found = responses_of(store, trained("t"))
    assert found is not None
    assert found.note == "iteration-00003.parquet cannot be read (ArrowInvalid)"
    assert len(found.rows) == 8
    (tmp_path / "iteration-00002.parquet").unlink()
    (tmp_path / "iteration-00002.parquet").symlink_to("nowhere")
    assert len(confidences_of(store, trained("t"))["value"]) == 4  # the first iteration's, the last that can be read
    assert responses_of(Stored(), trained("t")) is None
    assert not len(confidences_of(Stored(), trained("t"))["value"])


def test_an_evaluation_shows_some_questions_of_each_benchmark(tmp_path: Path) -> None:
    rows = [
        {"bench": bench, "id": f"{bench}/{q}", "index": index, "text": "t", "mean_prob": 0.5, "verdict": "wrong"}
        for bench in ("math500", "aime24")
        for q in range(100)
        for index in range(4)
    ]
    write_table(rows, tmp_path / "responses.parquet")
    store = Stored({("e", "responses.parquet"): tmp_path / "responses.parquet"})
    run = evaluated("e", {"math500": 1.0})
    found = responses_of(store, run)
    assert found is not None and found.note == "responses: 144 of 800"
    assert [row["where"] for row in found.rows].count("aime24") == 72  # 75 // 4 questions of 4
    assert found.rows[0]["confidence"] == pytest.approx(math.log(0.5))
    assert (found.rows[1]["prompt_id"], found.rows[1]["response"]) == ("math500/0", 2)
    assert set(confidences_of(store, run)["group"]) == set(range(1, 201))


def test_questions_that_are_to_stay_out_of_sight_are_not_quoted_by_responses(tmp_path: Path) -> None:
    rows = [
        {"bench": bench, "id": f"{bench}/1", "index": 0, "text": "You ask", "mean_prob": 0.5, "verdict": "wrong"}
        for bench in ("gpqa", "aime24")
    ]
    write_table(rows, tmp_path / "responses.parquet")
    found = responses_of(
        Stored({("e", "responses.parquet"): tmp_path / "responses.parquet"}), evaluated("e", {"gpqa": 1.0})
    )
    assert found is not None and [row["where"] for row in found.rows] == ["aime24"]
    assert found.note == "responses: 1 of 2"


@pytest.mark.parametrize(
    ("count", "wanted", "places"),
    [(3, 5, [0, 1, 2]), (7, 3, [0, 3, 6]), (10, 2, [0, 9]), (5, 1, [0]), (0, 3, [])],
)
def test_places_are_spread_evenly(count: int, wanted: int, places: list[int]) -> None:
    assert spread(count, wanted) == places


def test_text_can_be_looked_at() -> None:
    assert visible("a\r\nb\tc\x1b[1m\u202e\x9b") == "a\nb\tc⟨U+001B⟩[1m⟨U+202E⟩⟨U+009B⟩"
    assert visible("שלום 中文 é 👩\u200d🔬") == "שלום 中文 é 👩\u200d🔬"
    assert visible("\ud800").encode() == "\N{REPLACEMENT CHARACTER}".encode()
    assert shortened("abcdefgh", 3, 2) == "abc\n[… 3 characters left out …]\ngh"
    assert shortened("abcde", 3, 2) == "abcde"
