"""HTTP client of the judge's server: the openai client, which retries with backoff and respects Retry-After."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from time import monotonic
from typing import Any

import httpx2
import openai

from icpo_cli.config.schema import JudgeConfig
from icpo_cli.errors import UserError
from icpo_cli.grading.judge.forms import Endpoint, Reply, quote

BODY_LIMIT = 1 << 20
"""Maximum bytes of a response body."""
PROBE_SECONDS = 10.0


class Unanswered(Exception):
    """The server gave no usable response; the text says why."""


class Server:
    """An OpenAI-compatible server with concurrent requests, valid within one event loop."""

    def __init__(self, client: openai.AsyncOpenAI, config: JudgeConfig, endpoint: Endpoint) -> None:
        self._client, self._config, self._endpoint = client, config, endpoint
        self._slots = asyncio.Semaphore(config.requests_at_once)
        self._last_answer = monotonic()

    async def ask(self, body: dict[str, Any]) -> Reply:
        """Send one request. Raises Unanswered."""
        patience = self._config.give_up_seconds
        async with self._slots:
            if monotonic() - self._last_answer >= patience:
                raise Unanswered(f"not sent: the judge's server has not responded for {patience:g} s")
            try:
                async with asyncio.timeout(patience):
                    answer = await self._client.post(f"/{self._endpoint}", cast_to=httpx2.Response, body=body)
            except TimeoutError:
                raise Unanswered(f"the judge timed out: no answer after {patience:g} s of retries and waits") from None
            except openai.OpenAIError as error:
                raise Unanswered(_reason(error, self._config)) from None
            self._last_answer = monotonic()
            return read_reply(answer.content)


@asynccontextmanager
async def connect(config: JudgeConfig, endpoint: Endpoint) -> AsyncIterator[Server]:
    async with _client(config, read_reply) as client:
        yield Server(client, config, endpoint)


async def served_models(config: JudgeConfig) -> list[str]:
    """The server's model names, in its order, with a short timeout. Raises UserError."""
    brief = replace(config, retries=1, timeout_seconds=min(config.timeout_seconds, PROBE_SECONDS))
    try:
        async with asyncio.timeout(2 * PROBE_SECONDS), _client(brief, read_models) as client:
            answer = await client.get("/models", cast_to=httpx2.Response)
    except TimeoutError:
        raise UserError(f"reward.judge.url: {config.url}: no answer within {2 * PROBE_SECONDS:g} s") from None
    except (openai.AuthenticationError, openai.PermissionDeniedError):
        problem = "refuses the key in" if os.environ.get(config.key_variable) else "requires a key in"
        raise UserError(
            f"reward.judge.url: {config.url}: the server {problem} the environment variable {config.key_variable}"
        ) from None
    except openai.OpenAIError as error:
        raise UserError(f"reward.judge.url: {config.url}: no judge there: {_reason(error, brief)}") from None
    return read_models(answer.content)


def read_reply(body: bytes) -> Reply:
    """Parse a chat completion or a plain completion. Raises ValueError on anything else."""
    try:
        choice = _document(body)["choices"][0]
        finish = str(choice["finish_reason"])
        if "message" not in choice:
            return Reply(_text(choice["text"]), finish)
        message = choice["message"]
        refusal = message.get("refusal")
        return Reply(_text(refusal), "refusal") if refusal else Reply(_text(message["content"] or ""), finish)
    except (LookupError, TypeError, AttributeError):
        raise ValueError(f"not a completion: {quote(body.decode(errors='replace'))}") from None


def read_models(body: bytes) -> list[str]:
    """Parse a list of models. Raises ValueError on anything else."""
    try:
        return [_text(model["id"]) for model in _document(body)["data"]]
    except (LookupError, TypeError):
        raise ValueError(f"not a list of models: {quote(body.decode(errors='replace'))}") from None


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ValueError(f"not JSON: {quote(body.decode(errors='replace')) or 'nothing'}") from None


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


class _CheckedResponses(openai.DefaultAsyncHttpxClient):
    """Reads each response within a deadline and a size limit and parses it; raises errors that openai retries.

    openai's own timeout applies to each read, so a server that sends a byte now and then never reaches it, and openai
    accepts any response with status 200.
    """

    def __init__(self, seconds: float, read: Callable[[bytes], object]) -> None:
        super().__init__()
        self._seconds, self._read = seconds, read

    async def send(self, request: httpx2.Request, *, stream: bool = False, **options: Any) -> httpx2.Response:
        try:
            async with asyncio.timeout(self._seconds):
                response = await super().send(request, stream=True, **options)
                body = await _body(response)
        except TimeoutError:
            raise httpx2.ReadTimeout("no complete response in time", request=request) from None
        result = httpx2.Response(response.status_code, headers=_plain(response.headers), content=body, request=request)
        if result.is_success:
            try:
                self._read(body)
            except ValueError as error:
                raise httpx2.DecodingError(str(error), request=request) from None
        return result


async def _body(response: httpx2.Response) -> bytes:
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > BODY_LIMIT:
                raise httpx2.DecodingError(f"longer than {BODY_LIMIT >> 20} MiB", request=response.request)
    finally:
        await response.aclose()
    return bytes(body)


def _plain(headers: httpx2.Headers) -> list[tuple[str, str]]:
    """Headers of the decoded body."""
    framing = ("content-encoding", "content-length", "transfer-encoding")
    return [(name, value) for name, value in headers.items() if name not in framing]


def _client(config: JudgeConfig, read: Callable[[bytes], object]) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=config.url,
        api_key=_key(config) or "none",
        timeout=config.timeout_seconds,
        max_retries=config.retries,
        http_client=_CheckedResponses(config.timeout_seconds, read),
    )


def _key(config: JudgeConfig) -> str:
    key = os.environ.get(config.key_variable, "").strip()
    if not (key.isascii() and all(char.isprintable() for char in key)):
        raise UserError(f"{config.key_variable}: contains characters that no key has")
    return key


def _reason(error: openai.OpenAIError, config: JudgeConfig) -> str:
    """The reason as text, with the API key removed in case the server repeats it."""
    if isinstance(error, openai.APITimeoutError):
        return f"the judge timed out: no answer within {config.timeout_seconds:g} s (tries: {config.retries + 1})"
    if isinstance(error, openai.APIConnectionError):
        invalid = isinstance(error.__cause__, httpx2.DecodingError)
        reason = f"{'invalid response' if invalid else 'the connection failed'}: {error.__cause__}"
    elif isinstance(error, openai.APIStatusError):
        reason = f"the server answers {error.status_code}: {quote(error.message)}"
    else:
        reason = quote(str(error))
    key = _key(config)
    return reason.replace(key, "***") if key else reason
