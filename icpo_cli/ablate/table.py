"""Tables of a study's results, for the terminal, as Markdown and as CSV."""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from icpo_cli.ablate.collect import TITLES, JobRecord
from icpo_cli.ablate.result import (
    FINAL,
    LAST_QUARTER,
    ONE_SEED,
    PARITY_FACTS,
    ArmComparison,
    ArmResult,
    SeedMean,
    StudyResult,
)
from icpo_cli.runs.run_dir import Status
from icpo_cli.tables.document import Table, text_table
from icpo_cli.tables.formats import plain_table, plain_text
from icpo_cli.tables.formats import to_csv as csv_text

MEASURES = {FINAL: "final", LAST_QUARTER: "last quarter"}
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
    rows = [_result_row(result, arm, bench) for bench in result.benches or ("",) for arm in result.arms]
    unneeded = {"on"} if len(result.benches) < 2 else set()
    if len({arm.against for arm in result.arms} - {None}) < 2:
        unneeded.add("against")
    kept = [index for index, header in enumerate(headers) if header not in unneeded]
    shown = [headers[index] for index in kept]
    return text_table(shown, [[row[index] for index in kept] for row in rows], numeric=shown[1:])


def comparison_table(result: StudyResult) -> Table:
    """One row per comparison and measure, with the minimum detectable effect of these seeds."""
    headers = ("arm", "against", "on", "measure", "seeds", "difference", "interval", "p", "detectable", "verdict")
    return text_table(headers, map(_comparison_row, result.comparisons))


def job_table(result: StudyResult) -> Table:
    """One row per job, with its status and run."""
    headers = ("arm", "seed", "state", "iterations", "run", "")
    rows = [
        (job.arm, str(job.seed), job.status.value, _completed(job), job.run_id or "-", job.failure)
        for job in result.jobs
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
    if any(mean.over == "questions" for arm in result.arms for mean in arm.final.values()):
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
    lines = [f"# {plain_text(result.study)}", "", plain_text(result.about), "", plain_table(result_table(result))]
    lines += [f"{note}\n" for note in notes(result)]
    if result.comparisons:
        lines += ["## Comparisons", "", plain_table(comparison_table(result))]
        lines.append(COMPARISON_NOTE)
    lines += ["## Jobs", "", plain_table(job_table(result))]
    return "\n".join(lines)


def to_csv(result: StudyResult) -> str:
    """One line per arm, evaluation and measure; numbers are not rounded, unknown ones are empty."""
    head = [
        *("arm", "bench", "measure", "jobs", "done", "failed", "mean", "stderr", "stderr_over"),
        *("against", "seeds", "difference", "low", "high", "level", "p_value", "minimum_detectable_effect", "verdict"),
        *(f"seed_{seed}" for seed in result.seeds),
    ]
    measures = ("before", *MEASURES)
    rows = [(arm, bench, measure) for arm in result.arms for bench in result.benches for measure in measures]
    return csv_text([head, *(_csv_row(result, *row) for row in rows)])


def input_parity_markdown(result: StudyResult) -> str:
    """The input hashes of every job, grouped by seed, and what differs, as a Markdown document."""
    different = {(each.arm, each.seed): each for each in result.input_differences}
    rows = []
    for job in sorted(result.jobs, key=lambda job: result.seeds.index(job.seed)):
        hashes = [job.input_parity.get(fact, "-")[:HASH_DIGITS] for fact in PARITY_FACTS]
        found = different.get((job.arm, job.seed))
        remark = f"{', '.join(PARITY_FACTS[fact] for fact in found.facts)}, from {found.against}" if found else ""
        rows.append((str(job.seed), job.arm, *hashes, remark))
    table = plain_table(text_table(("seed", "arm", *PARITY_FACTS.values(), "differs"), rows))
    return f"# Inputs of the arms\n\n{_parity_summary(result)}\n\n{table}"


def _parity_summary(result: StudyResult) -> str:
    recorded = sum(bool(job.input_parity) for job in result.jobs)
    if result.input_differences:
        count = len(result.input_differences)
        return f"{count} of {recorded} jobs do not have the same inputs as the job they are compared with."
    if not recorded:
        return "No job has recorded hashes of its inputs."
    equal = f"{', '.join(PARITY_FACTS.values())} are equal across the arms of each seed"
    return f"In the {recorded} of {len(result.jobs)} jobs that have begun, {equal}."


def _result_row(result: StudyResult, arm: ArmResult, bench: str) -> tuple[str, ...]:
    compared = result.comparison(arm.name, bench, FINAL)
    means = [_mean(measure[bench]) if bench else "-" for measure in (arm.before, arm.final, arm.last_quarter)]
    difference = _difference(compared) if compared else ("", "", "base" if arm.against is None else "")
    return (arm.name, TITLES.get(bench, ""), _seeds(arm), _iterations(arm), *means, arm.against or "", *difference)


def _comparison_row(comparison: ArmComparison) -> tuple[str, ...]:
    paired = comparison.paired
    difference, interval, verdict = _difference(comparison)
    p_value = "-" if math.isnan(paired.p_value) else f"{paired.p_value:.3f}"
    names = (comparison.arm, comparison.against, TITLES[comparison.bench], MEASURES[comparison.measure])
    return (*names, str(paired.n), difference, interval, p_value, _number(paired.minimum_detectable_effect), verdict)


def _difference(comparison: ArmComparison) -> tuple[str, str, str]:
    """Difference, interval, verdict."""
    paired = comparison.paired
    low, high = paired.interval
    interval = "-" if math.isnan(low) else f"{low:+.1f} to {high:+.1f}"
    return "-" if math.isnan(paired.difference) else f"{paired.difference:+.1f}", interval, comparison.verdict


def _comparison_note(result: StudyResult) -> str:
    """Explain the differences and intervals."""
    count = len(result.comparisons) // len(MEASURES)
    against = {arm.against for arm in result.arms} - {None}
    to = f"to {next(iter(against))}" if len(against) == 1 else "to the arm named"
    level = 100 * result.comparisons[0].level
    joint = f"{level:.4g} % each, 95 % for all {count} together (Bonferroni)" if count > 1 else "95 %"
    text = (
        f"difference: {to}, in percentage points, of the final accuracy, by the seeds that both have; interval: "
        f"Student's t, over seeds, {joint}. cannot be told apart: the interval contains 0, or all seeds have the same "
        "difference, which shows no spread."
    )
    if any(comparison.verdict == ONE_SEED for comparison in result.comparisons):
        text += " One seed gives no interval: how much another seed would differ is not known."
    return text


def _csv_row(result: StudyResult, arm: ArmResult, bench: str, measure: str) -> list[object]:
    mean = arm.before[bench] if measure == "before" else arm.measure(measure)[bench]
    jobs = [arm.jobs, arm.statuses.get(Status.DONE, 0), arm.statuses.get(Status.FAILED, 0)]
    row = [arm.name, bench, measure, *jobs, _plain(mean.mean), _plain(mean.stderr), mean.over, arm.against or ""]
    compared = result.comparison(arm.name, bench, measure)
    if compared is None:
        row += [""] * 8
    else:
        paired = compared.paired
        numbers = [
            paired.difference,
            *paired.interval,
            compared.level,
            paired.p_value,
            paired.minimum_detectable_effect,
        ]
        row += [paired.n, *map(_plain, numbers), compared.verdict]
    return row + [mean.values.get(seed, "") for seed in result.seeds]


def _seeds(arm: ArmResult) -> str:
    """Number of jobs that are done, and of the others by status."""
    done = arm.statuses.get(Status.DONE, 0)
    others = _not_done(arm.statuses)
    return ", ".join([f"{done} of {arm.jobs}", *others]) if others else str(done)


def _not_done(counts: Mapping[Status, int]) -> list[str]:
    """Number of jobs by status, for the statuses other than done."""
    return [f"{counts[each]} {each.value}" for each in Status if each is not Status.DONE and counts.get(each)]


def _completed(job: JobRecord) -> str:
    return f"{job.iterations} of {job.iterations_planned}"


def _iterations(arm: ArmResult) -> str:
    """Completed of planned iterations; a range if the jobs differ."""
    fewest, most = arm.iterations
    done = f"{fewest}" if fewest == most else f"{fewest}-{most}"
    return f"{done}/{arm.iterations_planned}"


def _mean(mean: SeedMean) -> str:
    if math.isnan(mean.mean):
        return "-"
    if math.isnan(mean.stderr):
        return f"{mean.mean:.1f}"
    return f"{mean.mean:.1f} ± {mean.stderr:.1f}" if mean.over == "seeds" else f"{mean.mean:.1f} (± {mean.stderr:.1f})"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


def _plain(value: float) -> object:
    return "" if math.isnan(value) else value
