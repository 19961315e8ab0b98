"""One rank of a run that shares a result: sharing_process.py FOLDER RUN SECONDS. Run by test_result_cache.py.

Making them takes SECONDS, and adds the run's name to FOLDER/made once a rank.
"""

import json
import sys
import time
from pathlib import Path

from icpo_cli.distributed import join, leave
from icpo_cli.evaluate.result_cache import Numbers, ResultCache, get_or_compute


def main(folder: Path, run: str, seconds: float) -> None:
    ranks = join("gloo", "cpu", 60)

    def make() -> Numbers:
        with (folder / "made").open("a") as made:
            made.write(f"{run}\n")
        time.sleep(seconds)
        return {"by": run}

    cache = ResultCache(folder, "numbers", {"model": "m"}) if ranks.first else None
    numbers, taken = get_or_compute(cache, ranks, make, lambda made: True)
    (folder / f"{run}-{ranks.rank}").write_text(json.dumps([numbers, taken]))
    leave()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
