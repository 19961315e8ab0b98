from pathlib import Path

import pytest

from icpo_cli.errors import UserError
from icpo_cli.runs.run_dir import find_run


def test_a_run_is_found_by_folder_id_or_its_beginning(tmp_path: Path) -> None:
    for name in ("abc1", "abd2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
    assert find_run(tmp_path, "abc", "--resume").id == "abc1"
    assert find_run(tmp_path, str(tmp_path / "abd2"), "--resume").id == "abd2"
    with pytest.raises(UserError, match="--resume ab: several ids start with this: abc1, abd2"):
        find_run(tmp_path, "ab", "--resume")
    for unknown in ("zzz", "", "*", "../x"):
        with pytest.raises(UserError, match="no such run"):
            find_run(tmp_path, unknown, "--model")
