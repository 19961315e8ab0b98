"""The verifier: extracts a response's answer, compares it by rule, and asks the judge if one is configured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import TracebackType

from icpo_cli.config.schema import RewardConfig
from icpo_cli.grading.extraction import EXTRACTORS, option
from icpo_cli.grading.golds import read_gold
from icpo_cli.grading.judge.judge import Case, Judge, OpenAIJudge
from icpo_cli.grading.rules import rlpr, strict, theoremqa
from icpo_cli.grading.sandbox import Sandbox
from icpo_cli.records import AnswerKind, Gold, Group, RuleName, Verdict, VerdictKind

VERIFIER_VERSION = "2"
"""Raised whenever a verdict could change: stored verdicts of different versions are never mixed."""


@dataclass(frozen=True)
class Rule:
    """A comparison of an answer with a gold: `quick` in this process, `thorough` in the sandbox."""

    quick: Callable[[Gold, str], Verdict | None]
    """None where the text alone does not decide."""
    thorough: Callable[[Gold, str], Verdict]
    candidates: Callable[[str], list[str]] | None = None
    """All candidate answers of a response, of which any may be right. None: only the extracted one."""


RULES = {
    "strict": Rule(strict.quick, strict.thorough),
    "rlpr": Rule(rlpr.quick, rlpr.thorough, rlpr.candidates),
    "theoremqa": Rule(theoremqa.quick, theoremqa.thorough),
}


@dataclass(frozen=True)
class Answer:
    """One response to be graded."""

    response: str
    gold: Gold
    question: str = ""


@dataclass(frozen=True)
class Grading:
    """How to grade: the extractor, and the rule that compares."""

    extract: str = "answer_tag"
    rule: str = "strict"


def answers_of(group: Group) -> list[Answer]:
    """A group's responses as answers to its prompt's gold."""
    return [Answer(response.text, group.prompt.gold, group.prompt.question) for response in group.responses]


class Verifier:
    """Grades batches of answers. Equal answers to equal golds are compared once per batch."""

    def __init__(self, config: RewardConfig) -> None:
        """Raises UserError if a judge is configured and does not respond."""
        self._judge_alone = config.judge.mode == "alone"
        self._judge: Judge | None = None if config.judge.mode == "off" else OpenAIJudge(config.judge)
        self._limits = config.sandbox
        self._sandbox = Sandbox(config.sandbox)

    @property
    def version(self) -> str:
        """Version of the rules, the sandbox's limits and the judge: equal versions give equal verdicts."""
        limits = f"{self._limits.deadline_seconds:g}s-{self._limits.memory_mib}MiB"
        return "-".join((VERIFIER_VERSION, limits, *([self._judge.version] if self._judge else [])))

    def start(self) -> None:
        """Start the sandbox early, in parallel with other work; verify() starts it otherwise."""
        self._sandbox.start()

    def verify(self, answers: Sequence[Answer], grading: Grading) -> list[Verdict]:
        """One verdict per answer, in order."""
        rule = RULES[grading.rule]
        answers = [replace(answer, gold=read_gold(answer.gold)) for answer in answers]
        extracted = [
            rule.candidates(answer.response) if rule.candidates else _extracted(answer, grading.extract)
            for answer in answers
        ]
        pairs = [
            (answer.gold, text)
            for answer, texts in zip(answers, extracted, strict=True)
            if answer.gold.known
            for text in texts
        ]
        compared = dict(zip(pairs, self._compared(pairs, rule), strict=True))
        verdicts = [
            _best([compared[answer.gold, text] for text in texts], grading.extract)
            if answer.gold.known
            else _ungraded(texts)
            for answer, texts in zip(answers, extracted, strict=True)
        ]
        return self._with_judge(answers, verdicts)

    def extract(self, responses: Sequence[str], grading: Grading) -> list[str | None]:
        """The final answer of each response, or None."""
        extracted = (EXTRACTORS[grading.extract](response) for response in responses)
        return [text if text is not None and text.strip() else None for text in extracted]

    def compare(self, pairs: Sequence[tuple[Gold, str]], grading: Grading) -> list[Verdict]:
        """One verdict per (gold, answer), by the rule alone, without the judge."""
        return self._by_rule(pairs, RULES[grading.rule])

    def check_golds(self, golds: Sequence[Gold]) -> list[str | None]:
        """Reason why each gold answer is unusable, or None.

        A usable gold equals itself; one of kind math or number can also be read as a value.
        """
        golds = [read_gold(gold) for gold in golds]
        problems = [strict.gold_problem(gold) for gold in golds]
        values = [
            (index, gold)
            for index, gold in enumerate(golds)
            if problems[index] is None and gold.kind in (AnswerKind.MATH, AnswerKind.NUMBER)
        ]
        readable = self._sandbox.readable([gold for _, gold in values])
        for (index, gold), reads in zip(values, readable, strict=True):
            if not reads:
                problems[index] = f"does not read as {gold.kind}"
        return problems

    def close(self) -> None:
        self._sandbox.close()
        if self._judge is not None:
            self._judge.close()

    def __enter__(self) -> "Verifier":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _compared(self, pairs: Sequence[tuple[Gold, str]], rule: Rule) -> list[Verdict]:
        """By rule, or by the judge alone."""
        if self._judge_alone:
            return [strict.refusal(gold, text) or _left_to_judge(text) for gold, text in pairs]
        return self._by_rule(pairs, rule)

    def _by_rule(self, pairs: Sequence[tuple[Gold, str]], rule: Rule) -> list[Verdict]:
        """Verdicts by rule; each distinct pair is compared once."""
        known = {pair: rule.quick(*pair) for pair in dict.fromkeys(pairs)}
        undecided = [pair for pair, verdict in known.items() if verdict is None]
        known |= zip(undecided, self._sandbox.compare(rule.thorough, undecided), strict=True)
        return [verdict for pair in pairs if (verdict := known[pair]) is not None]

    def _with_judge(self, answers: Sequence[Answer], verdicts: list[Verdict]) -> list[Verdict]:
        """Replace the verdicts on answers that the rule did not accept by the judge's."""
        if self._judge is None:
            return verdicts
        rejected = [
            index
            for index, verdict in enumerate(verdicts)
            if verdict.extracted is not None and not verdict.correct and verdict.rule not in NOT_FOR_THE_JUDGE
        ]
        cases = [
            Case(answers[index].question, answers[index].gold.answer, str(verdicts[index].extracted))
            for index in rejected
        ]
        for index, judged in zip(rejected, self._judge.judge(cases), strict=True):
            verdicts[index] = replace(judged, extracted=verdicts[index].extracted)
        return verdicts


NOT_FOR_THE_JUDGE = (RuleName.NO_GOLD, RuleName.GOLD, RuleName.LENGTH, RuleName.CHARACTERS, RuleName.CODE)
"""Rules whose rejections are never sent to the judge."""


def _extracted(answer: Answer, extract: str) -> list[str]:
    """The final answer, if there is one. The gold answer's kind says whether a letter may be an option."""
    letters = extract == "auto" and answer.gold.known and strict.kind_of(answer.gold) is AnswerKind.LETTER
    text = (option if letters else EXTRACTORS[extract])(answer.response)
    return [] if text is None else [text]


def _best(verdicts: Sequence[Verdict], extract: str) -> Verdict:
    """The first correct verdict, else the last; `no_answer` for an empty list."""
    if not verdicts:
        return Verdict(VerdictKind.NO_ANSWER, None, RuleName(extract), "the response gives no final answer")
    return next((verdict for verdict in verdicts if verdict.correct), verdicts[-1])


def _ungraded(texts: Sequence[str]) -> Verdict:
    extracted = texts[-1] if texts else None
    return Verdict(VerdictKind.NO_GOLD, extracted, RuleName.NO_GOLD, "the question has no gold answer")


def _left_to_judge(text: str) -> Verdict:
    return Verdict(VerdictKind.ERROR, text, RuleName.JUDGE, "left to the judge")
