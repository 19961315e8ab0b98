"""Tables of a study's results, for the terminal, as Markdown and as CSV."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from icpo_cli.ablate.result import (
    BEFORE,
    COMPARED,
    FINAL,
    ONE_SEED,
    PARITY_FACTS,
    TITLES,
    JobRecord,
    Key,
    SeedMean,
    StudyResult,
    verdict_of,
)
from icpo_cli.ablate.study import Arm
from icpo_cli.runs.run_dir import Status
from icpo_cli.statistics import PairedDifference
from icpo_cli.tables.document import Table, text_table
from icpo_cli.tables.formats import plain_table, plain_text
from icpo_cli.tables.formats import to_csv as csv_text
from icpo_cli.text import known, number

HASH_DIGITS = 10
"""Digits of a hash in a table."""

COMPARISON_NOTE = """p: paired t test, uncorrected. detectable: the minimum detectable effect, which is the true \
difference that as many seeds of this spread show in 80 % of cases. The intervals of one measure have a joint level of \
95 %; who picks from both measures is wrong up to twice as often.
"""


def result_table(result: StudyResult) -> Table:
    """One row per arm and evaluation; columns with the same text in every row are left out."""
    headers = (
        "arm",
        "on",
        "seeds",
        "iterations",
        "before",
        "final",
        "last quarter",
        "against",
        "difference",
        "interval",
        "verdict",
    )
    rows = [_result_row(result, arm, bench) for bench in result.benches or ("",) for arm in result.study.arms]
    unneeded = {"on"} if len(result.benches) < 2 else set()
    if len(set(result.against.values())) < 2:
        unneeded.add("against")
    kept = [index for index, header in enumerate(headers) if header not in unneeded]
    shown = [headers[index] for index in kept]
    return text_table(shown, [[row[index] for index in kept] for row in rows], numeric=shown[1:])


def comparison_table(result: StudyResult) -> Table:
    """One row per comparison and measure, with the minimum detectable effect of these seeds."""
    headers = ("arm", "against", "on", "measure", "seeds", "difference", "interval", "p", "detectable", "verdict")
    return text_table(headers, [_comparison_row(result, *one) for one in result.comparisons.items()])


def job_table(result: StudyResult) -> Table:
    """One row per job, with its status and run."""
    headers = ("arm", "seed", "state", "iterations", "run", "")
    rows = [
        (each.job.arm, str(each.job.seed), each.status.value, _completed(each), each.run_id or "-", each.reason)
        for each in result.jobs
    ]
    return text_table(headers, rows)


def notes(result: StudyResult) -> list[str]:
    """Notes that explain the result table, one paragraph each."""
    found = []
    counts = Counter(job.status for job in result.jobs)
    if result.partial:
        missing = ", ".join(_not_done(counts))
        found.append(f"{counts[Status.DONE]} of {len(result.jobs)} jobs are done ({missing}); only those count here.")
    if not result.benches:
        return [*found, "No job was evaluated: there are no held-out questions and no benchmarks."]
    found.append(
        "Accuracy in percent, mean ± standard error over seeds. final: at the last evaluation; last quarter: mean over "
        "the last quarter of a run's evaluations, which varies less."
    )
    if any(mean.stderr_over == "questions" for (_, _, measure), mean in result.means.items() if measure == FINAL):
        found.append("(±): of one seed, over its questions; it says nothing about other seeds.")
    if result.comparisons:
        found.append(_comparison_note(result))
    if result.input_differences:
        count = len(result.input_differences)
        found.append(f"{count} jobs do not have the same inputs as the job they are compared with: input_parity.md.")
    return found


def table_document(result: StudyResult) -> dict[str, Any]:
    """The result table for result.json, which `icpo report` reads: columns, rows of texts, and the first note."""
    table = result_table(result)
    columns = [column.name for column in table.columns]
    return {"columns": columns, "rows": [list(row) for row in table.texts], "notes": notes(result)[:1]}


def to_markdown(result: StudyResult) -> str:
    """All tables and notes as one Markdown document."""
    lines = [
        f"# {plain_text(result.study.name)}",
        "",
        plain_text(result.study.about),
        "",
        plain_table(result_table(result)),
    ]
    lines += [f"{note}\n" for note in notes(result)]
    if result.comparisons:
        lines += ["## Comparisons", "", plain_table(comparison_table(result))]
        lines.append(COMPARISON_NOTE)
    lines += ["## Jobs", "", plain_table(job_table(result))]
    return "\n".join(lines)


def to_csv(result: StudyResult) -> str:
    """One line per arm, evaluation and measure; numbers are not rounded, unknown ones are empty."""
    columns = [
        *("arm", "bench", "measure", "jobs", "done", "failed", "mean", "stderr", "stderr_over"),
        *("against", "seeds", "difference", "low", "high", "level", "p_value", "minimum_detectable_effect", "verdict"),
        *(f"seed_{seed}" for seed in result.study.seeds),
    ]
    return csv_text([_csv_line(result, key, mean) for key, mean in result.means.items()], columns)


def input_parity_markdown(result: StudyResult) -> str:
    """The input hashes of every job, grouped by seed, and what differs, as a Markdown document."""
    rows = []
    for record in sorted(result.jobs, key=lambda record: result.study.seeds.index(record.job.seed)):
        arm, seed = record.job.arm, record.job.seed
        hashes = [record.input_parity.get(fact, "-")[:HASH_DIGITS] for fact in PARITY_FACTS]
        facts = result.input_differences.get((arm, seed))
        rows.append((str(seed), arm, *hashes, f"{facts_text(facts)}, from {result.against[arm]}" if facts else ""))
    table = plain_table(text_table(("seed", "arm", *PARITY_FACTS.values(), "differs"), rows))
    return f"# Inputs of the arms\n\n{_parity_summary(result)}\n\n{table}"


def facts_text(facts: Sequence[str]) -> str:
    return ", ".join(PARITY_FACTS[fact] for fact in facts)


def _parity_summary(result: StudyResult) -> str:
    recorded = sum(bool(record.input_parity) for record in result.jobs)
    if result.input_differences:
        count = len(result.input_differences)
        return f"{count} of {recorded} jobs do not have the same inputs as the job they are compared with."
    if not recorded:
        return "No job has recorded hashes of its inputs."
    equal = f"{facts_text(tuple(PARITY_FACTS))} are equal across the arms of each seed"
    return f"In the {recorded} of {len(result.jobs)} jobs that have begun, {equal}."


def _result_row(result: StudyResult, arm: Arm, bench: str) -> tuple[str, ...]:
    compared = result.comparisons.get((arm.name, bench, FINAL))
    means = [_mean(result.means[arm.name, bench, measure]) if bench else "-" for measure in (BEFORE, *COMPARED)]
    difference = _difference(compared) if compared else ("", "", "base" if arm.against is None else "")
    jobs = _seeds(result.jobs_of(arm)), _iterations(result.jobs_of(arm))
    return (arm.name, TITLES.get(bench, ""), *jobs, *means, arm.against or "", *difference)


def _comparison_row(result: StudyResult, key: Key, paired: PairedDifference) -> tuple[str, ...]:
    arm, bench, measure = key
    difference, interval, verdict = _difference(paired)
    numbers = number(paired.p_value, ".3f"), number(paired.minimum_detectable_effect)
    names = (arm, result.against[arm], TITLES[bench], measure.replace("_", " "))
    return (*names, str(paired.n), difference, interval, *numbers, verdict)


def _difference(paired: PairedDifference) -> tuple[str, str, str]:
    """Difference, interval, verdict."""
    low, high = paired.interval
    interval = "-" if math.isnan(low) else f"{low:+.1f} to {high:+.1f}"
    return number(paired.difference, "+.1f"), interval, verdict_of(paired)


def _comparison_note(result: StudyResult) -> str:
    """Explain the differences and intervals."""
    count = len(result.comparisons) // len(COMPARED)
    against = set(result.against.values())
    to = f"to {next(iter(against))}" if len(against) == 1 else "to the arm named"
    joint = f"{100 * result.level:.4g} % each, 95 % for all {count} together (Bonferroni)" if count > 1 else "95 %"
    text = (
        f"difference: {to}, in percentage points, of the final accuracy, by the seeds that both have; interval: "
        f"Student's t, over seeds, {joint}. cannot be told apart: the interval contains 0, or all seeds have the same "
        "difference, which shows no spread."
    )
    if any(verdict_of(paired) == ONE_SEED for paired in result.comparisons.values()):
        text += " One seed gives no interval: how much another seed would differ is not known."
    return text


def _csv_line(result: StudyResult, key: Key, mean: SeedMean) -> dict[str, object]:
    arm, bench, measure = key
    statuses = Counter(record.status for record in result.jobs if record.job.arm == arm)
    line: dict[str, object] = {"arm": arm, "bench": bench, "measure": measure}
    line |= {"jobs": statuses.total(), "done": statuses[Status.DONE], "failed": statuses[Status.FAILED]}
    line |= {"mean": known(mean.mean), "stderr": known(mean.stderr), "stderr_over": mean.stderr_over}
    line |= {"against": result.against.get(arm), **{f"seed_{seed}": value for seed, value in mean.values.items()}}
    paired = result.comparisons.get(key)
    if paired is None:
        return line
    low, high = map(known, paired.interval)
    line |= {"seeds": paired.n, "difference": known(paired.difference), "low": low, "high": high, "level": result.level}
    line |= {"p_value": known(paired.p_value), "verdict": verdict_of(paired)}
    return line | {"minimum_detectable_effect": known(paired.minimum_detectable_effect)}


def _seeds(records: Sequence[JobRecord]) -> str:
    """Number of jobs that are done, and of the others by status."""
    statuses = Counter(record.status for record in records)
    others = _not_done(statuses)
    return ", ".join([f"{statuses[Status.DONE]} of {len(records)}", *others] if others else [str(len(records))])


def _not_done(counts: Mapping[Status, int]) -> list[str]:
    """Number of jobs by status, for the statuses other than done."""
    return [f"{counts[each]} {each.value}" for each in Status if each is not Status.DONE and counts.get(each)]


def _completed(record: JobRecord) -> str:
    return f"{record.iterations} of {record.job.config.train.iterations}"


def _iterations(records: Sequence[JobRecord]) -> str:
    """Completed of planned iterations; a range if the jobs differ."""
    reached = sorted({record.iterations for record in records})
    done = "-".join(map(str, reached[:1] + reached[-1:] if len(reached) > 1 else reached))
    return f"{done}/{records[0].job.config.train.iterations}"


def _mean(mean: SeedMean) -> str:
    if math.isnan(mean.mean) or math.isnan(mean.stderr):
        return number(mean.mean)
    error = f"± {mean.stderr:.1f}"
    return f"{mean.mean:.1f} {error if mean.stderr_over == 'seeds' else f'({error})'}"
