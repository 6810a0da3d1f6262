"""HTTP to one EMR: bounded, patient with reads, and never sending a write twice.

What leaves this module names method, type, host and status, never a URL: search URLs hold PHI.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import cache
from typing import NamedTuple, TypeVar

import httpx

from cm_service.errors import (
    AnswerTooBig,
    EmrError,
    EmrRefused,
    EmrUnreachable,
    Misconfigured,
    NotFhir,
    WriteOutcomeUnknown,
)
from cm_service.fhir.answers import Answer, outcome_codes, outcome_text, read_body
from cm_service.fhir.credentials import Credentials, NoCredentials, is_loopback
from cm_service.fhir.hold import Hold
from cm_service.fhir.links import origin
from cm_service.fhir.pace import Pace
from cm_service.fhir.retry import retry_after, wait_before
from cm_service.logs import log

# httpx logs whole URLs at INFO, httpcore headers at DEBUG: both may hold PHI or a token.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

T = TypeVar("T")
_RETRIED = frozenset({408, 425, 429})
_WITH_WAIT = frozenset({429, 503})
_FINAL_5XX = frozenset({501, 505})  # "cannot" does not turn into "can"
# Shorter than the 5 s after which many servers hang up: a write must not meet a closing connection.
_KEEPALIVE_SECONDS = 2.0
_CONNECT_SECONDS = 10.0
_NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Ask(NamedTuple):
    """One request. `what` is what people read about it ("GET Observation"), without PHI."""

    method: str
    url: str
    what: str
    headers: dict[str, str]
    content: bytes | None = None


class _AgainError(Exception):
    """This try failed in a way that another one may mend."""

    def __init__(self, error: EmrError, wait: float | None = None) -> None:
        super().__init__(str(error))
        self.error, self.wait = error, wait


@cache
def trusted(*, by_environment: bool) -> ssl.SSLContext:
    """Whose certificates count, with or without a word from `SSL_CERT_FILE` and `SSL_CERT_DIR`. Made once:
    it takes as long as ten requests."""
    return httpx.create_ssl_context(trust_env=by_environment)


class EmrHttp:
    """Use as `async with`. At most `concurrency` requests run at a time, whoever asks.

    `timeout_seconds` bounds the wait for the headers, and again the whole body (a body that drips
    would never meet a timeout between two reads). `pace` is the EMR's limit of calls, where it has one,
    `hold` keeps the waits that it asks for. `transport` takes the place of a connection, for campaigns
    without sockets. `open_door`: requests without credentials may go to any host."""

    def __init__(
        self,
        base_url: str,
        credentials: Credentials,
        *,
        concurrency: int = 4,
        timeout_seconds: float = 60.0,
        attempts: int = 4,
        max_body_bytes: int = 100_000_000,
        pace: Pace | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
        open_door: bool = False,
        hold: Hold | None = None,
    ) -> None:
        self.base_url = _checked_base(base_url)
        self.host = self.base_url.netloc.decode()
        self._credentials, self._attempts, self._sleep = credentials, attempts, sleep
        self._timeout, self._max_body, self._pace = timeout_seconds, max_body_bytes, pace
        self._open_door, self._hold = open_door, hold or Hold()
        self._slots = asyncio.Semaphore(concurrency)
        self.throttled, self.longest_wait_asked = 0, 0.0  # answers 429, and seconds in their Retry-After
        loopback = is_loopback(self.base_url.host)
        self._client = httpx.AsyncClient(
            verify=trusted(by_environment=not loopback),
            follow_redirects=False,
            timeout=httpx.Timeout(timeout_seconds, connect=min(_CONNECT_SECONDS, timeout_seconds / 2)),
            limits=httpx.Limits(keepalive_expiry=_KEEPALIVE_SECONDS),
            trust_env=not loopback,  # a proxy of the environment has no business on loopback
            transport=transport,
        )

    async def __aenter__(self) -> EmrHttp:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def read(
        self, ask: Ask, parse: Callable[[Answer], T], *, accept: frozenset[int] = frozenset({200})
    ) -> T:
        """`parse` of an answer with an accepted status, after as many tries as allowed.

        A parse that raises NotFhir is tried again too: proxies send an HTML page now and then.
        Raises EmrUnreachable, EmrRefused, NotFhir, and whatever else `parse` raises."""
        renewed, attempt = False, 1
        async with self._slots:
            while True:
                authorization = await self._authorization()
                try:
                    return await self._try(ask, authorization, parse, accept)
                except EmrRefused as refusal:
                    if refusal.status != 401 or renewed or not await self._credentials.renew(authorization):
                        raise
                    renewed = True
                except _AgainError as again:
                    if attempt >= self._attempts:
                        raise again.error from again.__cause__
                    if again.wait is None:  # else `hold` keeps the wait, for everybody
                        await self._sleep(wait_before(attempt))
                    attempt += 1

    async def _try(
        self, ask: Ask, authorization: str | None, parse: Callable[[Answer], T], accept: frozenset[int]
    ) -> T:
        try:
            answer = await self._answer(ask, authorization)
            if answer.status in accept:
                return parse(answer)
        except (httpx.TransportError, TimeoutError) as error:
            raise _AgainError(self._unreachable(ask, error)) from error
        except AnswerTooBig as error:
            raise AnswerTooBig(f"{self.host}, {ask.what}: {error}") from None
        except NotFhir as error:
            raise _AgainError(NotFhir(f"{self.host}, {ask.what}: {error}")) from None
        if _may_pass(answer.status):
            text = f"{self.host} answered {answer.status} to {ask.what}, and again after every wait"
            wait = self._wait_asked(answer.status, answer.headers)
            raise _AgainError(EmrUnreachable(text, status=answer.status), wait)
        raise self.refusal(ask.what, answer)

    def _wait_asked(self, status: int, headers: Mapping[str, str]) -> float | None:
        """Some EMRs say 429 for the rest of their span, and not for how long (eClinicalWorks)."""
        asked = retry_after(headers) if status in _WITH_WAIT else None
        if asked is None and status == 429 and self._pace is not None:
            return self._pace.seconds
        return asked

    async def _answer(self, ask: Ask, authorization: str | None) -> Answer:
        response = await self._send(ask, authorization)
        try:
            async with asyncio.timeout(self._timeout):
                body = await read_body(response, limit=self._max_body)
        finally:
            await response.aclose()
        log.debug(ask.what, host=self.host, status=response.status_code)
        return Answer(response.status_code, response.headers, body)

    async def write(self, ask: Ask) -> Answer:
        """The answer to a request that is sent exactly once, or once more with a new token after a 401,
        which is said at the door: nothing was done then.

        Raises EmrUnreachable when no connection came about (nothing was sent), else
        WriteOutcomeUnknown when no headers came back. A body that failed is None."""
        async with self._slots:
            authorization = await self._authorization()
            answer = await self._write_once(ask, authorization)
            if answer.status == 401 and await self._credentials.renew(authorization):
                answer = await self._write_once(ask, await self._authorization())
        return answer

    @asynccontextmanager
    async def streamed(self, ask: Ask, *, with_token: bool) -> AsyncIterator[httpx.Response]:
        """An answer of any status whose body is still to come, asked for once. Without a token it may
        stand anywhere; a redirect is not followed. Raises EmrUnreachable, httpx.TransportError."""
        async with self._slots:
            if with_token and not self.is_ours(ask.url):
                raise Misconfigured("a token goes to its own EMR only")
            response = await self._send(ask, await self._authorization() if with_token else None)
            try:
                yield response
            finally:
                await response.aclose()

    def is_ours(self, url: str) -> bool:
        """Does it lead to the very server that our token is for?"""
        return origin(httpx.URL(url)) == origin(self.base_url)

    async def _write_once(self, ask: Ask, authorization: str | None) -> Answer:
        try:
            response = await self._send(ask, authorization)
        except _NOT_SENT as error:
            raise self._unreachable(ask, error) from error
        except (httpx.TransportError, TimeoutError) as error:
            text = f"{self.host} gave no answer to {ask.what} ({_words(error)}): it may have been done"
            raise WriteOutcomeUnknown(text) from error
        body = await self._body_of_write(response)
        log.debug(ask.what, host=self.host, status=response.status_code)
        return Answer(response.status_code, response.headers, body)

    async def _body_of_write(self, response: httpx.Response) -> bytes | None:
        try:
            async with asyncio.timeout(self._timeout):
                return await read_body(response, limit=self._max_body)
        except (httpx.TransportError, TimeoutError, NotFhir):
            return None
        finally:
            await response.aclose()

    async def _authorization(self) -> str | None:
        """The header's value. Raises Misconfigured before anything leaves that must not."""
        if is_loopback(self.base_url.host):
            return await self._credentials.authorization()
        if isinstance(self._credentials, NoCredentials):
            if not self._open_door:
                text = f"requests without authentication go to loopback only, not to {self.host}: set --auth"
                raise Misconfigured(text)
        elif self.base_url.scheme != "https":
            raise Misconfigured(f"a token goes over https only, not in clear to {self.host}")
        return await self._credentials.authorization()

    async def _send(self, ask: Ask, authorization: str | None) -> httpx.Response:
        headers = {"Accept-Encoding": "gzip", **ask.headers}
        if authorization is not None:
            headers["Authorization"] = authorization
        if self._pace is not None:
            await self._pace.wait()
        request = self._client.build_request(ask.method, ask.url, headers=headers, content=ask.content)
        await self._hold.wait(self._sleep)
        async with asyncio.timeout(self._timeout):
            response = await self._client.send(request, stream=True)
        self._obey(response)
        return response

    def _obey(self, response: httpx.Response) -> None:
        asked = self._wait_asked(response.status_code, response.headers)
        if asked is not None:
            self._hold.until_after(asked)
        if response.status_code == 429:
            self.throttled += 1
            self.longest_wait_asked = max(self.longest_wait_asked, retry_after(response.headers) or 0.0)

    @property
    def scope(self) -> str | None:
        """What the token grants, as far as it was said."""
        return self._credentials.scope

    def refusal(self, what: str, answer: Answer) -> EmrRefused:
        """The error for an answer that is a no. Redirects are never followed: they could take the
        token to another host."""
        text = f"{self.host} refused {what} with {answer.status}"
        if 300 <= answer.status < 400:
            text = f"{self.host} redirects {what} ({answer.status}): set the base URL to where it leads"
        codes = outcome_codes(answer)
        return EmrRefused(text, status=answer.status, outcome=outcome_text(answer), codes=codes)

    def _unreachable(self, ask: Ask, error: Exception) -> EmrUnreachable:
        return EmrUnreachable(f"no answer from {self.host} to {ask.what}: {_words(error)}")


def _may_pass(status: int) -> bool:
    return status in _RETRIED or (status >= 500 and status not in _FINAL_5XX)


def _words(error: Exception) -> str:
    """Our words for a transport error; its own text may quote what was sent."""
    names = {
        httpx.ConnectError: "no connection",
        httpx.ConnectTimeout: "no connection in time",
        httpx.TimeoutException: "it took too long",
        TimeoutError: "it took too long",
    }
    kinds = (words for kind, words in names.items() if isinstance(error, kind))
    return next(kinds, "the connection broke")


def _checked_base(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text.rstrip("/"))
    except httpx.InvalidURL:
        raise Misconfigured("the base URL of the EMR is no URL") from None
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise Misconfigured("the base URL of the EMR must be http(s)://host[:port]/path and nothing else")
    return url
