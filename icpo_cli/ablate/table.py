"""A study's outcome as rows: for the terminal, as Markdown and as CSV."""

import math

from icpo_cli.ablate.collect import TITLES
from icpo_cli.ablate.outcome import FINAL, LAST_QUARTER, ONE_SEED, ArmOutcome, Comparison, Mean, Outcome
from icpo_cli.runs.run_dir import Status
from icpo_cli.tables.markdown import plain_table, plain_text
from icpo_cli.tables.table import Table, text_table
from icpo_cli.tables.table import to_csv as csv_text

MEASURES = {FINAL: "final", LAST_QUARTER: "last quarter"}

COMPARISON_NOTE = """p: of the paired t test, uncorrected. could show: the true difference that as many seeds of this \
spread show in 80 % of cases. The intervals of one measure hold together; who picks from both measures is wrong up to \
twice as often.
"""


def outcome_table(outcome: Outcome) -> Table:
    """One row an arm and benchmark. Columns that would say the same in every row are left out."""
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
    rows = [_outcome_row(outcome, arm, bench) for bench in outcome.benches or ("",) for arm in outcome.arms]
    unneeded = {"on"} if len(outcome.benches) < 2 else set()
    if len({arm.against for arm in outcome.arms} - {None}) < 2:
        unneeded.add("against")
    kept = [index for index, header in enumerate(headers) if header not in unneeded]
    shown = [headers[index] for index in kept]
    return text_table(shown, [[row[index] for index in kept] for row in rows], numeric=shown[1:])


def comparison_table(outcome: Outcome) -> Table:
    """Every comparison by every measure, with what these seeds could have shown."""
    headers = ("arm", "against", "on", "measure", "seeds", "difference", "interval", "p", "could show", "verdict")
    return text_table(headers, map(_comparison_row, outcome.comparisons))


def job_table(outcome: Outcome) -> Table:
    """Every job with its state and run."""
    headers = ("arm", "seed", "state", "iterations", "run", "")
    rows = [
        (job.arm, str(job.seed), job.state.value, f"{job.iterations} of {job.wanted}", job.run_id or "-", job.failure)
        for job in outcome.jobs
    ]
    return text_table(headers, rows)


def notes(outcome: Outcome) -> list[str]:
    """What a reader of the outcome table has to know, a sentence or two each."""
    found = []
    counts = {state: sum(job.state is state for job in outcome.jobs) for state in Status}
    if outcome.partial:
        missing = ", ".join(f"{counts[state]} {state.value}" for state in Status if counts[state] and state != "done")
        found.append(f"{counts[Status.DONE]} of {len(outcome.jobs)} jobs are done ({missing}); only those count here.")
    if not outcome.benches:
        return [*found, "No job was evaluated: there are no held-out questions and no benchmarks."]
    found.append(
        "Accuracy in percent, mean ± standard error over seeds. final: at the last evaluation; last quarter: mean over "
        "the last quarter of a run's evaluations, which varies less."
    )
    if any(mean.over == "questions" for arm in outcome.arms for mean in arm.final.values()):
        found.append("(±): of one seed, over its questions; it says nothing of other seeds.")
    if outcome.comparisons:
        found.append(_comparison_note(outcome))
    if outcome.unfair:
        found.append(f"{len(outcome.unfair)} jobs are not given what the job they are compared with is: fairness.md.")
    return found


def to_markdown(outcome: Outcome) -> str:
    """The tables and notes as one document."""
    lines = [f"# {plain_text(outcome.study)}", "", plain_text(outcome.about), "", plain_table(outcome_table(outcome))]
    lines += [f"{note}\n" for note in notes(outcome)]
    if outcome.comparisons:
        lines += ["## Comparisons", "", plain_table(comparison_table(outcome))]
        lines.append(COMPARISON_NOTE)
    lines += ["## Jobs", "", plain_table(job_table(outcome))]
    return "\n".join(lines)


def to_csv(outcome: Outcome) -> str:
    """One line an arm, benchmark and measure, numbers unrounded; empty where one is not known."""
    head = [
        *("arm", "bench", "measure", "jobs", "done", "failed", "mean", "stderr", "stderr_over"),
        *("against", "seeds", "difference", "low", "high", "level", "p_value", "smallest_detectable", "verdict"),
        *(f"seed_{seed}" for seed in outcome.seeds),
    ]
    measures = ("before", *MEASURES)
    rows = [(arm, bench, measure) for arm in outcome.arms for bench in outcome.benches for measure in measures]
    return csv_text([head, *(_csv_row(outcome, *row) for row in rows)])


def _outcome_row(outcome: Outcome, arm: ArmOutcome, bench: str) -> tuple[str, ...]:
    compared = outcome.comparison(arm.name, bench, FINAL)
    means = [_mean(measure[bench]) if bench else "-" for measure in (arm.before, arm.final, arm.last_quarter)]
    difference = _difference(compared) if compared else ("", "", "base" if arm.against is None else "")
    return (arm.name, TITLES.get(bench, ""), _seeds(arm), _iterations(arm), *means, arm.against or "", *difference)


def _comparison_row(comparison: Comparison) -> tuple[str, ...]:
    paired = comparison.paired
    difference, interval, verdict = _difference(comparison)
    p_value = "-" if math.isnan(paired.p_value) else f"{paired.p_value:.3f}"
    names = (comparison.arm, comparison.against, TITLES[comparison.bench], MEASURES[comparison.measure])
    return (*names, str(paired.n), difference, interval, p_value, _number(paired.minimum_detectable_effect), verdict)


def _difference(comparison: Comparison) -> tuple[str, str, str]:
    """Difference, interval, verdict."""
    paired = comparison.paired
    low, high = paired.interval
    interval = "-" if math.isnan(low) else f"{low:+.1f} to {high:+.1f}"
    return "-" if math.isnan(paired.difference) else f"{paired.difference:+.1f}", interval, comparison.verdict


def _comparison_note(outcome: Outcome) -> str:
    """What the intervals are."""
    count = len(outcome.comparisons) // len(MEASURES)
    against = {arm.against for arm in outcome.arms} - {None}
    to = f"to {next(iter(against))}" if len(against) == 1 else "to the arm named"
    level = 100 * outcome.comparisons[0].level
    each = f", {level:.4g} % each (Bonferroni)" if count > 1 else ""
    text = (
        f"difference: {to}, in percentage points, of the final accuracy, by the seeds that both have; interval: "
        f"Student's, over seeds; {f'all {count} hold at once' if count > 1 else 'it holds'} with 95 %{each}. "
        "cannot be told apart: the interval holds 0, or all seeds differ by the same, which shows no spread."
    )
    if any(comparison.verdict == ONE_SEED for comparison in outcome.comparisons):
        text += " One seed gives no interval: how far another would differ is not known."
    return text


def _csv_row(outcome: Outcome, arm: ArmOutcome, bench: str, measure: str) -> list[object]:
    mean = arm.before[bench] if measure == "before" else arm.measure(measure)[bench]
    states = [arm.jobs, arm.states.get(Status.DONE, 0), arm.states.get(Status.FAILED, 0)]
    row = [arm.name, bench, measure, *states, _plain(mean.mean), _plain(mean.stderr), mean.over, arm.against or ""]
    compared = outcome.comparison(arm.name, bench, measure)
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
    return row + [mean.values.get(seed, "") for seed in outcome.seeds]


def _seeds(arm: ArmOutcome) -> str:
    """Those that are done, and what became of the others."""
    done = arm.states.get(Status.DONE, 0)
    others = [f"{count} {state.value}" for state in Status if state != Status.DONE and (count := arm.states.get(state))]
    return ", ".join([f"{done} of {arm.jobs}", *others]) if others else str(done)


def _iterations(arm: ArmOutcome) -> str:
    """Done of wanted; from the fewest to the most where jobs differ."""
    fewest, most = arm.iterations
    return f"{fewest}/{arm.wanted}" if fewest == most else f"{fewest}-{most}/{arm.wanted}"


def _mean(mean: Mean) -> str:
    if math.isnan(mean.mean):
        return "-"
    if math.isnan(mean.stderr):
        return f"{mean.mean:.1f}"
    return f"{mean.mean:.1f} ± {mean.stderr:.1f}" if mean.over == "seeds" else f"{mean.mean:.1f} (± {mean.stderr:.1f})"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.1f}"


def _plain(value: float) -> object:
    return "" if math.isnan(value) else value
