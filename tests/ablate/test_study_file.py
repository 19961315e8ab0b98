from pathlib import Path

import pytest

from icpo_cli.ablate.study import read_study_file, study_names
from icpo_cli.errors import UserError


def write(folder: Path, text: str, name: str = "mine.yaml") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def test_the_papers_studies_are_shipped() -> None:
    assert study_names() == ["coarse", "methods", "noise", "scale", "schedule", "sensitivity"]


def test_defaults_of_a_study_file() -> None:
    study = read_study_file("coarse")
    assert (study.files, study.dials, study.controls, study.dial_arms) == ([], {}, [], None)


def test_default_name_is_the_file_stem_and_default_base_the_first_arm(tmp_path: Path) -> None:
    study = read_study_file(write(tmp_path, "arms:\n  a: {method: grpo}\n  b:\n"))
    assert (study.name, study.base, study.arms) == ("mine", "a", {"a": {"method": "grpo"}, "b": {}})


def test_an_included_study_is_the_lower_layer(tmp_path: Path) -> None:
    write(
        tmp_path,
        "name: below\nabout: from below\nfiles: [base.yaml]\nsettings: {seed_free: 1, both: 1}\n"
        "arms: {a: {x: 1, y: 1}, b: {x: 2}}\ndials: {x: [1, 2]}\n",
        "sub/below.yaml",
    )
    study = read_study_file(
        write(
            tmp_path,
            "include: sub/below.yaml\nname: mine\nfiles: [own.yaml]\nsettings: {both: 2}\n"
            "arms: {a: {y: 3}, c: {files: [c.yaml]}}\ndials: {x: [3]}\n",
        )
    )
    assert (study.name, study.about, study.base) == ("mine", "from below", "a")
    assert study.files == [str(tmp_path / "sub/base.yaml"), str(tmp_path / "own.yaml")]
    assert study.settings == {"seed_free": 1, "both": 2}
    assert study.arms == {"a": {"x": 1, "y": 3}, "b": {"x": 2}, "c": {"files": [str(tmp_path / "c.yaml")]}}
    assert study.dials == {"x": [3]}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("include: mine.yaml\narms: {a: {}}\n", "mine.yaml: includes itself"),
        ("include: other.yaml\narms: {a: {}}\n", "mine.yaml: includes itself"),
        ("include: nothing.yaml\n", "nothing.yaml: no such file"),
        ("about: without arms\n", "arms: a study needs one or more"),
        ("arms: {a: {}}\ndails: {x: [1]}\n", "unknown key 'dails'; nearest: dials"),
        ("arms: [a, b]\n", "arms: ['a', 'b'] is not a section of keys and values"),
        ("arms: {a: grpo}\n", "arms.a: 'grpo' is not a section of keys and values"),
        ("arms: {a: {files: one.yaml}}\n", "arms.a.files: 'one.yaml' is not a list"),
        ("arms: {3: {}}\n", "arms: key 3 is not text"),
        ("arms: {a: {}}\nprobe: [1]\n", "probe: [1] is not a section of keys and values"),
        ("arms: {a: {}}\nfiles: one.yaml\n", "files: 'one.yaml' is not a list"),
        ("arms: {a: {}}\ndials: {x: 1}\n", "dials.x: 1 is not a list"),
        ("arms: {a: {}}\ngrid: maybe\n", "grid: 'maybe' is not true or false"),
        ('arms: {a: {}}\nname: "a\\eb"\n', "name: 'a\\x1bb' must be printable text of one line"),
        ("arms: {icpo: {}}\nbase: ipco\n", "base: no arm 'ipco'; nearest: icpo"),
        ("arms: {a: {}, icpo: {}}\nagainst: {icpo: ipco}\n", "against: no arm 'ipco'; nearest: icpo"),
        ("arms: {a: {}, icpo: {}}\nagainst: {icpoo: a}\n", "against: no arm 'icpoo'; nearest: icpo"),
        ("arms: {a: {}, b: {}}\nagainst: {a: b}\n", "against: 'a' is the base"),
        ("arms: {a: {}, b: {}}\nagainst: {b: b}\n", "against: 'b' cannot be compared with itself"),
        ("arms: {a: {}}\ndial_arms: [b]\n", "dial_arms: no arm 'b'"),
        ("arms: {a: {}}\ncontrol_arms: [b]\n", "control_arms: no arm 'b'"),
        ("arms: {a: {}\n", "not valid YAML"),
        ("[1, 2]\n", "must contain keys and values"),
    ],
)
def test_a_mistake_in_a_study_file_is_one_line(text: str, says: str, tmp_path: Path) -> None:
    write(tmp_path, "include: mine.yaml\n", "other.yaml")
    with pytest.raises(UserError) as error:
        read_study_file(write(tmp_path, text))
    assert says in str(error.value) and len(str(error.value).splitlines()) == 1


def test_the_error_for_an_unknown_study_names_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown study 'sensitivty'; nearest: sensitivity"):
        read_study_file("sensitivty")
    with pytest.raises(UserError, match=r"nothing\.yaml: no such file"):
        read_study_file("nothing.yaml")
