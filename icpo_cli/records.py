"""Records that cross between the parts, in the order an iteration creates them.

Symbols in shapes: P prompts of this rank, G responses per group, T tokens of the longest response.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor


class AnswerKind(StrEnum):
    """The kind of an answer, which selects the rule that compares it."""

    MATH = "math"
    NUMBER = "number"
    LETTER = "letter"
    TEXT = "text"
    BOOL = "bool"
    LIST = "list"


@dataclass(frozen=True)
class Gold:
    """The correct answer of a question, and how to compare with it."""

    answer: str
    """Empty if the question has no gold answer."""
    kind: AnswerKind | None = None
    """None: inferred from the form of the answer."""
    choices: tuple[str, ...] = ()
    """The question's options in order; letter A is the first."""
    aliases: tuple[str, ...] = ()
    """Other correct texts."""
    ordered: bool | None = None
    """For lists: whether order matters. None: it does in (a, b) and [a, b], not in {a, b} and a, b."""

    @property
    def known(self) -> bool:
        return self.answer != ""


@dataclass(frozen=True)
class Question:
    """One row of a data source."""

    id: str
    text: str
    gold: Gold


@dataclass(frozen=True)
class Prompt:
    """A question rendered and tokenized for the model."""

    id: str
    question: str
    gold: Gold
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class Response:
    """One sampled response. Its tokens include the end token if the model generated one."""

    text: str
    tokens: tuple[int, ...]
    logprobs: tuple[float, ...]
    """The sampler's log-prob of each token, at the sampling temperature, in nats."""
    finish_reason: Literal["stop", "length"]


@dataclass(frozen=True)
class Group:
    """The G responses of one prompt."""

    prompt: Prompt
    responses: tuple[Response, ...]

    def first(self, count: int) -> Group:
        """The group with its first `count` responses."""
        return Group(self.prompt, self.responses[:count])


class VerdictKind(StrEnum):
    """The verifier's decision. A timeout or an error is never counted as a wrong answer."""

    CORRECT = "correct"
    WRONG = "wrong"
    NO_ANSWER = "no_answer"
    TIMEOUT = "timeout"
    ERROR = "error"
    NO_GOLD = "no_gold"


class RuleName(StrEnum):
    """The rule that decided a verdict, as it is stored, printed and counted."""

    # Refused without a comparison.
    NO_GOLD = "no_gold"
    GOLD = "gold"
    EMPTY = "empty"
    LENGTH = "length"
    CHARACTERS = "characters"
    CODE = "code"
    BRACES = "braces"
    LIMITS = "limits"
    # Compared as this kind, or in this form.
    EXACT = "exact"
    MATH = "math"
    NUMBER = "number"
    LETTER = "letter"
    TEXT = "text"
    BOOL = "bool"
    LIST = "list"
    BASE = "base"
    INTERVAL = "interval"
    MATRIX = "matrix"
    RELATION = "relation"
    VALUE = "value"
    DATE = "date"
    LETTERS = "letters"
    GLOSS = "gloss"
    OPTION_TEXT = "option text"
    RLPR = "rlpr"
    THEOREMQA = "theoremqa"
    # The extractor that found no answer (letter: see above).
    ANSWER_TAG = "answer_tag"
    BOXED = "boxed"
    AUTO = "auto"
    NONE = "none"
    # Not decided by a rule.
    JUDGE = "judge"
    DEADLINE = "deadline"
    CRASH = "crash"


UNDECIDED = frozenset((VerdictKind.TIMEOUT, VerdictKind.ERROR, VerdictKind.NO_GOLD))
"""Kinds that carry no information about the answer."""


UNIFORM = ("all_right", "all_wrong")
"""Outcomes of a group in which all GRPO advantages are 0."""


def group_outcome(kinds: Sequence[VerdictKind]) -> str:
    """The outcome of a group: all_right, all_wrong, mixed, or undecided. A missing answer counts as wrong."""
    if any(kind in UNDECIDED for kind in kinds):
        return "undecided"
    right = sum(kind is VerdictKind.CORRECT for kind in kinds)
    return "all_right" if right == len(kinds) else "mixed" if right else "all_wrong"


@dataclass(frozen=True)
class Verdict:
    """The verdict on one response, the extracted answer, and the rule that decided."""

    kind: VerdictKind
    extracted: str | None
    """None if the response has no final answer."""
    rule: RuleName
    reason: str = ""
    """Explanation for the user."""

    @property
    def correct(self) -> bool:
        return self.kind is VerdictKind.CORRECT

    @property
    def decided(self) -> bool:
        """False for a timeout, an error, or a missing gold answer."""
        return self.kind not in UNDECIDED

    @property
    def incomparable(self) -> bool:
        """The gold answer is fine, and the comparison with this answer ended without a result."""
        return self.rule in (RuleName.DEADLINE, RuleName.CRASH)


@dataclass(frozen=True)
class Reward:
    """R_verif of one response, and its parts (Eq. 10)."""

    verdict: Verdict
    answer: float
    """Output of the reward source: 1 or 0 for the verdict (possibly flipped by noise, or a random coin), agreement with
    the majority, or another measure of the answer."""
    format: float
    """1 or 0."""
    noise: float
    """Added reward noise (App. B.1)."""
    overlong: float
    """Length penalty, 0 or less."""
    verif: float


@dataclass(frozen=True)
class LogProbs:
    """Per-token log-probs of the responses under the old policy, the policy of the rollout."""

    logprob: Tensor  # [P, G, T] float32, nats, at the rollout temperature; 0 on padding
    ref_logprob: Tensor | None  # [P, G, T] under the reference model; None where kl_coef is 0
    entropy: Tensor | None  # [P, G, T] of the next-token distribution, nats; None with the sampler's log-probs
    mask: Tensor  # [P, G, T] 1 on response tokens, the end token included
    self_certainty: Tensor | None = None  # [P, G, T] KL(uniform || policy), nats; None unless requested


@dataclass(frozen=True)
class Update:
    """Statistics of one optimizer step, over the whole mini-batch and all ranks."""

    loss: float
    policy_loss: float
    kl: float
    clip_fraction: float
    log_ratio: float
    """Mean absolute log-ratio over tokens, under the token weights of the loss, nats."""
    entropy: float | None
    """Mean over response tokens, nats; None if LogProbs.entropy has it."""
    grad_norm: float
    skipped: bool
    """True if a loss or gradient was not finite: weights and optimizer state are unchanged."""
    padding_share: float = 0.0
    """Share of padding among the tokens that attention is computed for."""


def verdict_columns(verdict: Verdict | None) -> dict[str, str | None]:
    """Columns in tables of responses and keys in JSON; None for a response without a verdict."""
    if verdict is None:
        return dict.fromkeys(("verdict", "extracted", "rule", "reason"))
    kind, rule = verdict.kind.value, verdict.rule.value
    return {"verdict": kind, "extracted": verdict.extracted, "rule": rule, "reason": verdict.reason}


def count_verdicts(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Number of verdicts of each kind; see count_kinds."""
    return count_kinds(verdict.kind.value for verdict in verdicts)


def count_kinds(kinds: Iterable[str]) -> dict[str, int]:
    """Number of verdicts of each kind, zeros included; no_gold only if there are any."""
    counts = Counter(kinds)
    named = [kind.value for kind in VerdictKind if kind is not VerdictKind.NO_GOLD or counts[kind.value]]
    return {kind: counts[kind] for kind in named}
