"""docs/COMMANDS.md is what the commands say of themselves."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_the_commands_say() -> None:
    done = subprocess.run(
        [ROOT / "scripts" / "command_reference", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
