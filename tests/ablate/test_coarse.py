"""Selection of coarse data from the stored responses of a probe run."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from icpo_cli.ablate.coarse import CoarseData, coarse_source, select_coarse
from icpo_cli.config.load import load_config, to_yaml
from icpo_cli.config.schema import Config
from icpo_cli.data.prompts import load_prompts
from icpo_cli.data.sources import selected_by
from icpo_cli.errors import UserError
from icpo_cli.records import AnswerKind, Gold, Prompt
from icpo_cli.runs.parquet import read_table, write_table
from icpo_cli.runs.run_dir import RunDir
from icpo_cli.runs.study_dir import StudyDir
from tests.train.tables import Graded, table_of


class Characters:
    """A tokenizer whose tokens are characters, without a chat template."""

    name_or_path: str = "characters"
    chat_template: str | None = None

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        raise NotImplementedError

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [ord(char) for char in text]


def write_questions(path: Path, rows: Sequence[dict]) -> str:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def probe_config(tmp_path: Path, rows: Sequence[dict], *settings: str) -> Config:
    path = write_questions(tmp_path / "questions.jsonl", rows)
    source = ["data.train.source=file", f"data.train.path={path}", "data.train.id_column=uid", "data.template=plain"]
    return load_config([*source, *settings])


def prompts_of(config: Config) -> dict[str, Prompt]:
    """The prompts that a run of that configuration samples."""
    found = load_prompts(config, Characters(), lambda golds: [None] * len(golds))
    return {prompt.id: prompt for prompt in found.train}


def write_probe(folder: Path, config: Config, *iterations: dict[str, str]) -> RunDir:
    """A run's folder. An iteration: prompt id to verdicts, as tables.KINDS has them."""
    run = RunDir(folder)
    run.responses_folder.mkdir(parents=True)
    run.config_file.write_text(to_yaml(config), encoding="utf-8")
    prompts = prompts_of(config)
    for number, groups in enumerate(iterations, 1):
        rows = table_of([Graded(prompts[name], verdicts) for name, verdicts in groups.items()], config)
        write_table([{"iteration": number, **row} for row in rows], run.responses_file(number))
    return run


SUMS = [{"uid": f"sum-{n}", "question": f"Calculate {n} + 1.", "answer": str(n + 1)} for n in range(6)]


@pytest.fixture
def probe(tmp_path: Path) -> RunDir:
    """An epoch of six prompts in two iterations of four: the second begins the next epoch."""
    return write_probe(
        tmp_path / "runs" / "abc",
        probe_config(tmp_path, SUMS),
        {"sum-3": "+++", "sum-0": "+-+", "sum-5": "---", "sum-1": "-t-"},
        {"sum-4": "0-0", "sum-2": "+e+", "sum-0": "+++", "sum-5": "+-+"},
        {"sum-1": "+++", "sum-3": "-+-", "sum-2": "---", "sum-4": "+-+"},
    )


def test_the_first_epochs_uniform_groups_are_kept(probe: RunDir, tmp_path: Path) -> None:
    found = select_coarse(probe, StudyDir(tmp_path / "study"))
    rows = [json.loads(line) for line in (tmp_path / "study" / "coarse.jsonl").read_text().splitlines()]
    assert [(row["id"], row["reason"]) for row in rows] == [
        ("sum-3", "all_right"),
        ("sum-5", "all_wrong"),
        ("sum-4", "all_wrong"),
    ]
    assert rows[0] == {
        "id": "sum-3",
        "question": "Calculate 3 + 1.",
        "answer": "4",
        "kind": None,
        "choices": [],
        "reason": "all_right",
    }
    assert found == CoarseData(
        probe="abc",
        iterations=2,  # the third has no prompt that was not asked before
        prompts=3,
        counts={"all_right": 1, "all_wrong": 2, "mixed": 1, "undecided": 2},
        fingerprint=hashlib.sha256((tmp_path / "study" / "coarse.jsonl").read_bytes()).hexdigest(),
    )
    assert json.loads((tmp_path / "study" / "coarse.json").read_text()) == vars(found)
    source = coarse_source(probe.config().data.train, StudyDir(tmp_path / "study"))
    assert selected_by(source) == "abc" and selected_by(probe.config().data.train) is None
    Path(str(source.path)).write_text("other questions")
    assert selected_by(source) is None


def arm_config(probe: Config, study: Path) -> Config:
    """The configuration that a study writes and `icpo train` reads."""
    source = coarse_source(probe.data.train, StudyDir(study))
    path = study / "arm.yaml"
    path.write_text(yaml.safe_dump({"data": {"train": vars(source), "template": probe.data.template}}))
    return load_config([str(path)])


def test_the_arms_have_the_prompts_of_the_probe(probe: RunDir, tmp_path: Path) -> None:
    config = probe.config()
    select_coarse(probe, StudyDir(tmp_path / "study"))
    asked = prompts_of(config)
    kept = prompts_of(arm_config(config, tmp_path / "study"))
    assert kept == {name: asked[name] for name in ("sum-3", "sum-5", "sum-4")}
    assert kept["sum-3"].tokens


def test_kinds_choices_and_special_characters_are_kept(tmp_path: Path) -> None:
    rows = [
        {"uid": "7", "question": 'Which one?\nÄ \u2028 "b" \\frac{1}{2}', "answer": "B", "options": ["red", "blue"]},
        {"uid": "x y/z", "question": " Which other? ", "answer": "C", "options": ["1", "2", "3"]},
    ]
    config = probe_config(tmp_path, rows, "data.train.choices_column=options", "data.train.kind=letter")
    run = write_probe(tmp_path / "run", config, {"7": "++", "x y/z": "--"})
    select_coarse(run, StudyDir(tmp_path / "study"))
    kept = prompts_of(arm_config(config, tmp_path / "study"))
    assert kept == prompts_of(config)
    assert kept["7"].gold == Gold("B", AnswerKind.LETTER, ("red", "blue"))


def test_a_reasoning_gym_probes_source_becomes_a_file(tmp_path: Path) -> None:
    probed = load_config(["data.train.task=basic_arithmetic", "data.train.seed=7"]).data.train
    source = coarse_source(probed, StudyDir(tmp_path))
    assert (source.source, source.task, source.choices_column, source.kind) == ("file", None, None, "auto")
    assert (source.path, source.id_column) == (str(tmp_path / "coarse.jsonl"), "id")


def test_a_repeated_selection_changes_nothing_and_another_probe_is_an_error(probe: RunDir, tmp_path: Path) -> None:
    study = tmp_path / "study"
    first = select_coarse(probe, StudyDir(study))
    files = {path.name: path.read_bytes() for path in study.iterdir()}
    assert files.keys() == {"coarse.jsonl", "coarse.json"}
    assert select_coarse(probe, StudyDir(study)) == first
    assert {path.name: path.read_bytes() for path in study.iterdir()} == files
    other = write_probe(tmp_path / "runs" / "def", probe.config(), {"sum-0": "+++"})
    says = r"^probe def: selects other questions than .*coarse.json, which is from probe abc; move .*study"
    with pytest.raises(UserError, match=says):
        select_coarse(other, StudyDir(study))
    assert {path.name: path.read_bytes() for path in study.iterdir()} == files


def refused(run: RunDir, folder: Path, message: str) -> None:
    with pytest.raises(UserError, match=message) as raised:
        select_coarse(run, StudyDir(folder))
    assert "\n" not in str(raised.value)
    assert not folder.exists()


def test_an_empty_selection_is_an_error_with_its_counts(tmp_path: Path) -> None:
    groups = {"sum-0": "+-+", "sum-1": "-+-", "sum-2": "+t+"}
    run = write_probe(tmp_path / "abc", probe_config(tmp_path, SUMS), groups)
    message = (
        r"^probe abc: no question is left: none of its 3 groups was all correct or all wrong \(2 mixed, 1 undecided\)$"
    )
    refused(run, tmp_path / "study", message)


def test_a_run_without_verdicts_by_prompt_is_an_error(probe: RunDir, tmp_path: Path) -> None:
    bare = write_probe(tmp_path / "bare", probe.config())
    refused(bare, tmp_path / "study", r"^probe bare: has no verdicts by prompt: no tables of responses in .*responses$")
    path = probe.responses_file(2)
    rows = read_table(path)
    for column in ("verdict", "prompt_id", "gold_kind"):
        write_table([{key: value for key, value in row.items() if key != column} for row in rows], path)
        refused(
            probe,
            tmp_path / "study",
            rf"^probe abc: has no verdicts by prompt: .*00002.parquet has no column '{column}'$",
        )
    path.write_bytes(b"PAR1 torn")
    refused(probe, tmp_path / "study", r"^probe abc: .*iteration-00002.parquet cannot be read: ")


def test_a_probe_with_shuffled_gold_answers_is_an_error(probe: RunDir, tmp_path: Path) -> None:
    probe.config_file.write_text(to_yaml(probe.config(["reward.control=shuffled_golds"])))
    refused(probe, tmp_path / "study", r"^probe abc: reward.control shuffled its gold answers")
