"""`icpo grade`: grade one response or a file of any length, with the reason for each verdict."""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from icpo_cli.cli.answers import STANDARD_INPUT, LabelledAnswer, answers_in, kind_named, opened
from icpo_cli.config.load import Layer, is_override, load_config
from icpo_cli.config.schema import RewardConfig
from icpo_cli.errors import UserError
from icpo_cli.grading.extraction import EXTRACTORS
from icpo_cli.grading.verifier import Answer, Grading, Verifier
from icpo_cli.records import Gold, RuleName, Verdict, VerdictKind, count_kinds, verdict_columns
from icpo_cli.tables.terminal import print_table
from icpo_cli.text import cut, printable

Graded = tuple[str, "Verdict"]
"""A response's id, or the number of its line, and the verdict on it."""

BATCH = 512
"""Lines in memory and in the sandbox at the same time."""
SETTINGS = ("reward.extract", "reward.rule", "reward.sandbox.", "reward.judge.")
"""All settings that a verdict depends on."""
COLOURS = {"correct": "green", "wrong": "red", "timeout": "yellow", "error": "yellow"}
LONGEST_SHOWN = 60
"""Maximum characters of an answer in a line of output."""


def grade(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE.jsonl] [key=value ...]",
            help="Lines with gold and response, optionally kind, question, choices, aliases, ordered, id; "
            "- is standard input. Settings: reward.judge.* and reward.sandbox.*.",
        ),
    ] = None,
    gold: Annotated[str | None, typer.Option(metavar="G", help="The gold answer.")] = None,
    response: Annotated[str | None, typer.Option(metavar="R", help="The response, or just an answer.")] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            metavar="KIND",
            help="math, number, letter, text, bool or list. Default: inferred from the gold answer. "
            "With FILE: for lines without one.",
        ),
    ] = None,
    extract: Annotated[
        str | None,
        typer.Option(metavar="HOW", help="answer_tag, boxed, letter, auto or none. Default: auto, as in evaluation."),
    ] = None,
    rule: Annotated[
        str | None, typer.Option(metavar="RULE", help="strict, rlpr or theoremqa. Default: strict.")
    ] = None,
    question: Annotated[str | None, typer.Option(metavar="Q", help="For the judge.")] = None,
    choices: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="An option of a multiple-choice question; once for each, in order."),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(metavar="URL", help="An OpenAI-compatible server that judges what the rule does not accept."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout, nothing else there.")] = False,
) -> None:
    """Grade one response, or each line of a file, and print the rule that decided.

    Values that begin with a minus sign need the equals sign: --gold=-5.
    """
    files = [argument for argument in arguments or [] if not is_override(argument)]
    settings = [argument for argument in arguments or [] if is_override(argument)]
    pair = {"--gold": gold, "--response": response, "--question": question, "--choices": choices}
    _check_asked(files, [name for name, value in pair.items() if value is not None])
    config = _reward_config(settings, {"extract": extract, "rule": rule}, judge)
    grading = Grading(config.extract, config.rule)
    answer_kind = None if kind is None else kind_named("--kind", kind)
    if gold is not None and response is not None:
        answer = Answer(response, Gold(gold, answer_kind, tuple(choices or ())), question or "")
        with Verifier(config) as verifier:
            verdict = _verdicts(verifier, [answer], grading)[0]
        _print_document(iter([("", verdict)])) if as_json else _print_one(verdict)
        return
    name = "standard input" if files[0] == STANDARD_INPUT else files[0]
    with opened(files[0]) as stream:
        total = sum(1 for _ in answers_in(name, stream, answer_kind))
        if total == 0:
            raise UserError(f"{name}: has no lines")
        progress = _bar if sys.stderr.isatty() and not (as_json and sys.stdout.isatty()) else _tenths
        with Verifier(config) as verifier, progress(total) as done:
            graded = _graded(answers_in(name, stream, answer_kind), verifier, grading, done)
            counts = _print_document(graded) if as_json else _print_lines(graded)
    if not as_json:
        _print_counts(counts)


def _check_asked(files: Sequence[str], pair: Sequence[str]) -> None:
    """Raise UserError unless there is either one file or a complete pair."""
    if files and pair:
        raise UserError(f"{pair[0]}: not together with {files[0]}, whose lines have their own")
    if len(files) > 1:
        raise UserError(f"{files[1]}: only one file can be graded, and {files[0]} is named already")
    if files:
        return
    missing = [name for name in ("--gold", "--response") if name not in pair]
    if len(missing) == 2:
        raise UserError("nothing to grade: give a FILE.jsonl, or --gold and --response")
    if missing:
        raise UserError(f"{missing[0]}: missing; one response is graded with both --gold and --response")


def _reward_config(settings: Sequence[str], options: dict[str, str | None], judge: str | None) -> RewardConfig:
    """The reward configuration from settings and options; settings take precedence."""
    layers = [Layer("icpo grade", {"reward": {"extract": "auto"}})]
    layers += [Layer(f"--{name}", {"reward": {name: value}}) for name, value in options.items() if value is not None]
    if judge is not None:
        layers.append(Layer("--judge", {"reward": {"judge": {"mode": "after_rule", "url": judge}}}))
    config = load_config(settings, layers)
    for setting in settings:
        if not setting.startswith(SETTINGS):
            raise UserError(f"{setting}: no verdict depends on it; settings of icpo grade: {', '.join(SETTINGS)}")
    return config.reward


def _graded(
    answers: Iterator[LabelledAnswer], verifier: Verifier, grading: Grading, done: Callable[[int], None]
) -> Iterator[Graded]:
    """Grade batch by batch; `done` receives the count of graded responses."""
    count = 0
    while batch := list(islice(answers, BATCH)):
        verdicts = _verdicts(verifier, [answer for _, answer in batch], grading)
        count += len(batch)
        done(count)
        yield from zip((label for label, _ in batch), verdicts, strict=True)


def _verdicts(verifier: Verifier, answers: Sequence[Answer], grading: Grading) -> list[Verdict]:
    """One verdict per answer, in order; ERROR for a gold answer that training would leave out."""
    golds = list(dict.fromkeys(answer.gold for answer in answers))
    problems = dict(zip(golds, verifier.check_golds(golds), strict=True))
    usable = iter(verifier.verify([answer for answer in answers if problems[answer.gold] is None], grading))
    verdicts = []
    for answer in answers:
        if (problem := problems[answer.gold]) is None:
            verdicts.append(next(usable))
        else:
            extracted = EXTRACTORS[grading.extract](answer.response)
            verdicts.append(Verdict(VerdictKind.ERROR, extracted, RuleName.GOLD, f"the gold answer {problem}"))
    return verdicts


@contextmanager
def _bar(total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("grading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    # Results on the same terminal scroll above the bar; results to a file must not pass through rich.
    redirect = sys.stdout.isatty()
    with Progress(*columns, console=Console(stderr=True), redirect_stdout=redirect, transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.update(task, completed=count)


@contextmanager
def _tenths(total: int) -> Iterator[Callable[[int], None]]:
    """One line per tenth of the file, if it is longer than a batch."""
    said = 0

    def done(count: int) -> None:
        nonlocal said
        if total > BATCH and count * 10 // total > said:
            said = count * 10 // total
            typer.echo(f"graded {count:,} of {total:,}", err=True)

    yield done


def _print_document(graded: Iterator[Graded]) -> Counter[str]:
    """Write the JSON document as verdicts arrive: it is never in memory completely."""
    counts: Counter[str] = Counter()
    print('{"results": [', end="")
    for _, verdict in graded:
        print(",\n" if counts else "\n", json.dumps(verdict_columns(verdict)), sep="", end="")
        counts[verdict.kind] += 1
    print(f'\n], "counts": {json.dumps(count_kinds(counts.elements()))}}}')
    return counts


def _print_lines(graded: Iterator[Graded]) -> Counter[str]:
    """One line per response."""
    counts: Counter[str] = Counter()
    for label, verdict in graded:
        shown = "-" if verdict.extracted is None else cut(verdict.extracted, LONGEST_SHOWN)
        reason = cut(verdict.reason, 2 * LONGEST_SHOWN)
        # print, not typer.echo, which would bypass the progress bar.
        print(f"{_coloured(verdict.kind, 9)}  {printable(f'{label}  {shown}  ({verdict.rule}: {reason})')}")
        counts[verdict.kind] += 1
    return counts


def _print_counts(counts: Counter[str]) -> None:
    rows = [
        (kind, f"{count:,}", f"{count / counts.total():.1%}") for kind, count in count_kinds(counts.elements()).items()
    ]
    print()
    print_table(("verdict", "responses", "share"), rows)


def _print_one(verdict: Verdict) -> None:
    extracted = "nothing" if verdict.extracted is None else cut(verdict.extracted, 10 * LONGEST_SHOWN)
    print(f"verdict    {_coloured(verdict.kind, 0)}")
    print(f"extracted  {printable(extracted)}")
    print(f"rule       {printable(verdict.rule)}")
    print(f"reason     {printable(verdict.reason)}")


def _coloured(kind: str, width: int) -> str:
    """Coloured on a terminal, plain elsewhere."""
    text = f"{kind:<{width}}"
    return typer.style(text, fg=COLOURS.get(kind)) if sys.stdout.isatty() else text
