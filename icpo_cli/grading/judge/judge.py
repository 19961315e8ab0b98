"""A language model as judge of whether an answer is equivalent to the gold answer."""

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import platformdirs

from icpo_cli.config.check import check_judge
from icpo_cli.config.load import nearest
from icpo_cli.config.schema import JudgeConfig
from icpo_cli.errors import UserError
from icpo_cli.grading.judge.cache import JudgeCache
from icpo_cli.grading.judge.forms import FORMS, quote, said
from icpo_cli.records import RuleName, Verdict, VerdictKind

if TYPE_CHECKING:
    from icpo_cli.grading.judge.client import Server


@dataclass(frozen=True)
class Case:
    """One answer to be judged."""

    question: str
    gold: str
    answer: str


class Judge(Protocol):
    """Gives verdicts on cases. A case that it cannot decide is an ERROR, never a guess."""

    @property
    def version(self) -> str:
        """Changes whenever a verdict could change."""

    def judge(self, cases: Sequence[Case]) -> list[Verdict]:
        """One verdict per case, in order; equal cases are sent once."""

    def close(self) -> None: ...


class OpenAIJudge:
    """A model behind an OpenAI-compatible server such as `vllm serve`. Raises UserError if it cannot be reached."""

    def __init__(self, config: JudgeConfig) -> None:
        from icpo_cli.grading.judge.client import served_models

        check_judge(config)
        self._config, self._form = config, FORMS[config.form]
        self.model = _choose(config, asyncio.run(served_models(config)))
        self._decoding: dict[str, Any] = {
            "temperature": 0.0,
            "seed": 0,
            "max_tokens": config.max_tokens or self._form.max_tokens,
        }
        self._cache = JudgeCache(Path(config.cache).expanduser() if config.cache else default_cache())

    @property
    def version(self) -> str:
        return _digest(self._identity())[:16]

    def judge(self, cases: Sequence[Case]) -> list[Verdict]:
        """Raises UserError if the cache fails; the server's failures are ERROR verdicts."""
        verdicts = {case: self._known(case) for case in cases}
        unknown = [case for case, verdict in verdicts.items() if verdict is None]
        judged = dict(zip(unknown, asyncio.run(self._ask(unknown)), strict=True)) if unknown else {}
        return [verdicts[case] or judged[case] for case in cases]

    def close(self) -> None:
        self._cache.close()

    def _known(self, case: Case) -> Verdict | None:
        found = self._cache.get(self._key(case))
        return None if found is None else Verdict(found[0], case.answer, RuleName.JUDGE, said(found[1]))

    async def _ask(self, cases: Sequence[Case]) -> list[Verdict]:
        from icpo_cli.grading.judge.client import connect

        async with connect(self._config, self._form.endpoint) as server:
            return await asyncio.gather(*(self._settle(server, case) for case in cases))

    async def _settle(self, server: "Server", case: Case) -> Verdict:
        """Send the case, and cache the verdict at once unless it is an ERROR."""
        from icpo_cli.grading.judge.client import Unanswered

        body = self._form.body(case.question, case.gold, case.answer)
        try:
            reply = await server.ask({"model": self.model, **body, **self._decoding})
        except Unanswered as unanswered:
            return Verdict(VerdictKind.ERROR, case.answer, RuleName.JUDGE, str(unanswered))
        kind, reason = self._form.read(reply)
        if kind is not VerdictKind.ERROR:
            self._cache.put(self._key(case), kind, reply.text)
        return Verdict(kind, case.answer, RuleName.JUDGE, reason)

    def _key(self, case: Case) -> str:
        return _digest([*self._identity(), case.question, case.gold, case.answer])

    def _identity(self) -> list[Any]:
        return [self._config.form, self._form.version, self.model, self._decoding]


def default_cache() -> Path:
    return Path(platformdirs.user_cache_dir("icpo")) / "judge.sqlite"


def _choose(config: JudgeConfig, served: list[str]) -> str:
    """The configured model, or the first that the server lists."""
    if not served:
        raise UserError(f"reward.judge.url: {config.url}: the server lists no model")
    if config.model is None:
        return served[0]
    if config.model not in served:
        names = [quote(name) for name in served]
        raise UserError(
            f"reward.judge.model: '{config.model}' is not served at {config.url}{nearest(config.model, names)}"
        )
    return config.model


def _digest(parts: list[Any]) -> str:
    """A hash of parts; JSON separates them and can encode lone surrogates."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
