"""One rank of a run that shares numbers: sharing_process.py FOLDER RUN SECONDS. Run by test_shared.py.

Making them takes SECONDS, and adds the run's name to FOLDER/made once a rank.
"""

import json
import sys
import time
from pathlib import Path

from icpo_cli.distributed import join, leave
from icpo_cli.evaluate.shared import Numbers, Shelf, taken_or_made


def main(folder: Path, run: str, seconds: float) -> None:
    ranks = join("gloo", "cpu", 60)

    def make() -> Numbers:
        with (folder / "made").open("a") as made:
            made.write(f"{run}\n")
        time.sleep(seconds)
        return {"by": run}

    shelf = Shelf(folder, "numbers", {"model": "m"}) if ranks.first else None
    numbers, taken = taken_or_made(shelf, ranks, make, lambda made: True)
    (folder / f"{run}-{ranks.rank}").write_text(json.dumps([numbers, taken]))
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
