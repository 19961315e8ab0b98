"""Noise and uniform groups of a study, counted from its stored responses without icpo's own code.

Noise is R_verif minus the answer and format rewards. Uniform groups have equal R_verif: their GRPO advantages must
be 0. "part" is their share in the sum of absolute advantages.
"""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas
import yaml
from rich.console import Console
from rich.table import Table

COLUMNS = ["iteration", "prompt_id", "response", "verdict", "reward_format", "reward_verif", "advantage"]
ROW = ["iteration", "prompt_id", "response"]


def read_run(run: Path) -> pandas.DataFrame:
    """The run's responses, one row each, with their noise."""
    reward = yaml.safe_load((run / "config.yaml").read_text())["reward"]
    files = sorted(run.glob("responses/*.parquet"))
    rows = pandas.concat([pandas.read_parquet(file, columns=COLUMNS) for file in files], ignore_index=True)
    noiseless = (
        reward["answer_weight"] * (rows["verdict"] == "correct") + reward["format_weight"] * rows["reward_format"]
    )
    rows["noise"] = (rows["reward_verif"] - noiseless).round(9)
    # An iteration may contain a prompt twice.
    rows["copy"] = rows.groupby(ROW).cumcount()
    return rows


def noise_row(rows: pandas.DataFrame) -> list[str]:
    moved = rows["noise"][rows["noise"] != 0]
    sizes = ", ".join(f"{size:g}" for size in sorted(moved.abs().unique()))
    up = f"{(moved > 0).mean():.1%}" if len(moved) else "-"
    return [f"{len(rows):,}", f"{len(moved) / len(rows):.2%}", sizes or "-", up]


def uniform_row(rows: pandas.DataFrame, group_size: int) -> list[str]:
    verif = rows["reward_verif"].to_numpy().reshape(-1, group_size)  # [N, G]
    advantage = rows["advantage"].to_numpy().reshape(-1, group_size)
    iteration = rows["iteration"].to_numpy()[::group_size]  # [N]
    uniform = (verif == verif[:, :1]).all(1)
    moving = uniform & (advantage != 0).any(1)
    thirds = np.array_split(np.unique(iteration), 3)
    shares = " ".join(f"{uniform[np.isin(iteration, third)].mean():.0%}" for third in thirds)
    size = np.abs(advantage)
    part = size[uniform].sum() / size.sum()
    largest = size[uniform].max(initial=0.0)
    moving_share = moving.sum() / max(uniform.sum(), 1)
    return [f"{uniform.mean():.1%}", shares, f"{moving_share:.1%}", f"{largest:.2f}", f"{part:.1%}"]


def same_noise(one: pandas.DataFrame, two: pandas.DataFrame) -> bool:
    keys = [*ROW, "copy"]
    both = one.merge(two, on=keys, how="outer", suffixes=("", "_two"), indicator=True)
    return bool((both["_merge"] == "both").all() and (both["noise"] == both["noise_two"]).all())


def main() -> None:
    study = Path(sys.argv[1])
    jobs = {(f.parts[-4], f.parts[-3]): read_run(f.parent) for f in sorted(study.glob("*/seed-*/*/responses"))}
    noise, uniform = ("responses", "moved", "by", "up"), ("uniform", "by thirds", "with advantage", "largest", "part")
    table = Table("arm", "seed", *noise, *uniform)
    for (arm, seed), rows in jobs.items():
        group_size = int(rows["response"].max())
        table.add_row(arm, seed, *noise_row(rows), *uniform_row(rows, group_size))
    Console(width=140).print(table)
    noisy = [key for key, rows in jobs.items() if (rows["noise"] != 0).any()]
    for one, two in combinations(noisy, 2):
        if one[1] == two[1]:
            verdict = "equal" if same_noise(jobs[one], jobs[two]) else "DIFFERENT"
            print(f"{one[1]}: noise of {one[0]} and {two[0]} by iteration, prompt and response: {verdict}")


if __name__ == "__main__":
    main()
